"""Reads the wanted rows of one block as a run: by series and time, in batches.

row groups      0 1 | 2 3 | 4 5        bands: all rows of one come before all rows of the next
from the file   ▣     ▣     ▣          a band at a time
from the cache  ▣ ▣ ▣ ▣ ▣ ▣            ``GROUPS_TOGETHER`` row groups at a time: a block read by many queries costs
                                       one call for all of them, where a call for each would be most of the work
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from nissa._fast.row_groups import RowGroup, count_rows, take_rows
from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.store.blocks import GROUP_ROWS, OpenBlock, SeriesChoice
from nissa.store.row_groups import NO_ROWS, SPAN_MS_MAX, RowGroupCache

GROUPS_TOGETHER = 8  # of which GROUP_ROWS rows are copied at a time
ROW_BYTES = 40  # of a row in memory while runs are merged: its columns, and once more what they are made from

Run = Iterator[SampleBatch]
OnDamage = Callable[[Damaged], None]


def block_run(
    opened: OpenBlock,
    choice: SeriesChoice | None,
    start_ms: int,
    end_ms: int,
    on_damage: OnDamage | None = None,
    check: Check = no_check,
    cache: RowGroupCache | None = None,
) -> Run:
    """The wanted rows of a block by series and time; its file is closed behind the last.

    choice: series; None: all. start_ms, end_ms: half-open interval, Unix milliseconds. on_damage: called with the
    damage of a row group, which is passed over; without it, it is raised. check: called for each row group that is
    read, and with the bytes in memory. cache: of row groups; without it they are read from the file.
    """
    asked = _Asked(opened, choice, (start_ms, end_ms), on_damage, check)
    bands = opened.bands(choice, start_ms, end_ms)
    if cache is None or opened.block.max_ms - opened.block.min_ms > SPAN_MS_MAX:
        for band in bands:
            yield from _from_file(asked, band)
    else:
        for some in _together(bands, repeat(1), GROUPS_TOGETHER):
            yield from _from_cache(asked, some, cache)
    opened.close()


class _Asked(NamedTuple):
    """The block that is read, and the rows wanted of it."""

    opened: OpenBlock
    choice: SeriesChoice | None
    interval_ms: tuple[int, int]
    on_damage: OnDamage | None
    check: Check

    def damaged(self, damage: Damaged) -> None:
        """Pass over it. Raises: the damage where nobody wants to be told."""
        if self.on_damage is None:
            raise damage
        self.on_damage(damage)


def _from_file(asked: _Asked, band: Sequence[int]) -> Run:
    """The wanted rows of a band."""
    parts = []
    for group in band:
        asked.check()
        try:
            batch = asked.opened.read_group(group, asked.choice, *asked.interval_ms)
        except Damaged as damage:
            asked.damaged(damage)
            continue
        if len(batch):
            parts.append(batch)
    rows = sum(map(len, parts)) if len(parts) > 1 else 0
    asked.check(ROW_BYTES * rows)
    yield from asked.opened.by_series(parts, GROUP_ROWS)
    asked.check(-ROW_BYTES * rows)


def _together(bands: Sequence[list[int]], sizes: Iterator[int], most: int) -> Iterator[list[list[int]]]:
    """Bands, as many at a time as have ``most`` together; at least one. sizes: of each row group."""
    some: list[list[int]] = []
    together = 0
    for band in bands:
        size = sum(next(sizes) for _ in band)
        if some and together + size > most:
            yield some
            some, together = [], 0
        some.append(band)
        together += size
    if some:
        yield some


def _from_cache(asked: _Asked, bands: Sequence[list[int]], cache: RowGroupCache) -> Run:
    """The wanted rows of some bands, in batches of ``GROUP_ROWS`` or of a band."""
    numbers = [group for band in bands for group in band]
    asked.check()
    groups = [
        rows if rows is not None else _decoded(asked, number, cache)
        for number, rows in zip(numbers, cache.find(asked.opened.block.id, numbers), strict=True)
    ]
    ids = None if asked.choice is None else asked.choice.ids
    counts = count_rows(groups, ids, *asked.interval_ms).tolist()
    at = 0
    for some in _together(bands, iter(counts), GROUP_ROWS):
        end = at + sum(map(len, some))
        yield from _taken(asked, some, groups[at:end], ids)
        at = end


def _taken(asked: _Asked, bands: Sequence[list[int]], groups: list[RowGroup], ids: SeriesColumn | None) -> Run:
    """The wanted rows of row groups, which are those of some bands."""
    series, ts_ms, value, ends, ascending = take_rows(groups, ids, *asked.interval_ms)
    rows = len(series)
    if rows and ascending:
        yield SampleBatch(series, ts_ms, value)
    elif rows:  # several metrics of a band, which lie one behind the other
        asked.check(ROW_BYTES * rows)
        borders = zip([0, *ends.tolist()], ends.tolist(), strict=False)
        for band in bands:
            own = [slice(*next(borders)) for _ in band]
            parts = [SampleBatch(series[part], ts_ms[part], value[part]) for part in own if part.start < part.stop]
            yield from asked.opened.by_series(parts, GROUP_ROWS)
        asked.check(-ROW_BYTES * rows)


def _decoded(asked: _Asked, number: int, cache: RowGroupCache) -> RowGroup:
    """A row group as it is in the file; one without rows in place of a damaged one."""
    asked.check()
    try:
        rows = asked.opened.row_group(number)
    except Damaged as damage:
        asked.damaged(damage)
        return NO_ROWS
    cache.keep(asked.opened.block.id, number, rows)
    return rows
