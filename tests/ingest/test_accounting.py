"""The balance of every source at any moment: received = stored + duplicate + refused + in flight."""

import os
import random
import threading

import pytest

from nissa.ingest.accounting import balance_of
from nissa.ingest.recover import read_directory
from nissa.model.counters import Counters
from nissa.model.errors import NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS
from oracle.engine import NOW_MS, ONE, Rig, config_of, wait_until

TWO = 0x4000_0000_0000_0000
HTTP, SELF = "http/remote_write_1", "self/remote_write_1"


def test_duplicates_are_known_before_they_are_sealed(rig: Rig) -> None:
    """Rows that repeat another one of the head, or one in a block, are duplicates at once; sealing changes nothing."""
    rig.keep([("a", NOW_MS, ONE), ("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    rig.check()
    assert (rig.total().duplicate, rig.total().conflicts) == (1, 0)
    rig.engine.flush()
    rig.check()
    rig.keep([("a", NOW_MS, TWO), ("a", NOW_MS, ONE), ("c", NOW_MS, TWO), ("c", NOW_MS, TWO), ("b", NOW_MS, ONE)])
    before = rig.total()
    assert (before.stored, before.duplicate, before.conflicts) == (3, 5, 2)
    rig.check()
    rig.engine.flush()
    assert rig.total() == before
    rig.check()


def test_duplicates_are_counted_for_who_brought_them(rig: Rig) -> None:
    """Each source has a balance of its own: who came second has the duplicate."""
    rig.send([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    rig.engine.flush()
    rig.send([("a", NOW_MS, ONE), ("c", NOW_MS, ONE)], Source.SELF)
    rig.send([("c", NOW_MS, ONE), ("d", NOW_MS, ONE), ("d", NOW_MS, TWO)])
    for _ in range(2):
        tallies = rig.engine.accounting()
        assert tallies[HTTP] == Counters(frames=2, received=5, stored=3, duplicate=2, conflicts=1)
        assert tallies[SELF] == Counters(frames=1, received=2, stored=1, duplicate=1)
        rig.engine.flush()


def test_what_is_not_durable_is_in_flight(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes its time records are in flight: not stored, not seen, the balance even."""
    rig.keep([("a", NOW_MS, ONE)])
    go_on, real = threading.Event(), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (go_on.wait(60), real(fd)))
    waiting = [rig.submit([("a", NOW_MS + turn, ONE), ("b", NOW_MS, ONE)]) for turn in range(5)]
    wait_until(lambda: rig.total().received == 11)
    total = rig.total()
    assert (total.stored, total.duplicate, total.in_flight) == (1, 0, 10)
    rig.check_rows()
    go_on.set()
    for turn, one in enumerate(waiting):
        assert isinstance(one.get(timeout=60), Receipt)
        rig.note([("a", NOW_MS + turn, ONE), ("b", NOW_MS, ONE)])
    rig.check()


@pytest.mark.parametrize("seed", range(3))
def test_exact_over_restarts(rig: Rig, seed: int) -> None:
    """Good, late, refused and malformed frames of two sources; crashes, restarts and seals lose no count."""
    rng = random.Random(seed)
    rig.config = config_of(series={"active_max": 5}, storage={"compaction_fan_in": 2})
    rig.crash()
    expected: dict[str, Counters] = {}
    for _ in range(40):
        rig.now_ms += rng.choice((0, 1_000, 30_000))
        source = rng.choice((Source.HTTP, Source.SELF))
        counters = expected.setdefault(f"{source.name.lower()}/remote_write_1", Counters())
        counters.frames += 1
        if rng.random() < 0.15:
            frame = Frame(Codec.REMOTE_WRITE_1, rng.choice(list(Encoding)), source, rig.now_ms, b"\x0a\x7f")
            outcomes = rig.submit_frame(frame)
            assert isinstance(outcomes.get(timeout=60), NissaError)
            counters.malformed += 1
        else:
            rows = [
                (f"m{rng.randrange(9)}", NOW_MS + rng.choice((rng.randrange(9), -7 * HOUR_MS, HOUR_MS)), ONE)
                for _ in range(rng.randrange(5))
            ]
            outcome = rig.send(rows, source)
            assert isinstance(outcome, Receipt)
            counters.received += len(rows)
            for reason, count in outcome.refused.items():
                counters.refuse(reason, count)
        rng.choice((lambda: None, lambda: None, lambda: None, rig.crash, rig.restart, rig.engine.flush))()
        tallies = rig.engine.accounting()
        rig.total()
        for name, counters in expected.items():
            told = tallies[name]
            assert (told.frames, told.malformed, told.received) == (
                counters.frames,
                counters.malformed,
                counters.received,
            )
            assert told.refused == counters.refused
    assert sum(counters.stored for counters in rig.engine.accounting().values()) == len(rig.read())


def test_the_same_from_outside(rig: Rig) -> None:
    """Whoever reads the directory beside the daemon comes to the same balance."""
    rig.keep([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    rig.engine.flush()
    rig.keep([("a", NOW_MS, TWO), ("a", NOW_MS, ONE), ("c", NOW_MS, ONE)])
    read = read_directory(rig.path)
    assert balance_of(rig.path, read.blocks, read.pipeline) == rig.engine.accounting()


@pytest.mark.long
def test_asked_while_blocks_are_merged(rig: Rig) -> None:
    """The balance is even, and right, however blocks come and go while it is worked out."""
    rig.config = config_of(storage={"compaction_fan_in": 2})
    rig.restart()
    wrong: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                total = rig.total()
            except Unavailable:
                continue
            except AssertionError as error:
                wrong.append(error)
            else:
                wrong.extend([total] * (total.stored > 3))

    thread = threading.Thread(target=ask)
    thread.start()
    for turn in range(12):
        rig.keep([(f"m{turn % 3}", NOW_MS, ONE), (f"m{(turn + 1) % 3}", NOW_MS, ONE)])
        rig.engine.flush()
    done.set()
    thread.join()
    assert not wrong
    rig.check()
