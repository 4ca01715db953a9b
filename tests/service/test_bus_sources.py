"""Sources of buses are made from the settings."""

import asyncio
from pathlib import Path

import pytest

from nissa.config.buses import Oona
from nissa.config.sources import Sources
from nissa.model.errors import ConfigInvalid
from nissa.safeguards.pace import ReadingPace
from nissa.service.bus_sources import bus_sources, consumer_name


class Nowhere:
    """An intake and a state store that nothing reaches."""

    def read(self, room: str) -> dict[str, bytes]:
        """Nothing."""
        return {}


def made(config: Sources, data_dir: str = "data") -> list[str]:
    async def scenario() -> list[str]:
        return [source.path for source in bus_sources(config, data_dir, Nowhere(), lambda: 0, Nowhere(), ReadingPace())]  # type: ignore[arg-type]

    return asyncio.run(scenario())


def test_sources_follow_from_their_addresses() -> None:
    """A source without an address is not made; one whose server is away is."""
    assert made(Sources()) == []
    assert made(Sources(oona=Oona(url="redis://127.0.0.1:1/0"))) == ["sources.oona"]


def test_settings_that_cannot_be_used() -> None:
    """A URL of another kind, and a secret that is not there, with the path of the setting."""
    with pytest.raises(ConfigInvalid, match=r"sources\.oona\.url: "):
        made(Sources(oona=Oona(url="http://127.0.0.1/")))
    with pytest.raises(ConfigInvalid, match=r"sources\.oona\.secret_file: /none: No such file"):
        made(Sources(oona=Oona(url="redis://h", secret_file="/none")))


def test_a_consumer_is_known_by_its_directory(tmp_path: Path) -> None:
    """The same name for one directory, however it is written; another for another."""
    assert consumer_name(str(tmp_path)) == consumer_name(f"{tmp_path}/../{tmp_path.name}")
    assert consumer_name(str(tmp_path / "a")) != consumer_name(str(tmp_path / "b"))
