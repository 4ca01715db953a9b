"""Files without a row: garbage behind a crash, and evidence where the catalogue has lost commits."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogue.test_catalogue import block, segment

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.files.names import JOURNAL, block_path, own_files, series_path
from nissa.journal.journal import Journal
from nissa.model.durability import FSYNC
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.store.garbage import Garbage, delete_unfinished, orphaned_files
from oracle.directory import Directory, collect_garbage

FRAME = Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 7, b"body")
NOBODYS = (block_path("events", 4), block_path("raw", 3), series_path(5))


@pytest.fixture(name="catalogue")
def _catalogue(tmp_path: Path) -> Catalogue:
    """One block and one segment up to frame 4, and files without a row, as a crashed seal leaves them."""
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
    assert collect_garbage(tmp_path, catalogue).kept == NOBODYS
    assert [(tmp_path / f"{path}.unclaimed").read_text() for path in NOBODYS] == [*NOBODYS]
    assert orphaned_files(tmp_path) == [f"{path}.unclaimed" for path in NOBODYS]
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


def test_blocks_behind_an_older_catalogue_stay_without_a_journal(tmp_path: Path) -> None:
    """A clean stop leaves no journal: the frames noted in a block show that the catalogue is older than the block."""
    directory = Directory(tmp_path)
    directory.seal([(0, 10, 1)])
    directory.catalogue.close()
    shutil.copy(tmp_path / "catalogue.sqlite", tmp_path / "copy")
    directory = Directory(tmp_path)
    (block,) = directory.seal([(0, 20, 2)]).blocks
    directory.catalogue.close()
    shutil.copy(tmp_path / "copy", tmp_path / "catalogue.sqlite")
    catalogue = Catalogue.open(tmp_path)
    found = collect_garbage(tmp_path, catalogue)
    assert (found.kept, found.deleted) == ((block.path,), ())
    assert "holds frames up to 2, catalogue and journal end at 1" in found.reason
    assert (tmp_path / f"{block.path}.unclaimed").exists()


def test_a_block_the_journal_gives_back_goes(tmp_path: Path) -> None:
    """A seal that was killed before its commit: its frames are in the journal, so the block is garbage."""
    directory = Directory(tmp_path)
    journal_of(tmp_path, 2, 0)
    (block,) = directory.write([(0, 10, 1)]).blocks
    assert collect_garbage(tmp_path, directory.catalogue) == Garbage(deleted=(block.path,))


def test_a_block_over_damaged_frames_stays(tmp_path: Path) -> None:
    """If frames of the journal are damaged, a block without a row may be the only copy of their samples."""
    directory = Directory(tmp_path)
    journal_of(tmp_path, 8, 0)
    (block,) = directory.write([(0, 10, 1)]).blocks
    hit = sorted((tmp_path / JOURNAL).glob("*.journal"))[1]
    data = bytearray(hit.read_bytes())
    data[100] ^= 1
    hit.write_bytes(data)
    assert collect_garbage(tmp_path, directory.catalogue).kept == (block.path,)


def test_a_whole_file_without_facts_stays(tmp_path: Path) -> None:
    """A Parquet file that does not say of which frames it is, as older versions wrote them, is never deleted."""
    directory = Directory(tmp_path)
    journal_of(tmp_path, 2, 0)
    pq.write_table(pa.table({"series": [1]}), tmp_path / block_path("raw", 9))
    found = collect_garbage(tmp_path, directory.catalogue)
    assert found.kept == (block_path("raw", 9),)
    assert "does not say" in found.reason


def test_numbers_of_files_are_not_given_out(tmp_path: Path, catalogue: Catalogue) -> None:
    """The number of a file that is there, under whatever suffix, is never given to another one."""
    (tmp_path / f"{block_path('1h', 40)}.unclaimed").write_text("")
    catalogue.close()
    assert Catalogue.open(tmp_path).new_id() == 41


def test_unfinished_files_go_at_a_start(tmp_path: Path, catalogue: Catalogue) -> None:
    """Unfinished files, which never had a row, are deleted; files of other names stay."""
    for path in ("blocks/mine.unfinished", block_path("5m", 9) + ".unfinished", series_path(8) + ".unfinished"):
        (tmp_path / path).write_text("half")
    before = own_files(tmp_path)
    delete_unfinished(tmp_path)
    assert set(before) - set(own_files(tmp_path)) == {
        f"{block_path('5m', 9)}.unfinished",
        f"{series_path(8)}.unfinished",
    }
