"""A generation and its writer: files and counts are made once, however often the catalogue refuses."""

import random
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Config
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter, pack_minutes, unpack_minutes
from nissa.ingest.pipeline import ADMIT_ALL, Pipeline
from nissa.model.counters import Counters
from nissa.model.errors import Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.store.read import Snapshot
from oracle.engine import NOW_MS, ONE, BadDisk, Sample, body_of, rows_in

HTTP = "http/remote_write_1"
TWO = 0x4000_0000_0000_0000


class Desk:
    """A pipeline, a catalogue and a writer, without threads or a journal: frames are given as if replayed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalogue = Catalogue.open(path)
        self.writer = FrozenHeadWriter(path, self.catalogue, lambda: NOW_MS)
        self.pipeline = Pipeline(Config(), SeriesIndex(self.catalogue.secret), {}, self.catalogue.secret)
        self.lsn = 0

    def take(self, *samples: Sample, durable: bool = True) -> None:
        """One frame."""
        self.lsn += 1
        visible = self.pipeline.head.published
        frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of(samples))
        self.pipeline.replay(frame, self.lsn, ADMIT_ALL)
        if not durable:
            self.pipeline.head.publish(*visible)

    def freeze(self) -> FrozenHead:
        """The head as a generation; a new head for the pipeline."""
        frozen_head = FrozenHead(self.pipeline, self.lsn)
        self.pipeline.head = type(self.pipeline.head)()
        return frozen_head

    def rows(self) -> dict[tuple[str, int], int]:
        """Samples in the blocks."""
        return rows_in(Snapshot(self.path, self.writer.blocks, ()), self.pipeline.index)


@pytest.mark.parametrize("seed", range(5))
def test_minutes_are_packed_small(seed: int) -> None:
    """Seen and swept minutes come back as they were; a million that hardly differ take next to nothing."""
    rng = random.Random(seed)
    series = np.array(rng.sample(range(2**31), rng.choice((0, 1, 1_000))), np.uint32)
    minutes = np.array([rng.choice((1, 29_000_000, 2**32 - 1)) for _ in series], np.uint32)
    (found, seen), swept = unpack_minutes(pack_minutes((series, minutes), 29_300_000))
    assert dict(zip(found.tolist(), seen.tolist(), strict=True)) == dict(
        zip(series.tolist(), minutes.tolist(), strict=True)
    )
    assert swept == 29_300_000
    many = np.arange(1_000_000, dtype=np.uint32)
    assert len(pack_minutes((many, np.full(1_000_000, 29_300_000, np.uint32)), 29_300_000)) < 50_000


def test_minutes_of_earlier_builds_are_read() -> None:
    """Earlier builds packed a minute for every series, 0 for idle ones; empty bytes mean no series."""
    packed = zlib.compress(np.diff(np.array([9, 0, 7, 0, 8], np.uint32), prepend=np.uint32(0)).tobytes())
    (series, minutes), swept = unpack_minutes(packed)
    assert (series.tolist(), minutes.tolist(), swept) == ([1, 3], [7, 8], 9)
    (series, minutes), swept = unpack_minutes(b"")
    assert (len(series), len(minutes), swept) == (0, 0, 0)


def test_a_generation_becomes_blocks(tmp_path: Path) -> None:
    """Rows, series, duplicates and the checkpoint are in the catalogue at once; the live tallies hear of duplicates."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("b", NOW_MS, ONE), ("a", NOW_MS, ONE))
    first = desk.freeze()
    desk.take(("a", NOW_MS, TWO), ("c", NOW_MS, ONE))  # goes on while the first is written
    desk.writer.write(first)
    first.complete(desk.pipeline.tallies)
    assert desk.rows() == {("a", NOW_MS): ONE, ("b", NOW_MS): ONE}
    checkpoint = desk.catalogue.checkpoint()
    assert (checkpoint.lsn, checkpoint.series_count, desk.writer.checkpoint_lsn) == (1, 2, 1)
    assert checkpoint.tallies[HTTP] == Counters(frames=1, received=3, stored=2, duplicate=1)
    second = desk.freeze()
    desk.writer.write(second)
    second.complete(desk.pipeline.tallies)
    assert desk.rows() == {("a", NOW_MS): TWO, ("b", NOW_MS): ONE, ("c", NOW_MS): ONE}
    expected = Counters(frames=2, received=5, stored=3, duplicate=2, conflicts=1)
    assert desk.pipeline.tallies[HTTP] == desk.catalogue.checkpoint().tallies[HTTP] == expected
    desk.catalogue.close()


def test_an_empty_generation_moves_the_checkpoint(tmp_path: Path) -> None:
    """Notes of refusals leave no rows; the checkpoint passes them without a file."""
    desk = Desk(tmp_path)
    desk.lsn = 7
    desk.writer.write(desk.freeze())
    assert (desk.catalogue.checkpoint().lsn, desk.writer.blocks) == (7, ())
    desk.catalogue.close()


def test_the_catalogue_refuses_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try commits the same files, and counts nothing twice."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("a", NOW_MS, ONE))
    frozen_head = desk.freeze()

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "commit_seal", refuse)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError):
                desk.writer.write(frozen_head)
            assert (desk.writer.blocks, desk.writer.checkpoint_lsn) == ((), 0)
    files = sorted(tmp_path.rglob("*.parquet"))
    desk.writer.write(frozen_head)
    assert sorted(tmp_path.rglob("*.parquet")) == files
    assert desk.catalogue.checkpoint().tallies[HTTP] == Counters(frames=1, received=2, stored=1, duplicate=1)
    desk.take(("a", NOW_MS, ONE))
    desk.writer.write(desk.freeze())
    assert desk.rows() == {("a", NOW_MS): ONE}
    desk.catalogue.close()


@pytest.mark.parametrize("fails_at", range(4))
def test_the_disk_refuses_files_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    """Whichever sync fails, files of the failed try are deleted, and the next try writes everything."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("b", NOW_MS, ONE))
    frozen_head = desk.freeze()
    with monkeypatch.context() as patch:
        BadDisk(patch, "fsync").fail_after(fails_at)
        with pytest.raises((OSError, Unavailable)):
            desk.writer.write(frozen_head)
    assert not sorted(tmp_path.rglob("*.parquet"))
    desk.writer.write(frozen_head)
    assert desk.rows() == {("a", NOW_MS): ONE, ("b", NOW_MS): ONE}
    assert desk.catalogue.checkpoint().tallies[HTTP].stored == 2
    desk.catalogue.close()


def test_what_the_journal_lost_is_given_up(tmp_path: Path) -> None:
    """Rows that did not become durable leave the generation, and are refused in its tallies and the live ones."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE))
    desk.take(("a", NOW_MS + 1, ONE), ("b", NOW_MS, ONE), durable=False)
    frozen_head = desk.freeze()
    frozen_head.give_up(desk.pipeline.tallies)
    frozen_head.give_up(desk.pipeline.tallies)  # nothing is left to give up
    desk.writer.write(frozen_head)
    expected = Counters(frames=2, received=3, stored=1, refused={"unavailable": 2})
    assert frozen_head.tallies[HTTP] == desk.pipeline.tallies[HTTP] == expected
    assert desk.rows() == {("a", NOW_MS): ONE}
    assert desk.catalogue.checkpoint().series_count == 2
    desk.catalogue.close()
