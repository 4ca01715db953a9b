"""The sealer: when it seals, that it tries again, and that readers see everything once meanwhile."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ingest.test_engine_events import keep as keep_event

from nissa.ingest import sealing
from nissa.ingest.frozen_head import FrozenHeadWriter
from nissa.journal.journal import Journal
from nissa.model.errors import Damaged, JournalFailed, Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from nissa.query.events import EventRequest, read_page
from nissa.query.export import stream_series
from nissa.store.quarantine import Quarantined
from nissa.store.read import read_samples
from oracle.engine import ALWAYS, NOW_MS, ONE, BadDisk, Rig, config_of, wait_until


def seals(rig: Rig) -> int:
    """Number of heads sealed since the engine was opened."""
    return int(rig.engine.status().facts()["seal"]["count"])


def opened(rig: Rig, **storage: object) -> None:
    """Open the rig again with other settings of storage."""
    rig.config = config_of(storage=storage)
    rig.restart()


def test_a_full_head_is_sealed(rig: Rig) -> None:
    """The head is sealed by itself at a weight of storage.seal_samples."""
    opened(rig, seal_samples=30)
    rig.keep([(f"m{at}", NOW_MS, ONE) for at in range(28)])
    assert seals(rig) == 0
    rig.keep([("last", NOW_MS, ONE)])
    wait_until(lambda: seals(rig) == 1)
    assert rig.engine.status().facts()["blocks"]["samples"] == 29
    rig.check()


@pytest.mark.parametrize("step_ms", [MINUTE_MS, -MINUTE_MS])
def test_an_old_head_is_sealed(rig: Rig, step_ms: int) -> None:
    """After storage.seal_interval the head is sealed, also where the clock was set back by as much."""
    opened(rig, seal_interval_ms=MINUTE_MS)
    rig.keep([("a", NOW_MS, ONE)])
    rig.now_ms += step_ms - step_ms // MINUTE_MS
    rig.keep([("b", NOW_MS, ONE)])
    assert seals(rig) == 0
    rig.now_ms += step_ms // MINUTE_MS
    wait_until(lambda: seals(rig) == 1)
    rig.check()


def test_a_journal_of_refusals_is_trimmed(rig: Rig) -> None:
    """Notes of refused frames fill no head; they are sealed by what they take of the journal."""
    opened(rig, segment_bytes=16 * KIB, journal_bytes_max=32 * KIB)
    bad = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, b"\x0a\x7f")
    for _ in range(60):
        for completed in [rig.submit_frame(bad) for _ in range(10)]:
            assert isinstance(completed.get(timeout=60), Malformed)
    wait_until(lambda: seals(rig) > 0)
    wait_until(lambda: rig.engine.status().facts()["journal"]["bytes"] <= 64 * KIB)
    assert rig.total().malformed == 600
    rig.crash()
    assert rig.total().malformed == 600


def test_what_is_sealed_leaves_the_journal(rig: Rig) -> None:
    """Segments behind the checkpoint are deleted, also where the first try to delete them failed."""
    opened(rig, segment_bytes=4 * KIB)
    for turn in range(100):
        rig.keep([(f"m{at}", NOW_MS + turn, ONE) for at in range(3)])
    before = rig.engine.status().facts()["journal"]
    assert before["segments"] > 4
    with pytest.MonkeyPatch.context() as patch:

        def trim(*_: object) -> None:
            raise JournalFailed("EROFS")

        patch.setattr(Journal, "trim", trim)
        rig.engine.flush()
        wait_until(lambda: rig.engine.status().facts()["seal"]["failures"] == 1)
    assert rig.engine.status().facts()["journal"]["segments"] >= before["segments"]
    rig.check()
    rig.keep([("b", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["journal"]["segments"] <= 2)
    rig.check()
    rig.crash()
    rig.check()


def test_a_seal_knows_what_the_one_before_found(rig: Rig) -> None:
    """A head that is frozen before the engine has heard of the last one's duplicates goes without them on disk too."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: not rig.engine._sealer._unsettled)
    waiting: list[Callable[[], None]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig.engine._sealer, "_call", waiting.append)
        rig.keep([("a", NOW_MS, ONE)])
        rig.engine.flush()
        wait_until(lambda: len(waiting) == 1)
        rig.keep([("b", NOW_MS, ONE)])
        rig.engine.flush()
    rig.check()
    rig.crash()
    rig.check()


def test_nothing_sealed_stays_in_the_journal(rig: Rig) -> None:
    """A seal lets go of all its frames at once, though the segment is not full and nothing is received after them."""
    opened(rig, segment_bytes=64 * KIB)
    rig.keep([("m" * 40_000, NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["journal"]["segments"] == 0)
    assert not list((rig.engine.directory / "journal").glob("*.journal"))
    rig.keep([("b", NOW_MS, ONE)])
    rig.check()
    rig.crash()
    rig.check()


def test_a_disk_that_refuses_blocks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that cannot be sealed stays readable and durable, more is taken, and it is sealed when the disk can."""
    monkeypatch.setattr(sealing, "RETRY_S", 0.1)
    disk = BadDisk(monkeypatch, "write", errno.ENOSPC)
    rig.keep([("a", NOW_MS, ONE), ("a", NOW_MS, ONE)])
    disk.failing = True
    with pytest.raises(Unavailable, match="could not be sealed"):
        rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["seal"]["failures"] >= 2)
    assert "No space left" in rig.engine.status().facts()["seal"]["last_error"]
    rig.keep([("b", NOW_MS, ONE), ("a", NOW_MS, ONE)])
    rig.check()
    disk.failing = False
    wait_until(lambda: seals(rig) == 1)
    rig.engine.flush()
    assert rig.engine.status().facts()["seal"]["last_error"] is None
    rig.check()
    disk.failing = True
    rig.keep([("c", NOW_MS, ONE)])
    with pytest.raises(Unavailable, match="could not be sealed"):
        rig.engine.close(seal=True)
    disk.failing = False
    rig.engine = rig._open()
    rig.check()


@pytest.mark.long
def test_a_flush_is_told_of_now(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks once the disk is well again hears nothing of old errors, and does not wait for the next try."""
    monkeypatch.setattr(sealing, "RETRY_S", 3_600)
    disk = BadDisk(monkeypatch, "write", errno.ENOSPC)
    rig.keep([("a", NOW_MS, ONE)])
    disk.failing = True
    for _ in range(2):
        with pytest.raises(Unavailable, match="could not be sealed"):
            rig.engine.flush()
    disk.failing = False
    rig.engine.flush()
    assert seals(rig) >= 1
    rig.check()
    disk.failing = True
    rig.keep([("b", NOW_MS, ONE)])
    with pytest.raises(Unavailable, match="could not be sealed"):
        rig.engine.flush()
    rig.engine.close()  # nor does closing wait
    disk.failing = False
    rig.engine = rig._open()
    rig.check()


def test_readers_see_everything_once(rig: Rig) -> None:
    """While heads are sealed and blocks merged, a snapshot always holds each acknowledged row exactly once."""
    opened(rig, compaction_fan_in=2)
    done, wrong = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            before = set(rig.rows)
            try:
                seen = rig.read().keys()  # raises where a row is there twice
            except AssertionError as error:
                wrong.append(error)
            else:
                if not before <= seen:
                    wrong.append(before - seen)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        rig.keep([(f"m{at}", NOW_MS + turn, ONE) for at in range(5)])
        rig.keep([("m0", NOW_MS + turn, ONE)])
        rig.engine.flush()
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    rig.check()


def raw_count(rig: Rig) -> int:
    """Number of raw blocks."""
    return len([block for block in rig.engine.snapshot().blocks if block.kind == "raw"])


def block_files(path: Path) -> list[Path]:
    """Files of raw blocks, oldest first."""
    return sorted((path / "blocks").glob("raw-*.parquet"))


def test_blocks_are_merged(rig: Rig) -> None:
    """Enough blocks become one of the next level, which the ladder merges; files are deleted, rows stay."""
    opened(rig, compaction_fan_in=3)
    for turn in range(9):
        rig.keep([("a", NOW_MS + turn % 4, ONE), ("b", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["blocks"]["count"] == 3)
    wait_until(lambda: len(block_files(rig.path)) == 3)
    rig.check()
    rig.crash()
    rig.check()


def test_a_damaged_block_does_not_stop_merging(rig: Rig) -> None:
    """A block that cannot be read is reported and put aside; the others of its level are merged."""
    opened(rig, compaction_fan_in=3)
    rig.keep([("hit", NOW_MS, ONE)])
    rig.engine.flush()
    (hit,) = block_files(rig.path)
    hit.write_bytes(bytes(byte ^ 0xFF for byte in hit.read_bytes()))
    for turn in range(4):
        rig.keep([("a", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: raw_count(rig) == 2)  # three merged, one more
    wait_until(hit.with_name(hit.name + ".damaged").exists)  # the last step of putting it aside
    assert rig.engine.status().facts()["maintenance"]["quarantine"]["rows"] == 1
    assert rig.engine.status().facts()["maintenance"]["jobs"]["compaction"]["failures"] == 1
    assert not hit.exists()
    snapshot = rig.engine.snapshot()
    with pytest.raises(Quarantined, match="1 rows of"):
        read_samples(snapshot, None, *ALWAYS)
    told: list[Damaged] = []
    assert len(read_samples(snapshot, None, *ALWAYS, told.append)) == 4
    assert len(told) == 1
    assert len(read_samples(snapshot, None, NOW_MS + 1, NOW_MS + 9)) == 3  # nothing is missing from there


def test_a_missing_block_is_named_and_the_rest_goes_on(rig: Rig) -> None:
    """The first reader that misses a file is answered without it; it is put aside, and others are merged."""
    opened(rig, compaction_fan_in=3)
    rig.keep([("hit", NOW_MS, ONE)])
    rig.engine.flush()
    (hit,) = block_files(rig.path)
    hit.unlink()
    told: list[Damaged] = []
    batches = list(stream_series(rig.engine, np.arange(1, dtype=np.uint32), ALWAYS, on_damage=told.append))
    assert not batches
    assert [(one.path, "the file is missing" in str(one)) for one in told] == [(str(hit), True)]
    rig.keep([("hit", NOW_MS, ONE)])  # the rows of a missing block are not known
    rig.total()
    for turn in range(4):
        rig.keep([("a", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: raw_count(rig) <= 3)
    assert rig.engine.status().facts()["maintenance"]["quarantine"]["rows"] == 1
    assert rig.engine.status().facts()["seal"]["failures"] == 0
    assert rig.engine.status().facts()["ladder"]["failures"] == 0
    rows = read_samples(rig.engine.snapshot(), None, *ALWAYS, told.append)
    assert len(rows) == 5
    rig.restart()
    assert len(read_samples(rig.engine.snapshot(), None, *ALWAYS, told.append)) == 5


def test_event_blocks_are_merged(rig: Rig) -> None:
    """Event blocks are merged by themselves; pages of queries go on where they were, over a crash too."""
    opened(rig, compaction_fan_in=3)
    page = None
    for number in range(10):
        keep_event(rig, number)
        rig.engine.flush()
        page = page or read_page(rig.engine.event_snapshot(), EventRequest(limit=1))
    wait_until(lambda: rig.engine.status().facts()["blocks"]["count"] == 2)
    wait_until(lambda: len(list((rig.path / "blocks").iterdir())) == 2)
    assert page is not None
    expected = sorted(range(10), key=lambda number: number % 3)
    for _ in range(2):
        rest = read_page(rig.engine.event_snapshot(), EventRequest(cursor=page.cursor))
        assert [int(row["description"]) for row in rest.events] == expected[1:]
        rig.crash()
    assert rig.engine.status().facts()["seal"]["failures"] == 0


def test_a_journal_that_fails_while_a_head_waits_to_be_sealed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation whose last rows the journal lost is sealed without them, and it all opens again by itself."""
    rig.keep([("a", NOW_MS, ONE)])
    disk = BadDisk(monkeypatch, "fdatasync")
    go_on = threading.Event()
    real = rig.engine._journal.commit
    monkeypatch.setattr(rig.engine._journal, "commit", lambda: (go_on.wait(60), real())[1])
    lost = rig.submit([("a", NOW_MS + 1, ONE), ("lost", NOW_MS, ONE)])
    flushed = threading.Thread(target=rig.engine.flush)
    flushed.start()
    wait_until(lambda: rig.engine.status().facts()["head"]["sealing"] == 3)
    disk.failing = True
    go_on.set()
    assert isinstance(lost.get(timeout=60), Unavailable)
    disk.failing = False
    flushed.join()
    wait_until(lambda: rig.engine.status().mode == "ready")
    rig.refused.update(unavailable=2)
    rig.check()
    rig.keep([("lost", NOW_MS, ONE)])
    rig.crash()
    rig.check()


def test_an_unexpected_error_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sealing raises, the thread lives and the head is sealed in the end."""
    monkeypatch.setattr(sealing, "RETRY_S", 0.1)

    def write(*_: object) -> None:
        raise ZeroDivisionError

    rig.keep([("a", NOW_MS - HOUR_MS, ONE)])
    with monkeypatch.context() as patch:
        patch.setattr(FrozenHeadWriter, "write", write)
        with pytest.raises(Unavailable):
            rig.engine.flush()
    wait_until(lambda: seals(rig) == 1)
    rig.check()


def test_segments_of_series_stay_few(rig: Rig) -> None:
    """Each seal brings a new series; segments are merged behind it, and every series is found again after a start."""
    opened(rig, compaction_fan_in=2)
    for turn in range(12):
        rig.keep([(f"m{turn}", NOW_MS + turn, ONE)])
        rig.engine.flush()
    rig.keep([("last", NOW_MS + 50, ONE)])
    rig.engine.flush()
    wait_until(lambda: len(list((rig.path / "series").iterdir())) <= 2)
    rig.check()
    rig.crash()
    rig.check()
    assert rig.engine.status().facts()["series"]["total"] == 13
