"""The sealer: when it seals, that it tries again, and that readers see everything once meanwhile."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ingest.test_engine_events import keep as keep_event

from nissa.ingest import sealing
from nissa.ingest.generation import GenerationWriter
from nissa.model.errors import Damaged, JournalFailed, Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from nissa.query.events import EventQuestion, read_page
from nissa.store.catalogue import BlockRow
from nissa.store.journal import Journal
from nissa.store.quarantine import Quarantined
from nissa.store.read import read_samples
from oracle.engine import ALWAYS, NOW_MS, ONE, BadDisk, Rig, config_of, wait_until


def seals(rig: Rig) -> int:
    """How many heads have been sealed since the engine was opened."""
    return int(rig.engine.status()["seal"]["count"])


def opened(rig: Rig, **storage: object) -> None:
    """Open the rig again with other settings of storage."""
    rig.config = config_of(storage=storage)
    rig.restart()


def test_a_full_head_is_sealed(rig: Rig) -> None:
    """At storage.seal_samples of weight the head goes into a block without being asked."""
    opened(rig, seal_samples=30)
    rig.keep([(f"m{at}", NOW_MS, ONE) for at in range(28)])
    assert seals(rig) == 0
    rig.keep([("last", NOW_MS, ONE)])
    wait_until(lambda: seals(rig) == 1)
    assert rig.engine.status()["blocks"]["samples"] == 29
    rig.check()


@pytest.mark.parametrize("step_ms", [MINUTE_MS, -MINUTE_MS])
def test_an_old_head_is_sealed(rig: Rig, step_ms: int) -> None:
    """After storage.seal_interval_ms the head is sealed, also where the clock was set back by as much."""
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
        for settled in [rig.submit_frame(bad) for _ in range(10)]:
            assert isinstance(settled.get(timeout=60), Malformed)
    wait_until(lambda: seals(rig) > 0)
    wait_until(lambda: rig.engine.status()["journal"]["bytes"] <= 64 * KIB)
    assert rig.total().malformed == 600
    rig.crash()
    assert rig.total().malformed == 600


def test_what_is_sealed_leaves_the_journal(rig: Rig) -> None:
    """Segments behind the checkpoint are deleted, also where the first try to delete them failed."""
    opened(rig, segment_bytes=4 * KIB)
    for turn in range(100):
        rig.keep([(f"m{at}", NOW_MS + turn, ONE) for at in range(3)])
    before = rig.engine.status()["journal"]
    assert before["segments"] > 4
    with pytest.MonkeyPatch.context() as patch:

        def trim(*_: object) -> None:
            raise JournalFailed("EROFS")

        patch.setattr(Journal, "trim", trim)
        rig.engine.flush()
        wait_until(lambda: rig.engine.status()["seal"]["failures"] == 1)
    assert rig.engine.status()["journal"]["segments"] >= before["segments"]
    rig.check()
    rig.keep([("b", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status()["journal"]["segments"] <= 2)
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
    wait_until(lambda: rig.engine.status()["journal"]["segments"] == 0)
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
    wait_until(lambda: rig.engine.status()["seal"]["failures"] >= 2)
    assert "No space left" in rig.engine.status()["seal"]["last_error"]
    rig.keep([("b", NOW_MS, ONE), ("a", NOW_MS, ONE)])
    rig.check()
    disk.failing = False
    wait_until(lambda: seals(rig) == 1)
    rig.engine.flush()
    assert rig.engine.status()["seal"]["last_error"] is None
    rig.check()
    disk.failing = True
    rig.keep([("c", NOW_MS, ONE)])
    with pytest.raises(Unavailable, match="could not be sealed"):
        rig.engine.close(seal=True)
    disk.failing = False
    rig.engine = rig._open()
    rig.check()


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
            except FileNotFoundError:
                continue  # merged since the snapshot: the reader takes another one
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
    """How many raw blocks there are."""
    return len([block for block in rig.engine.snapshot().blocks if block.kind == "raw"])


def block_files(path: Path) -> list[Path]:
    """Files of raw blocks, oldest first."""
    return sorted((path / "blocks").glob("raw-*.parquet"))


def test_blocks_are_merged(rig: Rig) -> None:
    """Enough blocks become one of the next level, the ladder's to merge; files go, what is read stays."""
    opened(rig, compaction_fan_in=3)
    for turn in range(9):
        rig.keep([("a", NOW_MS + turn % 4, ONE), ("b", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: rig.engine.status()["blocks"]["count"] == 3)
    wait_until(lambda: len(block_files(rig.path)) == 3)
    rig.check()
    rig.crash()
    rig.check()


def test_a_damaged_block_does_not_stop_merging(rig: Rig) -> None:
    """A block that cannot be read is told and put aside; the others of its level are merged."""
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
    assert rig.engine.status()["upkeep"]["quarantine"]["rows"] == 1
    assert rig.engine.status()["seal"]["failures"] == 1
    assert not hit.exists()
    snapshot = rig.engine.snapshot()
    with pytest.raises(Quarantined, match="1 rows of"):
        read_samples(snapshot, None, *ALWAYS)
    told: list[Damaged] = []
    assert len(read_samples(snapshot, None, *ALWAYS, told.append)) == 4
    assert len(told) == 1
    assert len(read_samples(snapshot, None, NOW_MS + 1, NOW_MS + 9)) == 3  # nothing is missing from there


def test_event_blocks_are_merged(rig: Rig) -> None:
    """As blocks of samples are, without them; pages go on where they were, over a crash too."""
    opened(rig, compaction_fan_in=3)
    page = None
    for number in range(10):
        keep_event(rig, number)
        rig.engine.flush()
        page = page or read_page(rig.engine.event_snapshot(), EventQuestion(limit=1))
    wait_until(lambda: rig.engine.status()["blocks"]["count"] == 2)
    wait_until(lambda: len(list((rig.path / "blocks").iterdir())) == 2)
    assert page is not None
    expected = sorted(range(10), key=lambda number: number % 3)
    for _ in range(2):
        rest = read_page(rig.engine.event_snapshot(), EventQuestion(cursor=page.cursor))
        assert [int(row["description"]) for row in rest.events] == expected[1:]
        rig.crash()
    assert rig.engine.status()["seal"]["failures"] == 0


class Merge:
    """Something that happens once, in the midst of a merge."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, event: Callable[[], None]) -> None:
        self._real: Callable[..., BlockRow] = sealing.merge_blocks
        self._event = event
        self.happened = False
        monkeypatch.setattr(sealing, "merge_blocks", self._merge)

    def _merge(self, *arguments: object) -> BlockRow:
        if not self.happened:
            self.happened = True
            self._event()
        return self._real(*arguments)


def test_a_head_is_sealed_in_the_midst_of_a_merge(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long merge does not hold up the head: it is sealed in between, and both come out right."""
    opened(rig, compaction_fan_in=2)
    flushed = threading.Thread(target=rig.engine.flush)

    def send() -> None:
        rig.keep([("between", NOW_MS, ONE), ("a", NOW_MS, ONE)])
        flushed.start()
        wait_until(lambda: rig.engine.status()["head"]["sealing"] == 2)

    merge = Merge(monkeypatch, send)
    for turn in range(2):
        rig.keep([("a", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: merge.happened and seals(rig) == 3)
    flushed.join()
    wait_until(lambda: rig.engine.status()["blocks"]["count"] == 2)
    rig.check()
    rig.crash()
    rig.check()


def test_closing_ends_a_merge(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for a merge to end; it changes nothing then, and is made another time."""
    opened(rig, compaction_fan_in=2)
    closed = threading.Thread(target=rig.engine.close)

    def close() -> None:
        closed.start()
        wait_until(rig.engine._sealer._stopping.is_set)

    merge = Merge(monkeypatch, close)
    for turn in range(2):
        rig.keep([("a", NOW_MS + turn, ONE)])
        rig.engine.flush()
    wait_until(lambda: merge.happened and not rig.engine.ready)
    closed.join()
    rig.engine = rig._open()
    assert rig.engine.status()["blocks"]["count"] == 2
    assert len(block_files(rig.path)) == 2
    rig.check()
    rig.keep([("b", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status()["blocks"]["count"] == 2)
    rig.check()


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
    wait_until(lambda: rig.engine.status()["head"]["sealing"] == 3)
    disk.failing = True
    go_on.set()
    assert isinstance(lost.get(timeout=60), Unavailable)
    disk.failing = False
    flushed.join()
    wait_until(lambda: rig.engine.status()["mode"] == "ready")
    rig.refused.update(unavailable=2)
    rig.check()
    rig.keep([("lost", NOW_MS, ONE)])
    rig.crash()
    rig.check()


def test_an_error_nobody_foresaw_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sealing raises, the thread lives and the head is sealed in the end."""
    monkeypatch.setattr(sealing, "RETRY_S", 0.1)

    def write(*_: object) -> None:
        raise ZeroDivisionError

    rig.keep([("a", NOW_MS - HOUR_MS, ONE)])
    with monkeypatch.context() as patch:
        patch.setattr(GenerationWriter, "write", write)
        with pytest.raises(Unavailable):
            rig.engine.flush()
    wait_until(lambda: seals(rig) == 1)
    rig.check()
