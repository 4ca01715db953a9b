"""The engine on a real directory: acknowledged samples are stored exactly once, however and whenever it stops."""

import os
import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from nissa.ingest.engine import Engine
from nissa.ingest.pipeline import Pipeline
from nissa.model.errors import DirectoryLocked, Malformed, Unavailable, UnsupportedMedia
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Outcome
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from oracle.engine import NOW_MS, ONE, Rig, Sample, body_of, config_of, wait_until

TWO = 0x4000_0000_0000_0000
STALE = 0x7FF0_0000_0000_0002


def frame_of(*samples: Sample) -> Frame:
    """A frame received now."""
    return Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of(samples))


def test_duplicates_late_and_stale_over_blocks_and_head(rig: Rig) -> None:
    """Late, equal, conflicting and stale samples over several blocks and the head are read once, the largest kept."""
    rng = random.Random(5)
    for _ in range(5):
        for _ in range(4):
            rig.keep(
                [
                    (f"m{rng.randrange(4)}", NOW_MS - rng.randrange(12) * 20 * MINUTE_MS, rng.choice((ONE, TWO, STALE)))
                    for _ in range(12)
                ]
            )
            rig.check()
        rng.choice((rig.engine.flush, rig.crash, rig.restart))()
        rig.check()
    assert len(rig.rows) == 48


def test_what_arrives_after_close_is_unavailable(rig: Rig) -> None:
    """A frame handed in after the close is settled at once, and questions that need the engine say so."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.close()
    assert not rig.engine.ready
    outcome = rig.submit([("b", NOW_MS, ONE)]).get_nowait()
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after_s > 0
    for question in (rig.engine.accounting, rig.engine.flush):
        with pytest.raises(Unavailable, match="closed"):
            question()
    rig.engine.close(seal=True)
    rig.check_rows()  # the memory is still there to be read
    rig.engine = rig._open()
    rig.check()


class Traffic:
    """Senders that note frames sent and outcomes received, and callers that may get Unavailable."""

    def __init__(self, engine: Engine, first_ms: int) -> None:
        self.engine = engine
        self.first_ms = first_ms
        self.sent: list[int] = []
        self.completed: list[tuple[int, Outcome]] = []
        self.errors: list[Exception] = []

    def send(self, lane: int) -> None:
        """60 frames of one sample each."""
        for ts_ms in range(self.first_ms + lane * 100, self.first_ms + lane * 100 + 60):
            self.sent.append(ts_ms)
            self.engine.submit(frame_of(("m", ts_ms, ONE)), partial(self._complete, ts_ms))

    def _complete(self, ts_ms: int, outcome: Outcome) -> None:
        self.completed.append((ts_ms, outcome))

    def call(self, question: Callable[[], object], times: int) -> None:
        """The same question again and again, until the engine has none of it."""
        try:
            for _ in range(times):
                question()
        except Unavailable:
            return
        except Exception as error:
            self.errors.append(error)


@pytest.mark.parametrize("seal", [False, True])
def test_everybody_is_settled_once_whenever_it_closes(rig: Rig, seal: bool) -> None:
    """Senders, flushes and queries in the midst of a close all get an answer, and acknowledged samples are stored."""
    for turn in range(4):
        engine, traffic = rig.engine, Traffic(rig.engine, NOW_MS + turn * 1_000)
        work = [threading.Thread(target=traffic.send, args=(lane,)) for lane in range(3)]
        work += [threading.Thread(target=traffic.call, args=(one, 20)) for one in (engine.flush, engine.accounting)]
        closers = [threading.Thread(target=traffic.call, args=(partial(engine.close, seal=seal), 1)) for _ in range(2)]
        for thread in work:
            thread.start()
        wait_until(lambda: len(traffic.completed) >= 10)  # noqa: B023
        for thread in closers:
            thread.start()
        for thread in work + closers:
            thread.join()
        assert not traffic.errors
        assert sorted(ts_ms for ts_ms, _ in traffic.completed) == sorted(traffic.sent)
        rig.note(("m", ts_ms, ONE) for ts_ms, outcome in traffic.completed if isinstance(outcome, Receipt))
        rig.engine = rig._open()
        rig.check()


def test_whoever_closes_second_waits_too(rig: Rig) -> None:
    """When any close returns the directory can be opened again, though another one began it."""
    for turn in range(5):
        rig.submit([("a", NOW_MS + turn, ONE)])
        rig.note([("a", NOW_MS + turn, ONE)])
        first = threading.Thread(target=rig.engine.close)
        first.start()
        wait_until(lambda: not rig.engine.ready)
        rig.restart()
        first.join()
        rig.check()


def test_one_engine_per_directory(rig: Rig) -> None:
    """A second engine is refused by name, and the first goes on."""
    with pytest.raises(DirectoryLocked):
        rig._open()
    rig.keep([("a", NOW_MS, ONE)])
    rig.check()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 3))])
def test_the_series_limit_is_exact(rig: Rig, seed: int) -> None:
    """Over kills, restarts, seals and idleness exactly so many series are active as may be; known ones always pass."""
    rng = random.Random(seed)
    limit, ttl_minutes = 7, 5
    rig.config = config_of(series={"active_max": limit, "idle_ttl_ms": ttl_minutes * MINUTE_MS})
    rig.restart()
    seen: dict[str, int] = {}  # name -> minute of its last sample; only active ones
    for _ in range(60):
        rig.now_ms += rng.choice((0, 10_000, MINUTE_MS))
        minute = rig.now_ms // MINUTE_MS
        seen = {name: last for name, last in seen.items() if last >= minute - ttl_minutes}
        rows = [(f"m{rng.randrange(16)}", rig.now_ms + at, ONE) for at in range(rng.randrange(1, 4))]
        kept = []
        for name, ts_ms, bits in rows:
            if name in seen or len(seen) < limit:
                seen[name] = minute
                kept.append((name, ts_ms, bits))
        outcome = rig.send(rows)
        assert isinstance(outcome, Receipt)
        assert outcome.samples == len(kept)
        assert outcome.refused == ({"series_limit": len(rows) - len(kept)} if len(kept) < len(rows) else {})
        rig.note(kept)
        rig.refused.update(outcome.refused)
        rng.choice((lambda: None, lambda: None, rig.crash, rig.restart, rig.engine.flush))()
        series = rig.engine.status().facts()["series"]
        assert (series["active"], series["limit"]) == (len(seen), limit)
    rig.check()
    assert rig.refused["series_limit"] > 10


def test_pressure_and_refusal_when_the_sealer_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges are asked to wait while the head is over its limit, refused at twice of it, welcome when it is sealed."""
    rig = Rig(tmp_path / "data", config_of(storage={"seal_samples": 50, "head_samples_max": 100}))
    go_on = threading.Event()
    real = rig.engine._sealer._writer.write
    monkeypatch.setattr(rig.engine._sealer._writer, "write", lambda *frozen_head: (go_on.wait(60), real(*frozen_head)))
    outcomes: list[Outcome] = []
    for turn in range(60):
        rows = [("m", NOW_MS + turn * 10 + at, ONE) for at in range(9)]
        outcomes.append(rig.send(rows))
        if isinstance(outcomes[-1], Receipt):
            rig.note(rows)
    assert rig.engine.pressure
    refused = [one for one in outcomes if isinstance(one, Unavailable)]
    assert len(refused) == 60 - 21  # 10 of weight each, up to the first over 200
    assert "storage.head_samples_max" in str(refused[0])
    rig.check_rows()
    go_on.set()
    wait_until(lambda: not rig.engine.pressure)
    rig.keep([("after", NOW_MS, ONE)])
    rig.check()
    rig.engine.close()


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pressure begins at the limit of frames that wait, and ends with their answers."""
    rig = Rig(tmp_path / "data", config_of(ingest={"queue_frames_max": 3}))
    go_on = threading.Event()
    real = rig.engine._journal.commit
    monkeypatch.setattr(rig.engine._journal, "commit", lambda: (go_on.wait(60), real())[1])
    waiting = []
    for turn in range(5):
        assert rig.engine.pressure == (turn > 3)
        waiting.append(rig.submit([("m", NOW_MS + turn, ONE)]))
    status = rig.engine.status().facts()["queue"]
    assert status == {"frames": 5, "bytes": sum(len(body_of([("m", NOW_MS + turn, ONE)])) for turn in range(5))}
    go_on.set()
    assert all(isinstance(one.get(timeout=60), Receipt) for one in waiting)
    wait_until(lambda: not rig.engine.pressure)
    rig.engine.close()


def test_ingest_waits_and_raises(rig: Rig) -> None:
    """One body at a time: a Receipt once it is durable, the error where nothing was kept."""
    receipt = rig.engine.ingest(body_of([("a", NOW_MS, ONE), ("a", NOW_MS - 9 * HOUR_MS, ONE)]), Codec.REMOTE_WRITE_1)
    assert (receipt.samples, receipt.refused) == (1, {"too_old": 1})
    rig.note([("a", NOW_MS, ONE)])
    rig.refused.update(too_old=1)
    with pytest.raises(Malformed):
        rig.engine.ingest(b"\x0a\x7f", Codec.REMOTE_WRITE_1)
    with pytest.raises(UnsupportedMedia):
        rig.engine.ingest(b"{}", Codec.TALLY)
    rig.crash()
    rig.check()


def test_a_state_nobody_foresaw_stops_taking_not_reading(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an internal error no frame is taken, all senders are answered, and a restart has acknowledged samples."""
    rig.keep([("a", NOW_MS, ONE)])

    def broken(*_: object) -> None:
        raise ZeroDivisionError("as nobody foresaw")

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "take", broken)
        assert isinstance(rig.send([("b", NOW_MS, ONE)]), Unavailable)
    outcome = rig.send([("c", NOW_MS, ONE)])
    assert isinstance(outcome, Unavailable)
    assert "ZeroDivisionError" in str(outcome)
    status = rig.engine.status().facts()
    assert (status["mode"], rig.engine.ready) == ("read_only", False)
    rig.check_rows()
    for question in (rig.engine.accounting, rig.engine.flush):
        with pytest.raises(Unavailable, match="ZeroDivisionError"):
            question()
    rig.restart()
    rig.check()


def test_status_says_where_everything_is(rig: Rig) -> None:
    """Counts of head, blocks, journal and series agree with the samples sent and sealed."""
    rig.keep([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    rig.engine.flush()
    rig.keep([("a", NOW_MS + 1, ONE)])
    status = rig.engine.status().facts()
    assert (status["mode"], status["reason"], status["durability"]) == ("ready", None, "fsync")
    assert status["head"] == {"samples": 1, "sealing": 0, "min_ms": NOW_MS + 1, "max_ms": NOW_MS + 1}
    assert status["blocks"]["samples"] == 2
    assert (status["series"]["total"], status["series"]["active"]) == (2, 2)
    journal = status["journal"]
    assert journal["appended_lsn"] == journal["durable_lsn"] > journal["checkpoint_lsn"] > 0
    assert status["seal"] == {"count": 1, "failures": 0, "last_error": None}


def test_status_tells_the_times_in_memory(rig: Rig) -> None:
    """The earliest and latest time over the head, none while it is empty."""
    assert (rig.engine.status().facts()["head"]["min_ms"], rig.engine.status().facts()["head"]["max_ms"]) == (
        None,
        None,
    )
    rig.keep([("a", NOW_MS - 500, ONE), ("a", NOW_MS + 3, ONE), ("b", NOW_MS, ONE)])
    assert rig.engine.status().facts()["head"] == {
        "samples": 3,
        "sealing": 0,
        "min_ms": NOW_MS - 500,
        "max_ms": NOW_MS + 3,
    }
    rig.engine.flush()
    assert rig.engine.status().head.min_ms is None


def test_status_names_who_is_over_the_limit(rig: Rig) -> None:
    """Metric names refused for the series limit are in the status, the worst first, also those refused in a replay."""
    rig.config = config_of(series={"active_max": 2})
    rig.restart()
    rig.keep([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    assert rig.engine.status().facts()["series"]["top_offenders"] == []
    for names in ("xyya", "y"):
        rig.send([(name, NOW_MS + 1, ONE) for name in names])
    expected = [{"name": "y", "refused": 3}, {"name": "x", "refused": 1}]
    assert rig.engine.status().facts()["series"]["top_offenders"] == expected


def test_low_space_trims_the_journal_before_ingestion_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under twice the floor the head is sealed for the journal's sake and nothing is merged; frames are still taken."""
    space = SimpleNamespace(f_blocks=9_000, f_bavail=9_000, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda _: space)
    rig = Rig(tmp_path / "data", config_of(storage={"free_bytes_min": 1_000, "segment_bytes": 4 * KIB}))
    try:
        for turn in range(100):
            rig.keep([(f"m{at}", NOW_MS + turn, ONE) for at in range(3)])
        assert rig.engine.status().facts()["seal"]["count"] == 0
        space.f_bavail = 1_500
        wait_until(lambda: rig.engine.status().facts()["maintenance"]["space_low"])
        wait_until(lambda: rig.engine.status().facts()["journal"]["segments"] <= 2)
        assert rig.engine.status().mode == "ready"
        rig.keep([("later", NOW_MS, ONE)])
        space.f_bavail = 9_000
        wait_until(lambda: not rig.engine.status().facts()["maintenance"]["space_low"])
        rig.check()
    finally:
        rig.engine.close()
