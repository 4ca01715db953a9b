"""Folders and object stores hold files by name, and each appears whole."""

from pathlib import Path

import pytest

from nissa.files.destinations import Destination, destination_of
from nissa.model.errors import ConfigInvalid, Unavailable


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_files_are_put_listed_read_and_deleted(tmp_path: Path, kind: str) -> None:
    """The same for both kinds."""
    place: Destination = destination_of("memory:///" if kind == "object store" else str(tmp_path / "a" / "b"), "s")
    source = tmp_path / "source"
    assert place.names("blocks/") == {}
    assert place.read("x") is None
    for content in (b"first", b"second one"):
        source.write_bytes(content)
        for name in ("blocks/one", "x"):
            with source.open("rb") as file:
                place.put(name, file)
    assert place.names("blocks/") == {"blocks/one": 10}
    assert place.read("x") == b"second one"
    with (tmp_path / "fetched").open("w+b") as target:
        assert not place.fetch("none", target)
        assert place.fetch("x", target)
        target.seek(0)
        assert target.read() == b"second one"
    place.delete("blocks/one")
    place.delete("blocks/one")
    assert place.names("blocks/") == {}


def test_a_place_that_fails_is_unavailable(tmp_path: Path) -> None:
    """A file where a folder belongs; with the path."""
    (tmp_path / "file").write_text("x")
    place = destination_of(str(tmp_path / "file"), "s")
    with (tmp_path / "file").open("rb") as file, pytest.raises(Unavailable, match=r"blocks/one: Not a directory"):
        place.put("blocks/one", file)
    with pytest.raises(Unavailable, match="irectory"):
        place.read("instance.txt")


def test_an_object_store_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is an error to retry; a missing library is an error of the settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    place = destination_of("s3://bucket/prefix", "sinks.s.url")
    assert place is not None
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(ConfigInvalid, match=r"sinks\.s\.url: an object store needs the extra nissa\[objects\]"):
        destination_of("s3://bucket/prefix", "sinks.s.url")
