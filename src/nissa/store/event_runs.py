"""Runs of events in order of time: one per event block, read by the row group, and one for the head.

    run 0  block 3    | 10 10 12 | 12 15 |         events of one millisecond stand in order of arrival,
    run 1  block 7    | 12 19 |                    within a run and from run to run
    run 2  head         11 12 18

A place says where a run begins and ends without a look at its file. A piece is a table of neighbouring events of a run,
beginning and ending anywhere, even within a millisecond.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import arrow_column
from nissa.files.checked_file import CheckedReader
from nissa.files.names import EVENTS_KIND, locate
from nissa.model.columns import EventBatch, TimeColumn
from nissa.model.errors import Damaged
from nissa.model.units import EVER_MS
from nissa.store.block_footer import as_damaged
from nissa.store.block_set import HeldBlocks
from nissa.store.event_blocks import event_record_batch, within
from nissa.store.quarantine import QuarantineRow, missing_from

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_PIECE_ROWS = 4_096

OnDamage = Callable[[Damaged], None]


class EventSnapshot(msgspec.Struct, frozen=True):
    """All events at one moment. heads: batches in order of arrival, never changed afterwards.

    missing: blocks in quarantine (``report_missing_files``). held: keeps the files of the blocks.
    """

    directory: Path
    blocks: tuple[BlockRow, ...] = ()
    heads: tuple[EventBatch, ...] = ()
    missing: tuple[QuarantineRow, ...] = ()
    held: HeldBlocks | None = None

    def close(self) -> None:
        """Let the files go, before nothing refers to this any more; they cannot be read afterwards."""
        if self.held is not None:
            self.held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def report_missing_files(snapshot: EventSnapshot, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> None:
    """Report the blocks that an answer over [start_ms, end_ms) lacks. Raises: Quarantined, without ``on_damage``."""
    for missing in missing_from(snapshot.missing, snapshot.directory, EVENTS_KIND, start_ms, end_ms):
        if on_damage is None:
            raise missing
        on_damage(missing)


class EventRun(Protocol):
    """Events in order of time. least_ms: nothing is earlier."""

    least_ms: int

    def pieces(
        self, start_ms: int, end_ms: int, on_damage: OnDamage | None, *, backward: bool = False
    ) -> Iterator["pa.Table"]:
        """Tables that together hold every event in [start_ms, end_ms), and perhaps others before and behind.

        on_damage: called with damaged pieces, which are left out; without it the first is raised. backward: the last
        piece first, each in order of time nevertheless.
        """

    def close(self) -> None:
        """Give files back."""


class RunPlace(msgspec.Struct, frozen=True):
    """A run that is not open. number: of arrival. open: raises Damaged."""

    number: int
    least_ms: int
    greatest_ms: int
    open: Callable[[], EventRun]


def places_of(snapshot: EventSnapshot, start_ms: int, end_ms: int) -> list[RunPlace]:
    """Runs with events in [start_ms, end_ms), in order of arrival."""
    places: list[RunPlace] = []
    for block in sorted(snapshot.blocks, key=lambda block: block.first_lsn):
        if block.kind == EVENTS_KIND and block.min_ms < end_ms and block.max_ms >= start_ms:
            open_block = partial(BlockRun, snapshot.directory, block)
            places.append(RunPlace(len(places), block.min_ms, block.max_ms, open_block))
    heads = [head for head in snapshot.heads if len(head)]
    if heads:
        run = HeadRun(heads)
        if run.least_ms < end_ms and run.greatest_ms >= start_ms:
            places.append(RunPlace(len(places), run.least_ms, run.greatest_ms, lambda: run))
    return places


class BlockRun:
    """The events of one block. Raises: Damaged."""

    def __init__(self, directory: Path, block: BlockRow) -> None:
        import pyarrow.parquet as pq  # heavy, and not needed for receiving

        self.least_ms = block.min_ms
        self._file = CheckedReader(locate(directory, block.path), block.seal)
        try:
            self._parquet: Any = pq.ParquetFile(self._file, page_checksum_verification=True)
            metadata = self._parquet.metadata
            times = [metadata.row_group(group).column(0).statistics for group in range(metadata.num_row_groups)]
            self._spans = [(group, int(found.min), int(found.max)) for group, found in enumerate(times)]
        except BaseException as error:  # any error that Arrow raises; reported as damage, or raised as it is
            self._file.close()
            raise as_damaged(self._file, error) from error

    def pieces(
        self, start_ms: int, end_ms: int, on_damage: OnDamage | None, *, backward: bool = False
    ) -> Iterator["pa.Table"]:
        """Read the events of a block, one table per row group that overlaps the range.

        start_ms, end_ms: half-open interval, Unix milliseconds. on_damage: called with damage, whose events are left
        out. backward: newest first. Raises: Damaged, without ``on_damage``.
        """
        for group, least_ms, greatest_ms in reversed(self._spans) if backward else self._spans:
            if least_ms >= end_ms or greatest_ms < start_ms:
                continue
            try:
                table = self._parquet.read_row_group(group, use_threads=False)
            except Exception as error:  # any error of Arrow for bytes it cannot read
                damage = as_damaged(self._file, error)
                if on_damage is None or not isinstance(damage, Damaged):
                    raise damage from error
                on_damage(damage)
            else:
                yield table

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class HeadRun:
    """The events of the head, sorted when they are asked for. At least one."""

    def __init__(self, heads: Sequence[EventBatch]) -> None:
        self._heads = heads
        self._times = np.concatenate([head.time_ms for head in heads])
        self._firsts = np.cumsum([0, *map(len, heads)])
        self.least_ms, self.greatest_ms = int(self._times.min()), int(self._times.max())

    def pieces(
        self,
        start_ms: int,
        end_ms: int,
        on_damage: OnDamage | None,  # noqa: ARG002
        *,
        backward: bool = False,
    ) -> Iterator["pa.Table"]:
        """Return the events of the head in the range.

        start_ms, end_ms: half-open interval, Unix milliseconds. on_damage: unused. backward: newest first.
        """
        chosen = np.flatnonzero(within(self._times, start_ms, end_ms))
        rows = chosen[np.argsort(self._times[chosen], kind="stable")]
        firsts = range(0, len(rows), HEAD_PIECE_ROWS)
        for first in reversed(firsts) if backward else firsts:
            yield self._table(rows[first : first + HEAD_PIECE_ROWS])

    def _table(self, rows: Any) -> "pa.Table":
        """The table of ``rows``. Only their batches are read, as there may be one batch for each event."""
        import pyarrow as pa

        owners, which = np.unique(np.searchsorted(self._firsts, rows, "right") - 1, return_inverse=True)
        owned = np.diff(self._firsts)[owners]
        moved = np.cumsum(owned) - owned - self._firsts[owners]  # from places among all to places among these
        table = pa.Table.from_batches([event_record_batch(self._heads[owner]) for owner in owners.tolist()])
        return table.take(arrow_column((rows + moved[which]).astype(np.int64), pa.int64()))

    def close(self) -> None:
        """Nothing is open."""


def merge_event_runs(runs: Sequence[EventRun]) -> Iterator["pa.Table"]:
    """All events of some runs, given in order of arrival, as one run. Raises: Damaged.

    Of each run one piece is in memory, from when its time has come.
    """
    import pyarrow as pa

    fronts = [_Front(run) for run in runs]
    while fronts:
        nearest_ms = min(front.near_ms for front in fronts)
        safe_ms = min((front.last_ms for front in fronts if front.piece is not None), default=nearest_ms)
        hidden = [front for front in fronts if front.piece is None and front.near_ms <= safe_ms]
        if hidden:
            fronts = [front for front in fronts if front not in hidden or front.show()]
            continue
        parts = [front.take_before(safe_ms) for front in fronts if front.near_ms < safe_ms]
        if not parts:  # the first of those that begin there has all of its own before those of the others
            parts = [next(front for front in fronts if front.near_ms == safe_ms).take_before(safe_ms + 1)]
        table = pa.concat_tables(parts)
        if len(parts) > 1:
            order = np.argsort(times_of(table), kind="stable")
            table = table.take(arrow_column(order, pa.int64()))
        yield table


class _Front:
    """Position in a run. piece: the rest of the piece in memory. near_ms: lower bound of the times that are left."""

    def __init__(self, run: EventRun) -> None:
        self._pieces = run.pieces(*EVER_MS, None)
        self.piece: pa.Table | None = None
        self.near_ms = self.last_ms = run.least_ms

    def show(self) -> bool:
        """Read the next piece; False where there is none."""
        self.piece = next(self._pieces, None)
        if self.piece is not None:
            times = times_of(self.piece)
            self.near_ms, self.last_ms = int(times[0]), int(times[-1])
        return self.piece is not None

    def take_before(self, end_ms: int) -> "pa.Table":
        """The events before ``end_ms`` of the piece, which is not None."""
        piece: Any = self.piece
        times = times_of(piece)
        count = count_before(times, end_ms)
        if count < len(times):
            self.piece, self.near_ms = piece.slice(count), int(times[count])
        else:
            self.piece, self.near_ms = None, self.last_ms
        return piece.slice(0, count)


def count_before(times: TimeColumn, end_ms: int) -> int:
    """The number of ascending times before ``end_ms``, which may be one more than an int64 holds."""
    return len(times) if end_ms >= EVER_MS[1] else int(np.searchsorted(times, np.int64(end_ms)))


def times_of(piece: "pa.Table") -> TimeColumn:
    """The times of a piece, ascending."""
    column = piece.column("time_ms")
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    # Not ``to_numpy``, which loads pandas (``arrow_columns.py``).
    return np.frombuffer(chunk.buffers()[1] or b"", np.int64, len(chunk), chunk.offset * 8)
