"""Tombstones: deleted series and time ranges, while some block still has rows of them.

    frames   ──────────────────── lsn ──────────►
    block    ▪▪▪▪ 3 ▪▪▪▪  ▪▪ 7 ▪▪  │  ▪▪ 9 ▪▪        rows in 3 and 7 are deleted, rows in 9 are new data and stay
    merged   ▪▪▪▪▪▪▪▪▪ 12 ▪▪▪▪▪▪▪▪▪│▪▪▪▪▪▪▪▪▪        without the deleted rows: ``tombstone`` of block 12 says so

A deletion names series by their ids and is made once everything received before it lies in blocks; ``lsn`` is the
checkpoint in the same transaction. So no row in memory and no frame of the journal is ever covered by a tombstone, and
a replay cannot bring a deleted row back. A tombstone covers a block when the block's frames end by its lsn and the
block was written without it (``BlockRow.tombstone`` is lower than its id).

A merge lists the blocks first and the tombstones afterwards. A later tombstone has an lsn not below that of any of
these blocks, so it covers the merged block.

Rows of windows are covered by range of starts (``tiers``), which the ladder decides (``rollup/tombstones.py``).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, Catalogue
from nissa.catalogue.schema import TOMBSTONES_SINCE
from nissa.files.names import CATALOGUE, EVENTS_KIND, RAW_KIND, tier_of
from nissa.model.columns import SampleBatch, SeriesColumn, TimeColumn
from nissa.model.errors import BadQuery, Damaged
from nissa.model.ladder import Tier
from nissa.store.block_series import decode_series, encode_series

# The defaults of storage.tombstones_max and storage.tombstone_series_max.
TOMBSTONES_MAX = 1_000
SERIES_MAX = 10_000_000
_ALL = "SELECT id, start_ms, end_ms, lsn, created_ms, series, tiers FROM tombstone ORDER BY id"

Ranges = dict[str, tuple[int, int]]


class Tombstone(msgspec.Struct, frozen=True, eq=False):
    """Rows of these series (ascending ids) in [start_ms, end_ms), of the frames up to lsn, are deleted.

    tiers: by tier, the starts of windows that are deleted, half-open; None until the ladder has decided on them.
    """

    id: int
    start_ms: int
    end_ms: int
    lsn: int
    created_ms: int
    series: SeriesColumn
    tiers: Ranges | None = None


class Cover(msgspec.Struct, frozen=True, eq=False):
    """Rows of one block that are deleted: those of these series with a time in [start_ms, end_ms)."""

    series: SeriesColumn
    start_ms: int
    end_ms: int

    def flags(self, series: SeriesColumn, times_ms: TimeColumn) -> npt.NDArray[np.bool_]:
        """The rows, sorted by series, that are deleted. Cost: about 20 ns per row."""
        inside = (times_ms >= self.start_ms) & (times_ms < self.end_ms)
        if not inside.any():
            return inside
        first, last = np.searchsorted(self.series, series[0]), np.searchsorted(self.series, series[-1], "right")
        own = self.series[first:last]
        starts, ends = np.searchsorted(series, own, "left"), np.searchsorted(series, own, "right")
        there = starts < ends
        steps = np.zeros(len(series) + 1, np.int32)  # one up where rows of such a series begin, one down behind them
        steps[starts[there]] += 1
        steps[ends[there]] -= 1
        return inside & (np.cumsum(steps[:-1]) > 0)


Covers = tuple[Cover, ...]


class Purge:
    """The tombstones that are carried out in one merge, and how many rows it dropped for them."""

    def __init__(self, tombstones: Sequence[Tombstone] = ()) -> None:
        """tombstones: all there are, listed after the blocks that are merged."""
        self.tombstones = tuple(tombstones)
        self.rows = 0

    def samples(self, block: BlockRow, run: Iterator[SampleBatch]) -> Iterator[SampleBatch]:
        """Rows of a raw block without the deleted ones."""
        return surviving_run(run, covers_of(block, self.tombstones), self.count)

    def count(self, rows: int) -> None:
        """Count rows that were dropped."""
        self.rows += rows

    @property
    def newest(self) -> int:
        """The id of the newest tombstone, 0 without any."""
        return max((one.id for one in self.tombstones), default=0)

    def stamp(self, block: BlockRow) -> BlockRow:
        """The row of a block that was written without the rows that the tombstones cover."""
        return msgspec.structs.replace(block, tombstone=max(block.tombstone, self.newest))


def covers(tombstone: Tombstone, block: BlockRow, start_ms: int, end_ms: int) -> bool:
    """True if a block may hold rows with times in [start_ms, end_ms) that this tombstone deletes."""
    if block.tombstone >= tombstone.id or block.last_lsn > tombstone.lsn or block.kind == EVENTS_KIND:
        return False
    if block.max_ms < start_ms or block.min_ms >= end_ms:
        return False
    return block.series_min <= int(tombstone.series[-1]) and block.series_max >= int(tombstone.series[0])


def covers_of(block: BlockRow, tombstones: Sequence[Tombstone]) -> Covers:
    """Deleted ranges of a raw block."""
    spans = ((one, one.start_ms, one.end_ms) for one in tombstones)
    return joined_covers(part for part in spans if covers(part[0], block, *part[1:]))


def joined_covers(parts: Iterable[tuple[Tombstone, int, int]]) -> Covers:
    """Tombstones with the times they delete, those of equal times as one."""
    found: dict[tuple[int, int], list[SeriesColumn]] = {}
    for tombstone, start_ms, end_ms in parts:
        found.setdefault((start_ms, end_ms), []).append(tombstone.series)
    return tuple(
        Cover(columns[0] if len(columns) == 1 else np.unique(np.concatenate(columns)), *span)
        for span, columns in found.items()
    )


def deleted_rows(deleted: Covers, series: SeriesColumn, times_ms: TimeColumn) -> npt.NDArray[np.bool_] | None:
    """The rows, sorted by series, that are deleted; None where none is."""
    flags: npt.NDArray[np.bool_] | None = None
    for cover in deleted:
        first = int(np.searchsorted(series, cover.series[0], "left"))
        end = int(np.searchsorted(series, cover.series[-1], "right"))
        found = cover.flags(series[first:end], times_ms[first:end])
        if found.any():
            flags = np.zeros(len(series), np.bool_) if flags is None else flags
            flags[first:end] |= found
    return flags


def surviving(batch: SampleBatch, deleted: Covers) -> SampleBatch:
    """The rows of a batch that are not deleted."""
    flags = deleted_rows(deleted, batch.series, batch.ts_ms)
    if flags is None:
        return batch
    kept = ~flags
    return SampleBatch(batch.series[kept], batch.ts_ms[kept], batch.value[kept])


def _uncounted(_: int) -> None:
    """Default of ``count``: does nothing."""


def surviving_run(
    run: Iterator[SampleBatch], deleted: Covers, count: Callable[[int], None] = _uncounted
) -> Iterator[SampleBatch]:
    """A run without deleted rows. count: called with how many were left out of each batch."""
    return _surviving(run, deleted, count) if deleted else run


def _surviving(run: Iterator[SampleBatch], deleted: Covers, count: Callable[[int], None]) -> Iterator[SampleBatch]:
    for batch in run:
        left = surviving(batch, deleted)
        count(len(batch) - len(left))
        if len(left):
            yield left


def read_tombstones(catalogue: Catalogue) -> tuple[Tombstone, ...]:
    """All tombstones, oldest first. A reader asks for them before it asks for the blocks. Raises: Damaged."""
    if catalogue.format < TOMBSTONES_SINCE:
        return ()
    try:
        return tuple(_tombstone(row) for row in catalogue.select(_ALL))
    except (ValueError, msgspec.MsgspecError) as error:
        raise Damaged(str(catalogue.directory / CATALOGUE), f"tombstones cannot be read: {error}") from error


def _tombstone(row: tuple[int, int, int, int, int, bytes, str | None]) -> Tombstone:
    number, start_ms, end_ms, lsn, created_ms, series, tiers = row
    ranges = None if tiers is None else msgspec.json.decode(tiers, type=Ranges)
    return Tombstone(number, start_ms, end_ms, lsn, created_ms, decode_series(series), ranges)


def tiers_text(ranges: Ranges) -> str:
    """Ranges of starts as the catalogue keeps them."""
    return msgspec.json.encode(ranges).decode()


def read_expired(catalogue: Catalogue) -> dict[str, int]:
    """By kind of block, the latest time of a row in a block that retention has dropped.

    What had expired before the catalogue kept this: blocks go by their last row, so nothing later than the first to go.
    """
    if catalogue.format < TOMBSTONES_SINCE:
        return dict(catalogue.select("SELECT kind, min(max_ms) FROM block WHERE kind != 'events' GROUP BY kind"))
    return dict(catalogue.select("SELECT kind, until_ms FROM expired ORDER BY kind"))


class Tombstones:
    """The tombstones of a directory that is open for writing. Any thread may ask and add.

    all: as they stand, oldest first. added: grows with each deletion, after ``all``; at first, how many the ladder has
    not decided on. expired: as ``read_expired``. dropped_rows: deleted rows that merges have left out since this was
    opened.
    """

    def __init__(
        self, catalogue: Catalogue, tombstones_max: int = TOMBSTONES_MAX, series_max: int = SERIES_MAX
    ) -> None:
        """tombstones_max, series_max: bounds of their number, and of the series ids in all of them."""
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._max, self._series_max = tombstones_max, series_max
        self.all = read_tombstones(catalogue)
        self.expired: Mapping[str, int] = read_expired(catalogue)
        self.added = sum(one.tiers is None for one in self.all)
        self.dropped_rows = 0

    def add(self, series: SeriesColumn, start_ms: int, end_ms: int, now_ms: int) -> Tombstone:
        """Delete the rows of these series in [start_ms, end_ms), of all frames up to the checkpoint.

        series: ascending ids, at least one. Raises: BadQuery where a bound is passed; Unavailable, Damaged.
        """
        content = encode_series(series)
        with self._lock:
            if len(self.all) >= self._max:
                raise BadQuery(
                    f"{len(self.all)} deletions are pending already, the most allowed (storage.tombstones_max)"
                )
            held = sum(len(one.series) for one in self.all)
            if held + len(series) > self._series_max:
                said = f"{len(series)} series beside {held} of earlier deletions"
                raise BadQuery(f"{said} are over the limit of {self._series_max} (storage.tombstone_series_max)")
            with self._catalogue.transaction("tombstone") as db:
                found = db.execute("SELECT lsn FROM checkpoint").fetchone()
                lsn = int(found[0]) if found else 0
                cursor = db.execute(
                    "INSERT INTO tombstone (start_ms, end_ms, lsn, created_ms, series) VALUES (?, ?, ?, ?, ?)",
                    (start_ms, end_ms, lsn, now_ms, content),
                )
                number = int(cursor.lastrowid or 0)
            added = Tombstone(number, start_ms, end_ms, lsn, now_ms, series)
            self.all = (*self.all, added)
            self.added += 1
        return added

    def complete(self, completed: Mapping[int, Ranges]) -> None:
        """The catalogue says now which windows these tombstones delete, by id."""
        with self._lock:
            self.all = tuple(
                msgspec.structs.replace(one, tiers=completed[one.id]) if one.id in completed else one
                for one in self.all
            )

    def expire(self, blocks: Iterable[BlockRow]) -> None:
        """Retention has dropped these blocks."""
        expired = dict(self.expired)
        for block in blocks:
            expired[block.kind] = max(block.max_ms, expired.get(block.kind, block.max_ms))
        self.expired = expired

    def expire_until(self, times: Mapping[str, int]) -> None:
        """Rows of these kinds of blocks are not all there up to these times; the catalogue says so already."""
        self.expired = {**self.expired, **{kind: max(ms, self.expired.get(kind, ms)) for kind, ms in times.items()}}

    def begin_tiers(self, tiers: Sequence[Tier]) -> None:
        """Tiers that come into use now are made of what is there still: what expired below them has expired of them.

        tiers: the ladder of the settings, finest first.
        """
        known = {row.tier.name for row in self._catalogue.tiers()}
        fresh = {}
        for place, tier in enumerate(tiers):
            below = {RAW_KIND, *(one.name for one in tiers[: place + 1])}
            times = [until_ms for kind, until_ms in self.expired.items() if tier_of(kind) in below]
            if tier.name not in known and times:
                fresh[tier.name] = max(times)
        if any(until_ms > self.expired.get(name, NEVER_MS) for name, until_ms in fresh.items()):
            with self._catalogue.transaction("expired") as db:
                raise_expired(db, fresh.items())
            self.expired = {**self.expired, **fresh}

    def remove(self, done: Sequence[Tombstone]) -> None:
        """Forget tombstones that cover no block any more."""
        if not done:
            return
        numbers = {one.id for one in done}
        with self._lock:
            with self._catalogue.transaction("tombstone") as db:
                db.executemany("DELETE FROM tombstone WHERE id = ?", [(number,) for number in sorted(numbers)])
            self.all = tuple(one for one in self.all if one.id not in numbers)


def count_expired(db: sqlite3.Connection, blocks: Iterable[BlockRow]) -> None:
    """Within a transaction on table ``expired``: these blocks go for their age."""
    raise_expired(db, [(block.kind, block.max_ms) for block in blocks if block.kind != EVENTS_KIND])


def raise_expired(db: sqlite3.Connection, times: Iterable[tuple[str, int]]) -> None:
    """Within a transaction on table ``expired``: rows of these kinds of blocks are not all there up to these times."""
    db.executemany(
        "INSERT INTO expired (kind, until_ms) VALUES (?, ?)"
        " ON CONFLICT (kind) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)",
        times,
    )
