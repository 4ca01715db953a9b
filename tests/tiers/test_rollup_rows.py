"""Rows as columns: what is written of them after what was written before, against a table that is a dictionary."""

import math
import random
from collections.abc import Mapping

import numpy as np
import pytest

from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup.exact import GroupedQuantiles
from nissa.tiers.rollup_rows import Rollup, RollupKey, RollupRows, WrittenRows, with_percentiles

KEYS = [RollupKey("api", "latency", (("route", f"/{number}"),)) for number in range(4)]
Table = dict[tuple[RollupKey, int], Rollup]


def rows_of(table: Mapping[tuple[RollupKey, int], Rollup]) -> RollupRows:
    """Columns of these rows, their keys in whatever order they come."""
    keys = tuple({key: None for key, _ in table})
    own = sorted(table.values(), key=lambda row: (keys.index(row.key), row.bucket_ms))

    def column(values: list[float | None], width: int) -> np.ndarray:
        found = [math.nan if value is None else value for value in values]
        return np.array(found, np.float64).reshape(len(own), width)

    return RollupRows(
        keys,
        np.array([keys.index(row.key) for row in own], np.int64),
        np.array([row.bucket_ms for row in own], np.int64),
        np.array([row.count for row in own], np.int64),
        column([value for row in own for value in (row.sum, row.min, row.max)], 3),
        column([value for row in own for value in row.percentiles], 4),
    )


def row(key: RollupKey, bucket_ms: int, total: float | None = 1.0) -> Rollup:
    return Rollup(key, bucket_ms, 1, total, 1.0, 1.0, (1.0, None, 2.0, 3.0))


def write(written: WrittenRows, stored: Table, fresh: Table, span_ms: tuple[int, int]) -> int:
    """Have the changes made in a dictionary; returns the number of rows that were written."""
    rows = rows_of(fresh)
    changes = written.changes(rows, *span_ms)
    for start_ms, end_ms in changes.unknown:
        for place in [place for place in stored if start_ms <= place[1] < end_ms]:
            del stored[place]
    for place in changes.gone:
        del stored[place]
    for one in changes.added:
        assert (one.key, one.bucket_ms) not in stored, "COPY takes no row that is there"
    stored |= {(one.key, one.bucket_ms): one for one in [*changes.added, *changes.changed]}
    written.note(rows, *span_ms)
    return len(changes.added) + len(changes.changed)


@pytest.mark.parametrize("rows_max", [1_000, 10, 0])
def test_the_table_has_the_rows_of_the_last_flush(rows_max: int) -> None:
    """Whatever changed between flushes of moving spans, and however many rows are remembered."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, written, stored, expected = random.Random(seed), WrittenRows(rows_max), Table(), Table()
    start_ms = 0
    for _ in range(60):
        start_ms += dice.choice((0, 0, MINUTE_MS, 3 * MINUTE_MS))
        written.forget_before(start_ms)
        end_ms = start_ms + dice.randint(5, 9) * MINUTE_MS
        fresh = {place: one for place, one in expected.items() if start_ms <= place[1] < end_ms}
        for _ in range(dice.randint(0, 6)):
            place = dice.choice(KEYS), dice.randrange(start_ms, end_ms, MINUTE_MS)
            fresh[place] = row(*place, dice.choice((None, 1.0, 2.0, 0.0, -0.0)))
        for place in dice.sample(sorted(fresh, key=str), min(len(fresh), dice.randint(0, 2))):
            del fresh[place]
        expected = {place: one for place, one in expected.items() if not start_ms <= place[1] < end_ms} | fresh
        cut_ms = dice.randrange(start_ms, end_ms, MINUTE_MS)
        for span_ms in ((start_ms, cut_ms), (cut_ms, end_ms)):
            part = {place: one for place, one in fresh.items() if span_ms[0] <= place[1] < span_ms[1]}
            write(written, stored, part, span_ms)
        assert stored == expected


def test_rows_that_are_as_they_were_are_not_written() -> None:
    """Numbers that are not known are equal; after ``forget`` everything is written."""
    written, stored = WrittenRows(100), Table()
    rows = {(key, bucket_ms): row(key, bucket_ms, None) for key in KEYS for bucket_ms in (0, MINUTE_MS)}
    assert write(written, stored, rows, (0, HOUR_MS)) == 8
    assert written.newest_ms == MINUTE_MS
    assert write(written, stored, dict(reversed(rows.items())), (0, HOUR_MS)) == 0
    rows[KEYS[0], 0] = row(KEYS[0], 0, 5.0)
    assert write(written, stored, rows, (0, HOUR_MS)) == 1
    written.forget()
    assert written.newest_ms == -1
    assert write(written, stored, rows, (0, HOUR_MS)) == 8


def test_percentiles_are_taken_where_all_samples_were_found() -> None:
    """A row that has counted more of them than were found keeps what it has."""
    table = {(key, bucket_ms): row(key, bucket_ms) for key in KEYS[:2] for bucket_ms in (0, MINUTE_MS)}
    exact = GroupedQuantiles(
        np.array([0, 1, 1]),
        np.array([MINUTE_MS, 0, MINUTE_MS]),
        np.array([1, 2, 1]),
        np.array([[9.0, 9.0, math.inf, 9.0]] * 3),
    )
    rows = with_percentiles(rows_of(table), exact)
    found = [one.percentiles for one in rows.taken(np.arange(4))]
    old, new = (1.0, None, 2.0, 3.0), (9.0, 9.0, None, 9.0)
    assert found == [old, new, old, new]
