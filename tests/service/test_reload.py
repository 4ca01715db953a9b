"""Reading settings again: all parts or none, and what the status says."""

import asyncio
from collections.abc import Callable

import pytest

from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid
from nissa.service.reload import Reload


class Part:
    """A part that notes what it applies, and refuses one data directory."""

    def __init__(self, path: str, refused: str = "") -> None:
        self.path = path
        self.applied: list[str] = []
        self._refused = refused

    def prepare(self, config: Config) -> Callable[[], None]:
        """Refuse, or note when it is applied."""
        directory = config.storage.data_dir
        if directory == self._refused:
            raise ConfigInvalid(self.path, "is wrong")
        return lambda: self.applied.append(directory)


def test_all_or_nothing() -> None:
    """A fault of one part, or of the settings, leaves every part as it was; the next valid settings are applied."""
    parts = [Part("sources.a"), Part("sources.b", refused="wrong")]
    texts = ["right", "wrong", "unreadable", "again"]
    times = iter(range(100, 200))

    def read() -> Config:
        text = texts.pop(0)
        if text == "unreadable":
            raise ConfigInvalid("", "nissa.yaml: cannot be read")
        return load_config(overrides={"storage.data_dir": text})

    async def scenario() -> None:
        reload = Reload(read, Config(), parts, lambda: next(times))
        assert reload.facts() == {
            "successful": 1,
            "last_success_ms": 100,
            "error": None,
            "need_restart": [],
            "changed": {},
        }
        assert await reload.reload() == ["storage.data_dir"]
        changed = {"storage.data_dir": [Config().storage.data_dir, reload.facts()["changed"]["storage.data_dir"][1]]}
        others = {"need_restart": ["storage.data_dir"], "changed": changed}
        assert reload.facts() == {"successful": 1, "last_success_ms": 101, "error": None, **others}
        for message in ("sources.b: is wrong", "nissa.yaml: cannot be read"):
            with pytest.raises(ConfigInvalid, match=message):
                await reload.reload()
            assert reload.facts() == {"successful": 0, "last_success_ms": 101, "error": message, **others}
        reload.start()
        while not reload.facts()["successful"]:  # noqa: ASYNC110 - a signal handler waits for nothing
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert [part.applied for part in parts] == [["right", "again"]] * 2


def test_sinks_that_need_a_restart_are_named() -> None:
    """New, changed and removed sinks are named, and no others."""
    sink = {"type": "remote_write", "url": "http://a/w"}
    files = [
        load_config(
            overrides={f"sinks.{name}.{key}": value for name, one in sinks.items() for key, value in one.items()}
        )
        for sinks in ({"a": sink, "b": sink, "c": sink}, {"a": sink, "b": {**sink, "linger": "3s"}, "d": sink})
    ]
    reload = Reload(lambda: files[1], files[0], [], lambda: 0)
    assert sorted(asyncio.run(reload.reload())) == ["sinks.b", "sinks.c", "sinks.d"]
