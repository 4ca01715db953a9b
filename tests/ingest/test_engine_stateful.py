"""Anything in any order: an engine beside a dictionary, through duplicates, late data, kills, full disks and merges."""

import errno
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nissa.ingest import commit, sealing
from nissa.model.errors import Malformed, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from oracle.engine import BadDisk, Rig, config_of, wait_until

LIMIT = 4
TTL_MINUTES = 3
BITS = (0, 1 << 63, 0x3FF << 52, 0x400 << 52, 0x7FF0_0000_0000_0002, 0x7FF8 << 48, 0xFFF8 << 48 | 5, 0x7FF << 52)
names = st.sampled_from([f"m{at}" for at in range(7)])
ages_ms = st.sampled_from([0, 0, 1, 1_000, MINUTE_MS, HOUR_MS, 7 * HOUR_MS, -HOUR_MS])
rows = st.lists(st.tuples(names, ages_ms, st.sampled_from(BITS)), max_size=6)


class EngineMachine(RuleBasedStateMachine):
    """The rules are what the world does to an engine; the invariant is all it promises."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(commit, "PROBE_S", 0.01)
        self.patch.setattr(sealing, "RETRY_S", 0.01)
        self.place = Path(tempfile.mkdtemp())
        self.seen: dict[str, int] = {}  # active series -> minute of their last sample

    @initialize(fan_in=st.sampled_from((2, 8)), seal_samples=st.sampled_from((20, 1_000)))
    def begin(self, fan_in: int, seal_samples: int) -> None:
        """An empty directory under tight limits."""
        storage = {"compaction_fan_in": fan_in, "seal_samples": seal_samples, "segment_bytes": 4 * KIB}
        series = {"active_max": LIMIT, "idle_ttl_ms": TTL_MINUTES * MINUTE_MS}
        self.rig = Rig(self.place / "data", config_of(storage=storage, series=series))

    # ---- what senders do ----

    @rule(sample_rows=rows, source=st.sampled_from((Source.HTTP, Source.SELF)))
    def send(self, sample_rows: list[tuple[str, int, int]], source: Source) -> None:
        """Send a frame; the model computes which samples are kept, and why the others are refused."""
        rig, minute = self.rig, self.rig.now_ms // MINUTE_MS
        samples = [(name, rig.now_ms - age_ms, bits) for name, age_ms, bits in sample_rows]
        self.seen = {name: last for name, last in self.seen.items() if last >= minute - TTL_MINUTES}
        refused = dict.fromkeys(("series_limit", "too_old", "too_new"), 0)
        kept = []
        for name, ts_ms, bits in samples:
            if name not in self.seen and len(self.seen) == LIMIT:
                refused["series_limit"] += 1
                continue
            self.seen[name] = minute
            if ts_ms < rig.now_ms - 6 * HOUR_MS:
                refused["too_old"] += 1
            elif ts_ms > rig.now_ms + 10 * MINUTE_MS:
                refused["too_new"] += 1
            else:
                kept.append((name, ts_ms, bits))
        outcome = rig.send(samples, source)
        assert isinstance(outcome, Receipt), outcome
        assert (outcome.samples, outcome.refused) == (
            len(kept),
            {why: count for why, count in refused.items() if count},
        )
        rig.note(kept)
        rig.refused.update(outcome.refused)

    @rule(body=st.sampled_from((b"\x0a\x7f", b"\xff")), encoding=st.sampled_from(list(Encoding)))
    def send_nonsense(self, body: bytes, encoding: Encoding) -> None:
        """A frame of which nothing is kept."""
        frame = Frame(Codec.REMOTE_WRITE_1, encoding, Source.HTTP, self.rig.now_ms, body)
        assert isinstance(self.rig.submit_frame(frame).get(timeout=60), Malformed)

    @rule()
    def send_a_broken_series(self) -> None:
        """A frame whose only series ends within a label: refused by itself, and counted."""
        frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, self.rig.now_ms, b"\x0a\x02\x0a\x09")
        outcome = self.rig.submit_frame(frame).get(timeout=60)
        assert isinstance(outcome, Receipt)
        assert outcome.refused == {"record_malformed": 1}
        self.rig.refused.update(outcome.refused)

    @rule(step_ms=st.sampled_from((1, 1_000, MINUTE_MS, 4 * MINUTE_MS)))
    def time_passes(self, step_ms: int) -> None:
        """Series become idle; samples grow old."""
        self.rig.now_ms += step_ms

    # ---- what operators and machines do ----

    @rule()
    def flush(self) -> None:
        """Everything into blocks."""
        self.rig.engine.flush()

    @rule()
    def restart(self) -> None:
        """A polite end, and a new start."""
        self.rig.restart()

    @rule()
    def crash(self) -> None:
        """A kill, and a new start."""
        self.rig.crash()

    @rule(call=st.sampled_from(("fdatasync", "pwritev")), count=st.integers(1, 4))
    def journal_fails(self, call: str, count: int) -> None:
        """Frames on a disk that takes no journal are refused as if they had never come; then the disk is well again."""
        rig = self.rig
        with pytest.MonkeyPatch.context() as patch:
            disk = BadDisk(patch, call, errno.ENOSPC)
            disk.failing = True
            known = sorted(self.seen) or ["m0"]  # known series: a new one would be admitted, and stay
            lost = [rig.submit([(known[0], rig.now_ms - turn, 7)]) for turn in range(count)] if self.seen else []
            assert all(isinstance(one.get(timeout=60), Unavailable) for one in lost)
        wait_until(lambda: rig.engine.status().mode == "ready")
        told = rig.total().refused.get("unavailable", 0)
        assert rig.refused["unavailable"] <= told <= rig.refused["unavailable"] + len(lost)
        if told:
            rig.refused["unavailable"] = told
        if lost:
            self._forgotten(known[0])

    def _forgotten(self, name: str) -> None:
        """The frame is forgotten, not that its series was seen: that is no acknowledgement to anybody."""
        minute = self.rig.now_ms // MINUTE_MS
        self.seen = {one: last for one, last in self.seen.items() if last >= minute - TTL_MINUTES}
        self.seen[name] = minute

    @precondition(lambda self: self.rig.rows)
    @rule()
    def blocks_fail(self) -> None:
        """A disk that takes no blocks for a while loses nothing."""
        with pytest.MonkeyPatch.context() as patch:
            disk = BadDisk(patch, "write", errno.ENOSPC)
            disk.failing = True
            with suppress(Unavailable):  # a head of duplicates only needs no block
                self.rig.engine.flush()
            self.rig.check()
        self.rig.engine.close()
        self.rig.engine = self.rig._open()

    # ---- Invariants ----

    @invariant()
    def it_is_as_the_dictionary_says(self) -> None:
        """Rows, counters, active series."""
        if hasattr(self, "rig"):
            self.rig.check()
            assert self.rig.engine.status().facts()["series"]["active"] <= LIMIT

    def teardown(self) -> None:
        """Nothing is left behind."""
        if hasattr(self, "rig"):
            self.rig.engine.close()
        self.patch.undo()
        shutil.rmtree(self.place)


EngineMachine.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.long
@pytest.mark.compiled
class TestEngine(EngineMachine.TestCase):
    """Seeds are fixed: the same orders in every run. More of them: raise max_examples, drop derandomize."""
