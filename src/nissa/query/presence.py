"""Finds the series that have data in a range of time, in bounded time: by block, not by row.

    asked             ├───────────────────────────────┤
    head                                        ▪▪▪▪▪▪▪▪     its rows are looked at
    raw                             ├───┤├───┤├───┤          inside of the range: the series of the block
    1m    ├───┤├───┤├───┤├───┤├───┤├───┤                     reaching out of it: rows of those series that are not
    1h    ├──────────────┤├──────────────┤                   found elsewhere, ``rows_max`` of them at most

Windows are less precise in time than samples, so a tier is read only for times that no finer one has completely: the
catalogue records up to when blocks of each kind have expired. Series beyond the limit count as present. The footer of a
block may name series whose rows were deleted since; the rows of those series are read.
"""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import RAW_KIND, tier_of
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.rollup.tombstones import deleted_of, surviving_windows
from nissa.store.block_series import series_in
from nissa.store.blocks import OpenBlock, choose_series
from nissa.store.quarantine import missing_from
from nissa.store.read import Snapshot, head_overlaps
from nissa.store.tier_blocks import OpenTierBlock
from nissa.store.tombstones import Covers, surviving

HEAD_ROWS_PER_CHECK = 1024 * 1024
ROWS_MAX = 8 * 1024 * 1024  # read of blocks for one question: less than a second
NEVER_MS = 2**63 - 1

Flags = npt.NDArray[np.bool_]


class RungSpan(msgspec.Struct, frozen=True):
    """Samples or a tier, and up to when it is asked. interval_ms: how long what starts at a row's time lasts."""

    name: str
    interval_ms: int
    until_ms: int


def present_series(
    snapshot: Snapshot,
    wanted: SeriesColumn,
    interval_ms: tuple[int, int],
    rows_max: int,
    check: Callable[[], None],
    on_damage: Callable[[Damaged], None],
) -> SeriesColumn:
    """The series of ``wanted``, ascending ids, with samples or windows in the half-open interval.

    rows_max: rows read of blocks that reach out of it. check: called between pieces of work; raises to stop.
    on_damage: called for each file that cannot be read or is in quarantine; all wanted series are returned then.
    """
    count = int(wanted[-1]) + 1 if len(wanted) else 0
    open_flags = np.zeros(count, np.bool_)
    open_flags[wanted] = True
    search = _Search(snapshot, interval_ms, min(rows_max, ROWS_MAX), open_flags, check)
    damages = search.damages
    search.look_at_heads()
    for rung in rung_spans(snapshot):
        damages += missing_from(snapshot.missing, snapshot.directory, rung.name, *search.within(rung))
    reaching_out = [pair for pair in search.blocks() if not search.take_whole(*pair)]
    for rung, block in reaching_out:
        search.take_rows(rung, block)
    for damage in damages:
        on_damage(damage)
    return wanted if damages else wanted[~open_flags[wanted]]


def rung_spans(snapshot: Snapshot) -> list[RungSpan]:
    """Samples, and each tier up to the time from which finer ones have everything."""
    out = [RungSpan(RAW_KIND, 1, NEVER_MS)]
    out += [RungSpan(row.tier.name, row.tier.interval_ms, NEVER_MS) for row in snapshot.tiers]
    until_ms = NEVER_MS
    for at in range(1, len(out)):
        until_ms = min(until_ms, _complete_from_ms(snapshot, out[at - 1]))
        out[at] = msgspec.structs.replace(out[at], until_ms=until_ms)
    return out


def _complete_from_ms(snapshot: Snapshot, rung: RungSpan) -> int:
    """Time from which on no row of a rung has expired, under any policy of its series."""
    until_ms = [until_ms for kind, until_ms in snapshot.expired.items() if tier_of(kind) == rung.name]
    return min(max(until_ms) + rung.interval_ms, NEVER_MS) if until_ms else -NEVER_MS


class _Search:
    """One question under way. open: by id, the wanted series that are not found yet."""

    def __init__(
        self,
        snapshot: Snapshot,
        interval_ms: tuple[int, int],
        rows_max: int,
        open_flags: Flags,
        check: Callable[[], None],
    ) -> None:
        self._snapshot = snapshot
        self._start_ms, self._end_ms = interval_ms
        self._rows_left = rows_max
        self._open = open_flags
        self._check = check
        self.damages: list[Damaged] = []

    def look_at_heads(self) -> None:
        """Rows in memory."""
        if not head_overlaps(self._snapshot, self._start_ms, self._end_ms):
            return
        for head in self._snapshot.heads:
            for first in range(0, len(head), HEAD_ROWS_PER_CHECK):
                self._check()
                rows = slice(first, first + HEAD_ROWS_PER_CHECK)
                ts_ms = head.ts_ms[rows]
                self._close(head.series[rows][(ts_ms >= self._start_ms) & (ts_ms < self._end_ms)])

    def within(self, rung: RungSpan) -> tuple[int, int]:
        """Times, half-open, of rows of a rung that cover the interval: a window starts before its samples."""
        start_ms = max(self._start_ms, -NEVER_MS + rung.interval_ms)
        return start_ms - rung.interval_ms + 1, min(self._end_ms, rung.until_ms)

    def blocks(self) -> Iterator[tuple[RungSpan, BlockRow]]:
        """Blocks with rows that may cover the interval."""
        for rung in rung_spans(self._snapshot):
            first_ms, end_ms = self.within(rung)
            for block in self._snapshot.blocks:
                if tier_of(block.kind) == rung.name and block.max_ms >= first_ms and block.min_ms < end_ms:
                    yield rung, block

    def take_whole(self, rung: RungSpan, block: BlockRow) -> bool:
        """Take the series of a block that lies inside of the interval; whether it does."""
        if block.min_ms < self._start_ms or block.max_ms > self._end_ms - rung.interval_ms:
            return False
        series, deleted = self._series_in(block), deleted_of(self._snapshot, block)
        for cover in deleted:
            series = series[~np.isin(series, cover.series, assume_unique=True)]
        self._close(series)
        return not deleted

    def take_rows(self, rung: RungSpan, block: BlockRow) -> None:
        """Take those of the open series of a block that have rows in the interval."""
        self._check()
        series = self._series_in(block)
        series = series[series < len(self._open)]
        series = series[self._open[series]]
        deleted = deleted_of(self._snapshot, block)
        for cover in deleted:
            if cover.start_ms <= block.min_ms and block.max_ms < cover.end_ms:  # nothing of these is left
                series = series[~np.isin(series, cover.series, assume_unique=True)]
        if not len(series):
            return
        try:
            self._take_groups(rung, block, series, deleted)
        except Damaged as damage:
            self.damages.append(damage)

    def _take_groups(self, rung: RungSpan, block: BlockRow, series: SeriesColumn, deleted: Covers) -> None:
        choice, within = choose_series(series), self.within(rung)
        directory = self._snapshot.directory
        opened = OpenBlock(directory, block) if rung.name == RAW_KIND else OpenTierBlock(directory, block)
        try:
            for group in opened.groups(choice, *within).tolist():
                self._check()
                self._rows_left -= opened.group_rows(group)
                if self._rows_left < 0:
                    self._close(series)
                    return
                if isinstance(opened, OpenBlock):
                    for rows in opened.by_series([opened.read_group(group, choice, *within)]):
                        self._close(surviving(rows, deleted).series)
                else:
                    windows = opened.read_group(group, choice, *within, sketches=False)
                    self._close(surviving_windows(windows, deleted).series)
        finally:
            opened.close()

    def _series_in(self, block: BlockRow) -> SeriesColumn:
        try:
            return series_in(self._snapshot.directory, block)
        except Damaged as damage:
            self.damages.append(damage)
            return np.empty(0, np.uint32)

    def _close(self, series: SeriesColumn) -> None:
        """Mark series as found. Series that came after the query began have no flag, and are ignored."""
        if not len(self._open):
            return
        inside = np.minimum(series, len(self._open) - 1)
        self._open[inside[inside == series]] = False
