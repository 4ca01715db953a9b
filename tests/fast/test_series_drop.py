"""Dropping series: who has labels that were dropped gets a new id, and a smaller index knows what the old one did."""

import random
import tempfile

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa._fast.series_drop import (
    carry_over,
    drop_series,
    dropped_series,
    idle_series,
    note_mentioned,
    unmentioned,
)
from nissa._fast.series_restore import active_series, fingerprints_of, give_out_ids, restore_series, seen_minutes_of
from nissa._fast.series_spill import spill_series
from oracle.bodies import SECRET, Rig, series
from oracle.series import IndexTwin, Limits, Record

NUMBERS = 3_000


def labels_of(number: int) -> list[tuple[str, str]]:
    """Labels of one series: its own text and shared ones."""
    return [("__name__", f"m{number % 7}"), ("job", "node"), ("pod", f"pod-{number}-{'x' * (number % 30)}")]


def column(ids: list[int]) -> np.ndarray:
    """Ids as a column."""
    return np.array(ids, np.uint32)


class Pair:
    """An index, and a twin that knows which series were dropped."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rig, self.twin = Rig(), IndexTwin(Limits())
        self.dropped: set[int] = set()

    @property
    def index(self) -> SeriesIndex:
        return self.rig.index

    def frame(self, minute: int) -> None:
        """A frame of some series, known, idle, dropped and new."""
        numbers = [self.rng.randrange(NUMBERS) for _ in range(self.rng.choice((3, 400)))]
        room = self.rng.choice((5_000, 5_000, 2))
        records = [Record(labels_of(number), [(60_000, 0)]) for number in numbers]
        new = self.twin.resolve(records, minute, room)
        self.rig.decode(b"".join(series(labels_of(number)) for number in numbers), minute=minute, admit_max=room)
        assert self.rig.batch.series_new == new
        assert self.rig.batch.columns()[0].tolist() == [one.series for one in records if one.series is not None]

    def drop(self) -> None:
        """Drop some of all series; those that are active stay."""
        some = [one for one in range(len(self.twin.series)) if self.rng.random() < 0.4]
        in_memory = {*self.index.filter(()).tolist(), *dropped_series(self.index).tolist()}
        there = [one for one in some if one in in_memory]
        gone = {one for one in there if self.twin.seen[one] == 0 and one not in self.dropped}
        marks = drop_series(self.index, column(there))
        assert {one for one, mark in zip(there, marks.tolist(), strict=True) if mark} == gone
        self.dropped |= gone
        for one in gone:
            if self.twin.ids.get(self.twin.series[one]) == one:
                del self.twin.ids[self.twin.series[one]]

    def renew(self) -> None:
        """A smaller index in the place of this one, as a table that ends before the last series gives it."""
        index, fresh = self.index, SeriesIndex(SECRET)
        on_disk = self.rng.randrange(index.series_count + 1)
        never_on_disk = [one for one in index.filter(()).tolist() if one < on_disk]
        restore(fresh, index, column(never_on_disk))
        give_out_ids(fresh, on_disk)
        carry_over(fresh, index)
        self.rig.index = fresh

    def check(self) -> None:
        """The index agrees with the twin."""
        index, twin = self.index, self.twin
        known = [one for one in range(len(twin.series)) if one not in self.dropped]
        assert index.series_count == len(twin.series)
        assert index.known_count == len(known)
        assert index.filter(()).tolist() == known
        some = self.rng.sample(known, min(len(known), 50))
        assert [tuple(index.labels(one)) for one in some] == [twin.series[one] for one in some]
        assert seen_minutes_of(index).tolist() == twin.seen
        assert sorted(active_series(index)[0].tolist()) == [one for one, seen in enumerate(twin.seen) if seen]
        limit = self.rng.randrange(len(twin.series) + 2)
        assert idle_series(index, limit).tolist() == [one for one in known if one < limit and not twin.seen[one]]
        wanted = index.symbol("m3")
        if wanted >= 0:
            accept = np.zeros(index.symbol_count, np.uint8)
            accept[wanted] = 1
            expected = [one for one in known if dict(twin.series[one])["__name__"] == "m3"]
            assert index.filter([(index.symbol("__name__"), accept, False)]).tolist() == expected
            assert index.value_counts(index.symbol("__name__"))[wanted] == len(expected)


def restore(fresh: SeriesIndex, index: SeriesIndex, ids: np.ndarray) -> None:
    """Bring these series into ``fresh`` as the series table does."""
    pairs = [index.labels(one) for one in ids.tolist()]
    starts = np.cumsum([0, *map(len, pairs)]).astype(np.int64)
    columns: list[np.ndarray] = []
    for side in (0, 1):
        texts = [pair[side].encode() for one in pairs for pair in one]
        offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        columns += [np.arange(len(texts), dtype=np.uint32), offsets, np.frombuffer(b"".join(texts), np.uint8)]
    prints = [fingerprints_of(index, one, 1) for one in ids.tolist()]
    restore_series(fresh, ids, np.concatenate([np.empty((0, 2), np.uint64), *prints]), starts, *columns, 0)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_dropping_and_renewing_agree_with_the_twin(seed: int) -> None:
    """Frames, sweeps, drops, spills and smaller indexes in any order: ids, refusals, labels are those of the twin."""
    pair, renewals, spills = Pair(seed), 0, 0
    with tempfile.TemporaryFile(buffering=0) as file:
        for minute in range(1, 100):
            pair.frame(minute)
            oldest = max(minute - 3, 0)
            assert pair.index.sweep(oldest) == pair.twin.sweep(oldest)
            if pair.rng.random() < 0.3:
                pair.drop()
            if not renewals:  # a file belongs to one index
                spills += spill_series(pair.index, file.fileno(), 1)
            if pair.rng.random() < 0.2 and minute > 60:
                pair.renew()
                renewals += 1
            pair.check()
    assert renewals > 1
    assert spills > 1
    assert len(pair.dropped) > 100


def test_a_smaller_index_has_no_memory_of_what_was_dropped() -> None:
    """Its memory is that of its series, whatever their ids, and the old index still gives the labels of all."""
    rig, fresh = Rig(), SeriesIndex(SECRET)
    for first in range(0, 40_000, 2_000):
        rig.decode(b"".join(series(labels_of(number)) for number in range(first, first + 2_000)), minute=1)
    rig.index.sweep(2)
    rig.decode(b"".join(series(labels_of(number)) for number in range(39_000, 39_100)), minute=2)
    assert drop_series(rig.index, idle_series(rig.index, 40_000)).sum() == 39_900
    assert (rig.index.series_count, rig.index.known_count) == (40_000, 100)
    carry_over(fresh, rig.index)
    assert (fresh.series_count, fresh.known_count, fresh.active_count) == (40_000, 100, 100)
    assert fresh.memory_bytes < rig.index.memory_bytes / 20
    assert fresh.labels(39_005) == rig.index.labels(39_005) == labels_of(39_005)
    assert rig.index.labels(7) == labels_of(7)
    with pytest.raises(IndexError):
        fresh.labels(7)


def test_what_else_is_known_of_series_is_carried_over() -> None:
    """The count of refusals, the top offenders, and the times at which counters began."""
    rig, fresh = Rig(), SeriesIndex(SECRET)
    rig.decode(series(labels_of(1)) + series(labels_of(2)) * 3, minute=1, admit_max=1)
    carry_over(fresh, rig.index)
    assert (fresh.refused_total, fresh.top_offenders()) == (3, [("m2", 3)])


def test_what_cannot_be_dropped_or_carried_over() -> None:
    """Series that are not there, an index of another directory, and one with active series are errors."""
    rig = Rig()
    rig.decode(series(labels_of(1)), minute=1)
    for one in (1, 2**32 - 1):
        with pytest.raises(IndexError):
            drop_series(rig.index, column([one]))
    with pytest.raises(ValueError, match="same directory"):
        carry_over(SeriesIndex(b"another secret, 32 bytes or more"), rig.index)
    with pytest.raises(ValueError, match="without active series"):
        carry_over(rig.index, rig.index)


def test_series_that_are_mentioned_have_a_bit() -> None:
    """Ids past the end are not marked; asking for one is an error."""
    chance, bits, twin = random.Random(1), np.zeros(40, np.uint8), set[int]()
    for _ in range(9):
        some = [chance.randrange(400) for _ in range(chance.choice([0, 1, 30]))]
        note_mentioned(bits, column(some))
        twin |= set(some)
        asked = [chance.randrange(320) for _ in range(50)]
        assert unmentioned(bits, column(asked)).tolist() == [one for one in asked if one not in twin]
    assert unmentioned(bits[:0], column([])).tolist() == []
    with pytest.raises(IndexError):
        unmentioned(bits, column([0, 320]))
