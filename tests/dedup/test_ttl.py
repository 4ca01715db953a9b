"""The expiring map against its twin, and its bounds."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nissa._fast.ttl import TtlMap
from nissa._fast.ttl_run import EntryRun
from oracle.ttl import Map

NAMES = 60
RNG = np.random.default_rng(7)
SOME_KEYS = RNG.integers(0, 2**64, (NAMES, 2), np.uint64)
# A third of them begin at one slot of one segment, so that chains and their gaps are met.
SOME_KEYS[:20, 0] = np.uint64(0xABCDEF01 << 32) + np.arange(20, dtype=np.uint64)

names = st.lists(st.integers(0, NAMES - 1), max_size=12)
steps = st.integers(0, 6)
lives = st.integers(1, 12)


def pair(key: np.ndarray) -> tuple[int, int]:
    """A key as the twin has it."""
    return int(key[0]), int(key[1])


def look_up(held: TtlMap, keys: np.ndarray, now_ms: int) -> list[int]:
    """The LSN of each key, 0 where it is not known."""
    found = [held.get(low, high, now_ms) for low, high in keys.tolist()]
    return [0 if one is None else one[0] for one in found]


def line_of(run: EntryRun) -> list[tuple[tuple[int, int], int, int]]:
    """Entries of a run as the twin has them."""
    keys, lsns, expires = run.columns()
    return list(zip(map(pair, keys), lsns.tolist(), expires.tolist(), strict=True))


class Twins(RuleBasedStateMachine):
    """The same calls to both."""

    @initialize(entries_max=st.sampled_from([1, 2, 7, 30, 1_000]))
    def begin(self, entries_max: int) -> None:
        self.map = TtlMap(entries_max)
        self.twin = Map(entries_max)
        self.now_ms = 0
        self.lsn = 0
        self.freeze(above=0)

    @rule(above=st.integers(0, 30))
    def freeze(self, above: int) -> None:
        """Freeze the map, and give up the earlier frozen run."""
        self.frozen = self.map.freeze(max(self.lsn - above, 0))
        self.frozen_line = line_of(self.frozen)
        wanted = self.twin.line_above(max(self.lsn - above, 0))
        left_out = len(wanted) - len(self.frozen_line)
        assert self.frozen_line == [entry for entry, _ in wanted[left_out:]]
        assert all(dead for _, dead in wanted[:left_out])
        assert self.frozen.held >= max(len(self.frozen), self.map.count)

    @rule(chosen=names, step=steps, life=lives)
    def claim(self, chosen: list[int], step: int, life: int) -> None:
        self.now_ms += step
        self.lsn += 1
        expires_ms = self.now_ms + life
        found = self.map.dedup_all(SOME_KEYS[chosen], self.lsn, self.now_ms, expires_ms)
        wanted = [self.twin.claim(pair(SOME_KEYS[name]), self.lsn, self.now_ms, expires_ms) for name in chosen]
        assert found.tolist() == wanted

    @rule(chosen=names, step=steps, life=lives)
    def restore(self, chosen: list[int], step: int, life: int) -> None:
        self.now_ms += step
        lsns = np.arange(self.lsn + 1, self.lsn + 1 + len(chosen), dtype=np.uint64)
        expires_ms = self.now_ms + np.arange(len(chosen)) % life
        self.lsn += len(chosen)
        self.map.restore_all(SOME_KEYS[chosen], lsns, expires_ms, self.now_ms)
        for name, lsn, expiry_ms in zip(chosen, lsns.tolist(), expires_ms.tolist(), strict=True):
            self.twin.restore(pair(SOME_KEYS[name]), lsn, self.now_ms, expiry_ms)

    @rule(lost=st.integers(0, 30))
    def forget_above(self, lost: int) -> None:
        kept_lsn = max(self.lsn - lost, 0)
        before = len(self.frozen)
        self.frozen_line = [entry for entry in self.frozen_line if entry[1] <= kept_lsn]
        held = self.frozen.held
        self.frozen.forget_above(kept_lsn)
        assert held - self.frozen.held == before - len(self.frozen)
        assert self.map.forget_above(kept_lsn) == self.twin.forget_above(kept_lsn)

    @rule(entries_slice=st.integers(0, 40), step=steps)
    def sweep(self, entries_slice: int, step: int) -> None:
        self.now_ms += step
        assert self.map.sweep(self.now_ms, entries_slice) == self.twin.sweep(self.now_ms, entries_slice)

    @invariant()
    def both_hold_the_same(self) -> None:
        wanted = [self.twin.look_up(pair(key), self.now_ms) for key in SOME_KEYS]
        assert look_up(self.map, SOME_KEYS, self.now_ms) == wanted
        assert (self.map.count, self.map.evicted_total) == (len(self.twin.held), self.twin.evicted_total)
        assert line_of(self.frozen) == self.frozen_line


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(3))
def test_a_map_that_grows_and_empties_forgets_nothing_and_keeps_nothing(seed: int) -> None:
    """Tens of thousands of keys: segments split many times over, all are found, all go, memory of entries with them."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**64, (60_000, 2), np.uint64)
    held = TtlMap(100_000)
    empty_bytes = held.memory_bytes
    for start in range(0, len(keys), 700):
        part = keys[start : start + 700]
        assert not held.dedup_all(part, start + 1, 0, 10 + start).any()
    lsns = np.array(look_up(held, keys, 9))
    assert lsns.tolist() == [place // 700 * 700 + 1 for place in range(len(keys))]
    assert held.memory_bytes < 60_000 * 60 + empty_bytes
    assert not any(look_up(held, rng.integers(0, 2**64, (10_000, 2), np.uint64), 9))
    assert np.count_nonzero(look_up(held, keys, 30_010)) == held.count - np.count_nonzero(lsns <= 30_000)
    removed = 0
    finished = False
    while not finished:
        dropped, finished = held.sweep(10**9, 7_001)
        removed += dropped
    assert (removed, held.count) == (60_000, 0)
    assert held.memory_bytes < 60_000 * 24 + empty_bytes
    assert not any(look_up(held, keys, 0))
    assert not held.dedup_all(keys, 60_000, 0, 10).any()


@pytest.mark.parametrize("lost", [1, 2_047, 2_048, 2_049, 9_000])
def test_what_is_forgotten_from_the_end_may_come_again(lost: int) -> None:
    """The last frames' keys go, over chunks and in the midst of a cleanup; the others stay, and the memory is used."""
    keys = np.random.default_rng(8).integers(0, 2**64, (10_000, 2), np.uint64)
    held = TtlMap(20_000)
    for lsn, key in enumerate(keys, 1):
        held.dedup_all(key[None, :], lsn, 0, 10)
    held.sweep(0, 9_500)
    assert held.forget_above(10_000 - lost) == lost
    assert held.memory_bytes < 20_000 * 18 + 32 * 2_048 * (-(-(10_000 - lost) // 2_048))
    assert [lsn != 0 for lsn in look_up(held, keys, 0)] == [True] * (10_000 - lost) + [False] * lost
    assert not held.dedup_all(keys[-lost:], 10_001, 0, 10).any()
    assert held.dedup_all(keys, 10_002, 0, 10).all()
    assert held.count == 10_000
    assert held.sweep(10, 100_000)[1]


def test_a_full_map_forgets_what_was_stored_first() -> None:
    """The latest entries_max keys are held, however many came."""
    keys = np.random.default_rng(3).integers(0, 2**64, (30_000, 2), np.uint64)
    held = TtlMap(5_000)
    for start in range(0, len(keys), 999):
        held.dedup_all(keys[start : start + 999], 1, 0, 10)
    assert [lsn != 0 for lsn in look_up(held, keys, 0)] == [False] * 25_000 + [True] * 5_000
    assert (held.count, held.evicted_total) == (5_000, 25_000)


def test_an_entry_that_outlives_all_others_does_not_hold_the_ring() -> None:
    """Behind a long-lived entry the ring fills with dead ones; at its end that entry is forgotten, nothing else."""
    keys = np.random.default_rng(4).integers(0, 2**64, (100_000, 2), np.uint64)
    held = TtlMap(10)
    held.dedup_all(keys[:1], 1, 0, 10**9)
    for now_ms, start in enumerate(range(1, 20_000, 5)):
        held.dedup_all(keys[start : start + 5], 2, now_ms, now_ms + 1)
        held.sweep(now_ms + 1, 10_000)
    assert held.get(*pair(keys[0]), 0) is None
    assert held.evicted_total == 1
    assert held.memory_bytes < 10**6


def test_what_is_live_does_not_depend_on_sweeping() -> None:
    """With one life time for all, maps swept often and never answer alike, also when they are full."""
    rng = np.random.default_rng(5)
    keys = rng.integers(0, 2**64, (400, 2), np.uint64)
    swept, unswept = TtlMap(50), TtlMap(50)
    for now_ms in range(3_000):
        chosen = keys[rng.integers(0, 400, rng.integers(0, 6))]
        answers = [held.dedup_all(chosen, now_ms + 1, now_ms, now_ms + 20) for held in (swept, unswept)]
        assert answers[0].tolist() == answers[1].tolist()
        swept.sweep(now_ms, 10)


def test_keys_that_are_no_hashes_are_refused() -> None:
    """Hundreds of keys with the same first bits: an error, not a table that grows without end; the others stay."""
    keys = np.zeros((2_000, 2), np.uint64)
    keys[:, 1] = np.arange(2_000)
    held = TtlMap(10_000)
    with pytest.raises(ValueError, match="no hashes"):
        held.dedup_all(keys, 1, 0, 10)
    assert [lsn != 0 for lsn in look_up(held, keys, 0)] == [place < held.count for place in range(2_000)]
    assert held.count >= 600


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TtlMap(0), "entries_max"),
        (lambda: TtlMap(10**9), "entries_max"),
        (lambda: TtlMap(1).dedup_all(np.zeros((1, 3), np.uint64), 1, 0, 1), "shape"),
        (lambda: TtlMap(1).dedup_all(np.zeros((1, 2), np.uint64), 0, 0, 1), "lsn 0"),
        (lambda: restored([1, 2, 3]), "LSN and an expiry for each"),
        (lambda: restored([2, 1]), "descend"),
        (lambda: restored([0, 1]), "lsn 0"),
        (lambda: restored([1, 2**63]), "less than"),
        (lambda: TtlMap(1).dedup_all(np.zeros((1, 2), np.uint64), 2**63, 0, 1), "less than"),
        (lambda: descending(TtlMap(1)), "lsn 1 comes behind 2"),
    ],
)
def test_what_cannot_be_is_refused(call: object, message: str) -> None:
    """Limits and shapes are looked at before anything is done."""
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def restored(lsns: list[int]) -> None:
    """Two keys with these LSNs."""
    TtlMap(3).restore_all(np.ones((2, 2), np.uint64), np.array(lsns, np.uint64), np.array([5, 5]), 0)


def descending(held: TtlMap) -> None:
    """A frame behind a later one."""
    for lsn in (2, 1):
        held.dedup_all(np.zeros((1, 2), np.uint64), lsn, 0, 1)


def test_no_keys_are_no_trouble() -> None:
    """Empty arrays pass everywhere."""
    held, none = TtlMap(1), np.empty((0, 2), np.uint64)
    assert held.dedup_all(none, 1, 0, 1).tolist() == []
    held.restore_all(none, np.empty(0, np.uint64), np.empty(0, np.int64), 0)
    assert held.forget_above(0) == 0
    assert held.sweep(5, 10) == (0, True)
    assert [len(column) for column in held.freeze().columns()] == [0, 0, 0]
