"""Files without a row: garbage behind a crash, and evidence where the catalogue has lost commits."""

import shutil
from pathlib import Path

import pytest
from store.test_catalogue import block, segment

from nissa.model.durability import FSYNC
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.store.catalogue import Catalogue, Checkpoint, Seal
from nissa.store.garbage import Garbage, collect_garbage, unclaimed_files
from nissa.store.journal import Journal
from nissa.store.names import JOURNAL, block_path, own_files, series_path

FRAME = Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 7, b"body")
NOBODYS = (block_path("events", 4), block_path("raw", 3), series_path(5))


@pytest.fixture(name="catalogue")
def _catalogue(tmp_path: Path) -> Catalogue:
    """One block and one segment up to frame 4, and three files that nobody names, as a crashed seal leaves them."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(4), (block(1),), segment(2, 0)))
    for path in [block_path("raw", 1), series_path(2), *NOBODYS, "blocks/mine.txt"]:
        (tmp_path / path).write_text(path)
    return catalogue


def journal_of(directory: Path, frames: int, trimmed: int) -> None:
    """A journal of two frames per segment, of which those wholly up to ``trimmed`` are gone."""
    journal = Journal(directory / JOURNAL, durability=FSYNC, segment_bytes=300, clock=lambda: 7)
    for _ in range(frames):
        journal.append(FRAME, 0)
        journal.commit()
    journal.trim(trimmed)
    journal.close()


@pytest.mark.parametrize("trimmed", [0, 2, 4])
def test_garbage_is_what_no_row_names(tmp_path: Path, catalogue: Catalogue, trimmed: int) -> None:
    """Files of a crashed seal go, wherever the journal was trimmed; named files, and files of other names, stay."""
    journal_of(tmp_path, 8, trimmed)
    assert collect_garbage(tmp_path, catalogue) == Garbage(deleted=NOBODYS)
    assert own_files(tmp_path) == ["blocks/mine.txt", block_path("raw", 1), series_path(2)]


def test_a_journal_trimmed_above_the_checkpoint_keeps_them(tmp_path: Path, catalogue: Catalogue) -> None:
    """There was a later checkpoint then: the commit is gone, and the files may be all there is of its frames."""
    journal_of(tmp_path, 12, 8)
    assert collect_garbage(tmp_path, catalogue) == Garbage(kept=NOBODYS)
    assert [(tmp_path / f"{path}.unclaimed").read_text() for path in NOBODYS] == [*NOBODYS]
    assert unclaimed_files(tmp_path) == [f"{path}.unclaimed" for path in NOBODYS]
    assert collect_garbage(tmp_path, catalogue) == Garbage()


def test_an_older_copy_of_the_catalogue_costs_no_file(tmp_path: Path, catalogue: Catalogue) -> None:
    """Blocks that were merged since are missing: what has no row is put aside, twice under one name if need be."""
    copy = tmp_path / "copy"
    shutil.copy(tmp_path / "catalogue.sqlite", copy)
    for content in ("first", "second"):
        catalogue.replace_blocks((block(1),), (block(3),))
        catalogue.close()
        (tmp_path / block_path("raw", 1)).unlink(missing_ok=True)
        (tmp_path / block_path("raw", 3)).write_text(content)
        shutil.copy(copy, tmp_path / "catalogue.sqlite")
        catalogue = Catalogue.open(tmp_path)
        assert block_path("raw", 3) in collect_garbage(tmp_path, catalogue).kept
    found = sorted(path.read_text() for path in tmp_path.glob(f"{block_path('raw', 3)}*"))
    assert found == ["first", "second"]
