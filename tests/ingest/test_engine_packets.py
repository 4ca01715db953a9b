"""Packets that come again, beside a dictionary: each once, over seals, restarts, kills and failures of the journal."""

import errno
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nissa
from nissa.config.tree import Ttl
from nissa.ingest import commit
from nissa.model.counters import Counters
from nissa.model.errors import Unavailable
from nissa.model.frame import Frame
from nissa.model.intake import Outcome
from nissa.model.receipt import FoundRequest, Receipt
from nissa.model.units import DAY_MS, HOUR_MS, SECOND_MS
from oracle.engine import NOW_MS, BadDisk, Rig, config_of, wait_until
from oracle.packet_frames import Memory, Sent, alert_frame, command_frame, frame_of

TTL = Ttl(event_ttl_ms=100 * SECOND_MS, metric_ttl_ms=200 * SECOND_MS, cleanup_interval_ms=SECOND_MS)
POOL = [
    Sent("a", f"p{n}", points=((f"m{n}", NOW_MS - n, 1.0),), events=(f"a p{n}",) if n % 2 else ()) for n in range(6)
]
POOL += [Sent("b", f"p{n}", events=(f"b p{n}.1", f"b p{n}.2")) for n in range(5)]
POOL += [Sent("b", "", 7, f"r{n}", points=(("r", NOW_MS - n, 2.0),), events=(f"r{n}",)) for n in range(4)]
POOL += [Sent("b", "q", 7, "r0", events=("q",)), Sent("b", events=("nameless",))]


class World:
    """A rig and what must be in it."""

    def __init__(self, path: Path, **storage: Any) -> None:
        self.rig = Rig(path, config_of(ttl=msgspec.structs.asdict(TTL), storage={"segment_bytes": 64 << 10, **storage}))
        self.memory = Memory({"event": TTL.event_ttl_ms, "metric": TTL.metric_ttl_ms})
        self.events: Counter[str] = Counter()
        self.samples: set[tuple[str, int]] = set()
        self.received = self.duplicates = 0

    def send(self, packets: list[Sent]) -> None:
        """A frame that is kept."""
        outcome = self.rig.submit_frame(frame_of(packets, self.rig.now_ms)).get(timeout=60)
        assert isinstance(outcome, Receipt), outcome
        fresh = self.memory.frame(packets, self.rig.now_ms)
        count = sum(len(packet.points) + len(packet.events) for packet in packets)
        new = sum(len(packet.points) + len(packet.events) for packet in fresh)
        assert (outcome.samples + outcome.events, outcome.duplicates) == (count, count - new)
        self.received += count
        for packet in fresh:
            self.events.update(packet.events)
            self.samples |= {(name, ts_ms) for name, ts_ms, _ in packet.points}

    def check(self) -> None:
        """Events, samples and counters; from inside, and from outside."""
        engine = self.rig.engine
        assert set(self.rig.read()) == self.samples
        total = self.rig.total()
        stored = self.events.total() + len(self.samples)
        lost = total.refused.get("unavailable", 0)
        assert (total.received - lost, total.stored, total.duplicate) == (self.received, stored, self.received - stored)
        for kind in ("event", "metric"):
            for number in range(4):
                known = [one.kind for one in engine.admin.find_request(7, f"r{number}")]
                assert (kind in known) is self.memory.knows_request(kind, 7, f"r{number}")
        with nissa.open(self.rig.path) as data:
            assert Counter(data.events()["description"].to_pylist()) == self.events
            tallies = data.accounting()  # again, where blocks were merged meanwhile
        assert sum(counters.stored for counters in tallies.values()) == stored
        assert not any(counters.unaccounted for counters in tallies.values())

    def lose(self, frames: list[list[Sent]], call: str) -> None:
        """Frames that the disk does not take: refused, forgotten."""
        with pytest.MonkeyPatch.context() as patch:
            disk = BadDisk(patch, call, errno.ENOSPC)
            disk.failing = True
            outcomes = [self.rig.submit_frame(frame_of(packets, self.rig.now_ms)) for packets in frames]
            assert all(isinstance(one.get(timeout=60), Unavailable) for one in outcomes)
        wait_until(lambda: self.rig.engine.status().mode == "ready")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 4))])
def test_whatever_happens_each_packet_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Random packets, many of them again, while the world is hard on the engine."""
    monkeypatch.setattr(commit, "PROBE_S", 0.01)
    rng = random.Random(seed)
    print(f"seed {seed}")
    world = World(tmp_path / "data", seal_samples=rng.choice((10, 1_000)))
    rig = world.rig

    def some() -> list[Sent]:
        return rng.choices(POOL, k=rng.randrange(1, 6))

    for _ in range(40):
        act = rng.choice(("send",) * 6 + ("time", "flush", "restart", "crash", "lose", "lose"))
        if act == "send":
            world.send(some())
        elif act == "time":
            rig.now_ms += rng.choice((1, 30 * SECOND_MS, 59 * SECOND_MS, 600 * SECOND_MS))
        elif act == "flush":
            rig.engine.flush()
        elif act == "restart":
            rig.restart()
        elif act == "crash":
            rig.crash()
        else:
            lost = [some() for _ in range(rng.randrange(1, 4))]
            world.lose(lost, rng.choice(("fdatasync", "pwritev")))
            world.memory.frame([], rig.now_ms)  # time passed with them
            if rng.random() < 0.7:
                for packets in lost:
                    world.send(packets)  # as their sender will
        world.check()
    rig.engine.close()


@pytest.mark.parametrize("frozen", [False, True])
def test_what_the_journal_lost_is_new_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    """A packet that was answered with 503 is no duplicate when sent again, also if the head was being sealed."""
    monkeypatch.setattr(commit, "PROBE_S", 0.01)
    world = World(tmp_path / "data", seal_samples=2 if frozen else 1_000)
    world.send(POOL[:2])
    world.lose([POOL[:4], POOL[2:6]], "fdatasync")
    world.check()
    for _ in range(2):
        world.send(POOL[:6])
        world.check()
    world.rig.crash()
    world.send(POOL[:6])
    world.check()
    world.rig.engine.close()


def test_a_full_map_is_restored_as_it_was(tmp_path: Path) -> None:
    """Keys forgotten for lack of room stay forgotten after restarts, and the others are still known."""
    rig = Rig(tmp_path / "data", config_of(ttl={"entries_max": 3}))
    packets = [Sent("a", f"p{n}", events=(f"{n}",)) for n in range(6)]

    def duplicates(numbers: list[int]) -> int:
        outcome = rig.submit_frame(frame_of([packets[n] for n in numbers], rig.now_ms)).get(timeout=60)
        assert isinstance(outcome, Receipt)
        return outcome.duplicates

    assert duplicates([0, 1, 2, 3, 4]) == 0
    rig.engine.flush()
    assert duplicates([2]) == 1
    rig.restart()
    assert duplicates([4, 3]) == 2
    assert duplicates([0]) == 0  # it takes the place of 2
    rig.engine.flush()
    rig.crash()
    assert duplicates([0, 4, 3]) == 3
    assert duplicates([2]) == 0
    assert rig.engine.status().facts()["ttl"]["evicted_total"] == 1
    rig.engine.close()


def test_other_life_times_hold_for_what_is_remembered(tmp_path: Path) -> None:
    """A time made shorter ends for packets that came under the longer one, and the other way round."""
    rig = Rig(tmp_path / "data", config_of(ttl={"event_ttl_ms": HOUR_MS}))
    packet = Sent("a", "p", 3, "r", events=("e",))

    def known_ms() -> list[int]:
        return [one.known_ms for one in rig.engine.admin.find_request(3, "r")]

    assert isinstance(rig.submit_frame(frame_of([packet], rig.now_ms)).get(timeout=60), Receipt)
    for ttl_ms, expected in ((HOUR_MS, [HOUR_MS]), (10, [10]), (0, []), (DAY_MS, [DAY_MS])):
        rig.config = config_of(ttl={"event_ttl_ms": ttl_ms})
        rig.restart()
        assert known_ms() == expected
    rig.engine.close()


def test_alerts_and_commands_come_once(rig: Rig) -> None:
    """The key of an alert is its id, state and time, of a command its id; an alert without a time is always new."""

    def outcome_of(frame: Frame) -> Outcome:
        return rig.submit_frame(frame).get(timeout=60)

    def duplicates(frame: Frame) -> int:
        outcome = outcome_of(frame)
        assert isinstance(outcome, Receipt)
        assert outcome.events == 1
        return outcome.duplicates

    firing = {"alert_id": "a", "name": "n", "source": "s", "state": 2, "timestamp_ms": NOW_MS, "epoch": 3}
    firing["request_id"] = "r"
    assert [duplicates(alert_frame(NOW_MS, **firing)) for _ in range(3)] == [0, 1, 1]
    assert duplicates(alert_frame(NOW_MS, **{**firing, "state": 3})) == 0
    assert duplicates(alert_frame(NOW_MS, **{**firing, "timestamp_ms": NOW_MS + 1})) == 0
    assert [duplicates(alert_frame(NOW_MS, alert_id="a", name="n")) for _ in range(2)] == [0, 0]
    assert [duplicates(command_frame(NOW_MS, command_id="a", command="c", target="s")) for _ in range(2)] == [0, 1]
    assert rig.engine.admin.find_request(3, "r") == [FoundRequest("alert", 1, True, DAY_MS)]
    assert rig.engine.admin.find_request(4, "r") == []
    rig.crash()
    assert duplicates(alert_frame(NOW_MS, **firing)) == 1
    assert rig.total() == Counters(frames=10, received=10, stored=6, duplicate=4)


def test_memory_of_what_has_expired_is_given_back(tmp_path: Path) -> None:
    """The engine sweeps in slices while frames arrive, and says how much it dropped."""
    rig = Rig(
        tmp_path / "data", config_of(ttl={"event_ttl_ms": 10, "cleanup_interval_ms": 1_000, "cleanup_slice_entries": 7})
    )
    packets = [Sent("a", f"p{n}", events=("e",)) for n in range(100)]
    assert isinstance(rig.submit_frame(frame_of(packets, rig.now_ms)).get(timeout=60), Receipt)
    assert rig.engine.status().facts()["ttl"]["entries"] == {"event": 100, "metric": 0, "alert": 0}
    for _ in range(3):
        rig.now_ms += 2_000
        assert isinstance(rig.submit_frame(frame_of([Sent(events=("n",))], rig.now_ms)).get(timeout=60), Receipt)
    wait_until(lambda: rig.engine.status().facts()["ttl"]["cleaned"]["event"] == 100)
    assert rig.engine.status().facts()["ttl"]["entries"]["event"] == 0
    rig.engine.close()
