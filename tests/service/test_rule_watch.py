"""Files of rules that change while the daemon runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from nissa.config.rules import RuleSettings
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid
from nissa.service.rule_watch import watch_rules

PATIENCE_S = 60.0
LOOKS = 3  # the last of them begins after all of the one before


class Settings:
    """Settings of a daemon; counts how often they are looked at, and read again."""

    def __init__(self, folder: Path, watch_ms: int) -> None:
        self._config = Config(rules=RuleSettings(files=(f"{folder}/*.yml",), watch_ms=watch_ms))
        self._looked = asyncio.Condition()
        self.looks = self.reloads = 0
        self.is_at_fault = False

    @property
    def latest(self) -> Config:
        self.looks += 1
        asyncio.get_running_loop().create_task(self._note())
        return self._config

    async def _note(self) -> None:
        async with self._looked:
            self._looked.notify_all()

    async def reload(self) -> list[str]:
        self.reloads += 1
        if self.is_at_fault:
            raise ConfigInvalid("rules.files", "a fault")
        return []

    async def look(self) -> None:
        """Until the files have been looked at."""
        wanted = self.looks + LOOKS
        async with asyncio.timeout(PATIENCE_S), self._looked:
            await self._looked.wait_for(lambda: self.looks >= wanted)


def watched(settings_of: Callable[[], Settings], change: Callable[[Settings], Awaitable[None]]) -> int:
    """Number of reloads while files are watched and changed."""

    async def work() -> int:
        settings = settings_of()
        task = asyncio.create_task(watch_rules(settings))
        await change(settings)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return settings.reloads

    return asyncio.run(work())


def test_a_change_is_read_once(tmp_path: Path) -> None:
    """A new file, one that is gone; a fault ends nothing. Nothing is read while no file of rules changes."""
    (tmp_path / "a.yml").write_text("groups: []")

    async def change(settings: Settings) -> None:
        await settings.look()
        assert settings.reloads == 0
        settings.is_at_fault = True
        (tmp_path / "b.yml").write_text("groups: []")
        await settings.look()
        assert settings.reloads == 1
        settings.is_at_fault = False
        (tmp_path / "a.yml").unlink()
        await settings.look()
        (tmp_path / "c.txt").write_text("no file of rules")
        await settings.look()

    assert watched(lambda: Settings(tmp_path, 10), change) == 2


def test_without_an_interval_nothing_is_watched(tmp_path: Path) -> None:
    """The default: settings are read again by a signal or a request alone."""

    async def change(_settings: Settings) -> None:
        await asyncio.sleep(0.1)
        (tmp_path / "a.yml").write_text("groups: []")
        await asyncio.sleep(0.1)

    assert watched(lambda: Settings(tmp_path, RuleSettings().watch_ms), change) == 0
