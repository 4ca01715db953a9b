"""Verifying: a sound directory is sound, and each kind of fault is found and named."""

import random
import shutil
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from store.test_event_blocks import events_of
from store.test_read import random_samples
from store.test_series_table import SOME, labels_of, rows_of

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal, SeriesSegment
from nissa.catalogue.schema import FORMAT
from nissa.model.columns import Metadata
from nissa.model.counters import Counters
from nissa.model.errors import ConfigInvalid
from nissa.model.slices import run_whole
from nissa.store import verify
from nissa.store.blocks import BlockWriter
from nissa.store.compaction import merge_blocks
from nissa.store.event_blocks import read_events
from nissa.store.pins import read_pins
from nissa.store.quarantine import put_aside, rename_damaged
from nissa.store.seal import SealInput, write_seal
from nissa.store.series_merge import merge_segments
from nissa.store.series_table import write_series
from nissa.store.verify import Report, verify_directory
from oracle.directory import Directory, batch_of

GOLDENS = Path(__file__).parents[1] / "goldens"


def filled(path: Path) -> Directory:
    """Two raw blocks, an event block and a series segment."""
    directory = Directory(path)
    directory.seal(random_samples(random.Random(1), 200))
    head = SealInput([batch_of([(0, 1_000, 0)])], 2, 2, 1, rows_of(SOME), [events_of([5, 3])])
    sealed = write_seal(path, directory.catalogue, directory.horizon, head)
    directory.catalogue.commit_seal(Seal(Checkpoint(2, len(SOME)), sealed.blocks, sealed.segment))
    return directory


def damages(report: Report) -> dict[str, str]:
    """path -> damage."""
    return {file.path: file.damage for file in report.files if file.damage}


def test_a_sound_directory(tmp_path: Path) -> None:
    """All files are listed with their rows, nothing is wrong, and a stray file is an orphan, not damage."""
    filled(tmp_path)
    (tmp_path / "blocks" / "stray").touch()
    report = verify_directory(tmp_path)
    assert report.sound
    assert [(file.kind, file.rows) for file in report.files][1:] == [
        ("raw", 1),
        ("events", 2),
        ("series", 5),
        ("copy", 0),
    ]
    assert report.orphans == ("blocks/stray",)
    assert report.catalogue == ()


def test_each_damaged_file_is_named(tmp_path: Path) -> None:
    """A flipped bit, a cut end and a missing file are reported for their own file only."""
    filled(tmp_path)
    raw, _, events, series, copy = (file.path for file in verify_directory(tmp_path).files)
    data = bytearray((tmp_path / raw).read_bytes())
    data[-1] ^= 1
    (tmp_path / raw).write_bytes(data)
    (tmp_path / events).write_bytes((tmp_path / events).read_bytes()[:-1])
    (tmp_path / series).unlink()
    (tmp_path / copy).write_bytes(b"")
    report = verify_directory(tmp_path)
    assert not report.sound
    found = damages(report)
    assert sorted(found) == sorted([raw, events, series, copy])
    assert "CRC-32C" in found[raw]
    assert "bytes, expected" in found[events]
    assert found[series] == "the file is missing"


def test_what_is_in_quarantine_is_damage(tmp_path: Path) -> None:
    """A block in quarantine is named until it is repaired, its file is no orphan, and other files are sound."""
    directory = filled(tmp_path)
    row = put_aside(directory.catalogue, directory.blocks()[0], "hit", 9)
    for _ in range(2):
        report = verify_directory(tmp_path)
        assert (report.quarantine, report.orphans, damages(report)) == ((row,), (), {})
        assert not report.sound
        rename_damaged(tmp_path, [row])


def test_rows_that_are_not_those_of_the_catalogue(tmp_path: Path) -> None:
    """Sound files whose rows are unsorted, or other than the catalogue says, are found."""
    directory = Directory(tmp_path)
    writers = []
    for groups in ([[(2, 1, 0)], [(1, 1, 0)]], [[(1, 2, 0), (1, 2, 0)]], [[(1, 1, 0)]], [[(1, 1, 0)]]):
        writer = BlockWriter(tmp_path, directory.catalogue.new_id(), level=0, created_ms=1)
        for group in groups:
            writer.write(batch_of(group))
        writers.append(writer)
    blocks = [writer.finish(1, 1) for writer in writers]
    blocks[2] = msgspec.structs.replace(blocks[2], max_ms=9)
    directory.catalogue.commit_seal(Seal(Checkpoint(1), tuple(blocks)))
    found = damages(verify_directory(tmp_path))
    assert "row 1 is not sorted" in found[blocks[0].path]
    assert "row 1 is not sorted" in found[blocks[1].path]
    assert "the catalogue says (1, 1, 9, 1, 1)" in found[blocks[2].path]
    assert blocks[3].path not in found


def test_a_series_table_that_does_not_fit(tmp_path: Path) -> None:
    """An id that was never given out is a fault of the catalogue, and so are segments that overlap."""
    directory = filled(tmp_path)
    directory.catalogue.commit_seal(Seal(Checkpoint(3, 4)))
    (fault,) = verify_directory(tmp_path).catalogue
    assert fault == "the series table has series 4, but the checkpoint says that only 4 ids were assigned"
    segment = write_series(tmp_path, directory.catalogue.new_id(), rows_of(SOME, first=3))
    directory.catalogue.commit_seal(Seal(Checkpoint(4, 8), (), segment))
    (fault,) = verify_directory(tmp_path).catalogue
    assert fault == f"{segment.path} begins with series 3, but an earlier segment ends with 4"


def drop(directory: Directory, segment: SeriesSegment, series: int) -> None:
    """Write a segment again without one series."""
    publish = partial(directory.catalogue.replace_series, (segment,))
    run_whole(merge_segments(directory.path, directory.catalogue, (segment,), publish, np.array([series], np.uint32)))


def test_a_block_with_series_that_nobody_knows(tmp_path: Path) -> None:
    """A series that has rows and no labels is a fault of the catalogue; one that has neither is no fault."""
    directory = Directory(tmp_path)
    head = SealInput([batch_of([(1, 1_000, 0)])], 1, 1, 1, rows_of(SOME))
    sealed = write_seal(tmp_path, directory.catalogue, directory.horizon, head)
    directory.catalogue.commit_seal(Seal(Checkpoint(1, len(SOME)), sealed.blocks, sealed.segment))
    (segment,) = directory.catalogue.series_segments()
    drop(directory, segment, 3)
    assert verify_directory(tmp_path).sound
    (segment,) = directory.catalogue.series_segments()
    drop(directory, segment, 1)
    (fault,) = verify_directory(tmp_path).catalogue
    assert fault == f"{sealed.blocks[0].path} has rows of 1 series that the series table does not have, such as 1"


def test_blocks_that_are_merged_meanwhile_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon deletes them after their files were read, and before their series are."""
    directory = Directory(tmp_path)
    head = SealInput([batch_of([(1, 1_000, 0)])], 1, 1, 1, rows_of(SOME))
    sealed = write_seal(tmp_path, directory.catalogue, directory.horizon, head)
    directory.catalogue.commit_seal(Seal(Checkpoint(1, len(SOME)), sealed.blocks, sealed.segment))

    def check_state(_: Path) -> list[str]:
        run_whole(merge_blocks(tmp_path, directory.catalogue, sealed.blocks, 1))
        return []

    monkeypatch.setattr(verify, "check_state", check_state)
    report = verify_directory(tmp_path)
    assert report.sound
    assert report.orphans == ()
    assert directory.blocks() != list(sealed.blocks)


def test_a_path_out_of_the_directory_is_damage(tmp_path: Path) -> None:
    """A catalogue that names a file elsewhere is not followed."""
    directory = filled(tmp_path)
    block = msgspec.structs.replace(directory.blocks()[0], id=99, path="../elsewhere.parquet")
    directory.catalogue.commit_seal(Seal(Checkpoint(2, len(SOME)), (block,)))
    assert "no file name of Nissa" in damages(verify_directory(tmp_path))["../elsewhere.parquet"]


def test_a_directory_without_catalogue(tmp_path: Path) -> None:
    """Verifying something else says so."""
    with pytest.raises(ConfigInvalid, match="not a data directory"):
        verify_directory(tmp_path)
    Catalogue.open(tmp_path).close()
    assert verify_directory(tmp_path) == Report((), (), ())


def test_a_directory_of_format_1_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The frozen directory verifies, and gives every sample, event, series, tally and cursor back."""
    shutil.copytree(GOLDENS / "directory-1", tmp_path, dirs_exist_ok=True)
    report = verify_directory(tmp_path)
    assert report.sound
    assert [(file.kind, file.rows) for file in report.files] == [("raw", 4), ("raw", 2), ("events", 2), ("series", 5)]
    directory = Directory(tmp_path)
    assert directory.export() == [
        (0, 10, 1 << 62),
        (0, 20, 0x7FF8000000000ABC),
        (1, 10, 0x7FF0000000000002),
        (2, 30, 0),
        (4, 10, 1 << 63),
    ]
    (segment,) = directory.catalogue.series_segments()
    assert labels_of(tmp_path, segment)[0] == SOME
    (events,) = directory.catalogue.blocks("events")
    assert [event["time_ms"] for event in read_events(tmp_path, events, 0, 10)] == [3, 5]
    counters = Counters(frames=9, received=9, stored=5, duplicate=2, conflicts=1, refused={"too_old": 2})
    assert directory.catalogue.checkpoint() == Checkpoint(9, 5, {"http/remote_write_1": counters})
    assert directory.catalogue.metadata() == [Metadata("up", "gauge", "Is it up?", "")]


@pytest.mark.parametrize("number", [2, 3])
def test_a_directory_with_a_ladder_is_read_as_it_was_written(tmp_path: Path, number: int) -> None:
    """Formats 2 and 3, frozen: blocks of all kinds, tiers, a pin, a quarantined block; opened, they are as of today."""
    shutil.copytree(GOLDENS / f"directory-{number}", tmp_path, dirs_exist_ok=True)
    report = verify_directory(tmp_path)
    assert [file.damage for file in report.files if file.damage] == []
    assert [(file.kind, file.rows) for file in report.files] == [
        *(("raw", 15), ("events", 2), ("raw", 2), ("1m", 10), ("5m", 2)),
        *(("series", 2), ("series", 1)),
    ]
    assert (report.catalogue, report.orphans) == ((), ())
    assert [(row.path[-14:], row.rows, row.damage) for row in report.quarantine] == [("000008.parquet", 1, "hit")]
    directory = Directory(tmp_path)
    assert directory.catalogue.format == FORMAT
    assert directory.catalogue.check() == []
    assert len(directory.export()) == 17
    start_ms = directory.catalogue.blocks("events")[0].min_ms
    (pin,) = read_pins(directory.catalogue)
    assert (pin.name, pin.start_ms, pin.end_ms) == ("outage", start_ms, start_ms + 60_000)
    assert [(row.tier.name, row.lsn) for row in directory.catalogue.tiers()] == [
        (name, 9) for name in ("1m", "5m", "1h", "1d")
    ]
    checkpoint = directory.catalogue.checkpoint()
    assert (checkpoint.lsn, checkpoint.series_count) == (9, 3)
    assert checkpoint.tallies["http/nissa_event"] == Counters(frames=2, received=2, stored=2)
