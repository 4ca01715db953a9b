"""A catalogue that is gone while files are there: nothing is opened, nothing is deleted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from store.test_garbage import journal_of

from nissa.catalogue.catalogue import Catalogue
from nissa.catalogue.lost_catalogue import is_blank
from nissa.model.errors import ConfigInvalid, Damaged
from oracle.directory import Directory


def files_of(directory: Path) -> list[Path]:
    """All files below a directory."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("readonly", [False, True])
def test_a_lost_catalogue_is_refused(tmp_path: Path, lose: Callable[[Path], object], readonly: bool) -> None:
    """Missing or of 0 bytes, with a block there: refused with the way out, and no file is changed or added."""
    directory = Directory(tmp_path)
    directory.seal([(0, 10, 1)])
    directory.catalogue.close()
    lose(tmp_path / "catalogue.sqlite")
    before = files_of(tmp_path)
    for _ in range(2):
        with pytest.raises(Damaged, match="from a backup"):
            Catalogue.open(tmp_path, readonly=readonly)
    assert files_of(tmp_path) == before
    assert is_blank(tmp_path / "catalogue.sqlite")


def test_a_journal_that_begins_behind_blocks_is_refused(tmp_path: Path) -> None:
    """Without blocks only the journal shows that there was a catalogue: it begins behind acknowledged frames."""
    journal_of(tmp_path, 8, 0)
    Catalogue.open(tmp_path).close()  # this one begins with the first frame
    (tmp_path / "catalogue.sqlite").unlink()
    min((tmp_path / "journal").iterdir()).unlink()
    with pytest.raises(Damaged, match="the journal begins after frame 3"):
        Catalogue.open(tmp_path)


def test_a_new_directory_is_none(tmp_path: Path) -> None:
    """An empty directory, or one with files of others, gets a catalogue; for reading it is no data directory."""
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "mine.txt").write_text("")
    with pytest.raises(ConfigInvalid):
        Catalogue.open(tmp_path, readonly=True)
    Catalogue.open(tmp_path).close()
    assert not is_blank(tmp_path / "catalogue.sqlite")
