"""A generation and its writer: files and counts are made once, however often the catalogue refuses."""

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Config
from nissa.ingest.generation import Generation, GenerationWriter, pack_minutes, unpack_minutes
from nissa.ingest.pipeline import ADMIT_ALL, Pipeline
from nissa.model.errors import Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.tally import Tally
from nissa.store.catalogue import Catalogue
from nissa.store.read import Snapshot
from oracle.engine import NOW_MS, ONE, BadDisk, Sample, body_of, rows_in

HTTP = "http/remote_write_1"
TWO = 0x4000_0000_0000_0000


class Desk:
    """A pipeline, a catalogue and a writer, without threads or a journal: frames are given as if replayed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalogue = Catalogue.open(path)
        self.writer = GenerationWriter(path, self.catalogue, lambda: NOW_MS)
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

    def freeze(self) -> Generation:
        """The head as a generation; a new head for the pipeline."""
        generation = Generation(self.pipeline, self.lsn)
        self.pipeline.head = type(self.pipeline.head)()
        return generation

    def rows(self) -> dict[tuple[str, int], int]:
        """What the blocks hold."""
        return rows_in(Snapshot(self.path, self.writer.blocks, ()), self.pipeline.index)


@pytest.mark.parametrize("seed", range(5))
def test_minutes_are_packed_small(seed: int) -> None:
    """Seen and swept minutes come back as they were; a million that hardly differ take next to nothing."""
    rng = random.Random(seed)
    count = rng.choice((0, 1, 1_000))
    minutes = np.array([rng.choice((0, 1, 29_000_000, 2**32 - 1)) for _ in range(count)], np.uint32)
    seen, swept = unpack_minutes(pack_minutes(minutes, 29_300_000))
    assert (seen.tolist(), swept) == (minutes.tolist(), 29_300_000)
    assert [part.tolist() if isinstance(part, np.ndarray) else part for part in unpack_minutes(b"")] == [[], 0]
    assert len(pack_minutes(np.full(1_000_000, 29_300_000, np.uint32), 29_300_000)) < 20_000


def test_a_generation_becomes_blocks(tmp_path: Path) -> None:
    """Rows, series, duplicates and the checkpoint are in the catalogue at once; the live tallies hear of duplicates."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("b", NOW_MS, ONE), ("a", NOW_MS, ONE))
    first = desk.freeze()
    desk.take(("a", NOW_MS, TWO), ("c", NOW_MS, ONE))  # goes on while the first is written
    desk.writer.write(first)
    first.settle(desk.pipeline.tallies)
    assert desk.rows() == {("a", NOW_MS): ONE, ("b", NOW_MS): ONE}
    checkpoint = desk.catalogue.checkpoint()
    assert (checkpoint.lsn, checkpoint.series_count, desk.writer.checkpoint_lsn) == (1, 2, 1)
    assert checkpoint.tallies[HTTP] == Tally(frames=1, received=3, stored=2, duplicate=1)
    second = desk.freeze()
    desk.writer.write(second)
    second.settle(desk.pipeline.tallies)
    assert desk.rows() == {("a", NOW_MS): TWO, ("b", NOW_MS): ONE, ("c", NOW_MS): ONE}
    expected = Tally(frames=2, received=5, stored=3, duplicate=2, conflicts=1)
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
    """Offered again, the same files are committed, and what was counted once is not counted again."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("a", NOW_MS, ONE))
    generation = desk.freeze()

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "commit_seal", refuse)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError):
                desk.writer.write(generation)
            assert (desk.writer.blocks, desk.writer.checkpoint_lsn) == ((), 0)
    files = sorted(tmp_path.rglob("*.parquet"))
    desk.writer.write(generation)
    assert sorted(tmp_path.rglob("*.parquet")) == files
    assert desk.catalogue.checkpoint().tallies[HTTP] == Tally(frames=1, received=2, stored=1, duplicate=1)
    desk.take(("a", NOW_MS, ONE))
    desk.writer.write(desk.freeze())
    assert desk.rows() == {("a", NOW_MS): ONE}
    desk.catalogue.close()


@pytest.mark.parametrize("fails_at", range(4))
def test_the_disk_refuses_files_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int) -> None:
    """Whichever sync fails, what was written in vain is deleted, and the next try writes everything."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE), ("b", NOW_MS, ONE))
    generation = desk.freeze()
    with monkeypatch.context() as patch:
        BadDisk(patch, "fsync").fail_after(fails_at)
        with pytest.raises((OSError, Unavailable)):
            desk.writer.write(generation)
    assert not sorted(tmp_path.rglob("*.parquet"))
    desk.writer.write(generation)
    assert desk.rows() == {("a", NOW_MS): ONE, ("b", NOW_MS): ONE}
    assert desk.catalogue.checkpoint().tallies[HTTP].stored == 2
    desk.catalogue.close()


def test_what_the_journal_lost_is_given_up(tmp_path: Path) -> None:
    """Rows that did not become durable leave the generation, and are refused in its tallies and the live ones."""
    desk = Desk(tmp_path)
    desk.take(("a", NOW_MS, ONE))
    desk.take(("a", NOW_MS + 1, ONE), ("b", NOW_MS, ONE), durable=False)
    generation = desk.freeze()
    generation.give_up(desk.pipeline.tallies)
    generation.give_up(desk.pipeline.tallies)  # nothing is left to give up
    desk.writer.write(generation)
    expected = Tally(frames=2, received=3, stored=1, refused={"unavailable": 2})
    assert generation.tallies[HTTP] == desk.pipeline.tallies[HTTP] == expected
    assert desk.rows() == {("a", NOW_MS): ONE}
    assert desk.catalogue.checkpoint().series_count == 2
    desk.catalogue.close()
