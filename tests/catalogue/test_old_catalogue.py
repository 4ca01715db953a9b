"""Reading what is sound in a damaged catalogue."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.catalogue.old_catalogue import OldCatalogue, read_old
from nissa.store.pins import add_pin

GOLDENS = Path(__file__).parents[1] / "goldens"


def test_sound_tables_are_told(tmp_path: Path) -> None:
    """A table that does not match its digest is left out; the others are read as they were written."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(7), (block(1),)))
    add_pin(catalogue, "incident", 1, 9, 5)
    secret = catalogue.secret.hex()
    catalogue.close()
    old = read_old(tmp_path)
    assert (old.words["secret"], old.checkpoint_lsn) == (secret, 7)
    assert old.tables["pin"] == [(1, "incident", 1, 9, 5)]
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as db:
        db.execute("UPDATE checkpoint SET lsn = 9")
        db.execute("UPDATE block SET rows = 9")
        db.commit()
    old = read_old(tmp_path)
    assert ("checkpoint" in old.tables, old.checkpoint_lsn) == (False, 0)
    assert old.tables["pin"] == [(1, "incident", 1, 9, 5)]


@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 999])
def test_nothing_is_told_by_what_is_none(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or foreign file gives an empty result."""
    if content is not None:
        (tmp_path / "catalogue.sqlite").write_bytes(content)
    assert read_old(tmp_path) == OldCatalogue()


def test_of_another_format_only_words(tmp_path: Path) -> None:
    """The key of the fingerprints is the same in all formats; other tables had other columns."""
    shutil.copy(GOLDENS / "directory-2" / "catalogue.sqlite", tmp_path)
    old = read_old(tmp_path)
    assert (sorted(old.words), old.tables) == (["instance", "secret"], {})
