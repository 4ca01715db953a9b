"""Merging runs: the times at which they are opened and closed."""

from collections.abc import Iterator
from itertools import islice

import pyarrow as pa
import pytest

from nissa.model.allowance import no_check
from nissa.model.errors import Damaged
from nissa.query.event_merge import Merge, Travel, selected_rows
from nissa.query.events import EventRequest
from nissa.store.event_blocks import event_record_batch
from nissa.store.event_runs import HeadRun, OnDamage, RunPlace
from oracle.events import event_batch, event_row

EVERYTHING = EventRequest()


class Watched:
    """A run that notes when it is opened and closed."""

    def __init__(self, number: int, times: list[int], diary: list[str]) -> None:
        self._run = HeadRun([event_batch([event_row(at, number) for at in times])])
        self._number, self._diary = number, diary
        self.place = RunPlace(number, min(times), max(times), self.opened)

    def opened(self) -> "Watched":
        self._diary.append(f"open {self._number}")
        return self

    def pieces(
        self, start_ms: int, end_ms: int, on_damage: OnDamage | None, *, backward: bool = False
    ) -> Iterator[pa.Table]:
        return self._run.pieces(start_ms, end_ms, on_damage, backward=backward)

    def close(self) -> None:
        self._diary.append(f"close {self._number}")


def travelled(merge: Merge, count: int, *, backward: bool) -> list[int]:
    """The first ``count`` times of a journey."""
    hits = merge.hits(Travel(0, 100, backward, None), lambda piece: selected_rows(piece, EVERYTHING), count)
    return [hit.time_ms for hit in islice(hits, count)]


@pytest.mark.parametrize(
    ("backward", "count", "diary"),
    [
        (False, 2, ["open 0", "close 0"]),
        (False, 3, ["open 0", "open 1", "close 0", "close 1"]),
        (False, 9, ["open 0", "open 1", "close 0", "close 1", "open 2", "close 2"]),
        (True, 2, ["open 2", "close 2"]),
        (True, 9, ["open 2", "close 2", "open 1", "open 0", "close 1", "close 0"]),
    ],
)
def test_runs_are_open_while_they_are_passed(backward: bool, count: int, diary: list[str]) -> None:
    """Runs ahead are not opened, runs behind are closed, and leaving the merge closes the rest."""
    noted: list[str] = []
    places = [Watched(at, part, noted).place for at, part in enumerate([[1, 2, 5], [5, 6], [7, 9]])]
    times = [1, 2, 5, 5, 6, 7, 9][:: -1 if backward else 1]
    with Merge(places, no_check, None) as merge:
        assert travelled(merge, count, backward=backward) == times[:count]
    assert noted == diary


def test_a_run_that_cannot_be_opened_is_told_once() -> None:
    """The other runs are read; without ``on_damage`` the damage is raised."""

    def broken() -> Watched:
        raise Damaged("events-1.parquet", "CRC-32C")

    places = [RunPlace(0, 1, 3, broken), Watched(1, [2, 3], []).place]
    told: list[Damaged] = []
    with Merge(places, no_check, told.append) as merge:
        assert travelled(merge, 9, backward=False) == [2, 3]
        assert travelled(merge, 9, backward=True) == [3, 2]
    assert [damage.path for damage in told] == ["events-1.parquet"]
    with Merge(places, no_check, None) as merge, pytest.raises(Damaged):
        travelled(merge, 9, backward=False)


def test_conditions_are_all_met() -> None:
    """Source, level and text together; the text may stand in the event id."""
    rows = [event_row(at, at) for at in range(20)]
    piece = pa.Table.from_batches([event_record_batch(event_batch(rows))])

    def numbers(**conditions: object) -> list[int]:
        return selected_rows(piece, EventRequest(**conditions)).nonzero()[0].tolist()

    assert numbers() == list(range(20))
    assert numbers(sources=frozenset(["s1"]), levels=frozenset([2])) == [7]
    assert numbers(text="culled É") == list(range(0, 20, 2))
    assert numbers(text="STAGE-3") == [3, 7, 11, 15, 19]
