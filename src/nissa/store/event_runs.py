"""Runs of events in order of time: one per event block, read by the row group, and one for the head.

    run 0  block 3    | 10 10 12 | 12 15 |         events of one millisecond stand in order of arrival,
    run 1  block 7    | 12 19 |                    within a run and from run to run
    run 2  head         11 12 18

A piece is a table of neighbouring events of a run, beginning and ending anywhere, even within a millisecond.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from nissa.model.columns import EventBatch, TimeColumn
from nissa.model.errors import Damaged
from nissa.store.arrow_columns import arrow_column
from nissa.store.catalogue import BlockRow
from nissa.store.checked_file import CheckedReader
from nissa.store.event_blocks import record_batch
from nissa.store.names import EVENTS_KIND, locate

if TYPE_CHECKING:
    import pyarrow as pa


OnDamage = Callable[[Damaged], None]


class EventSnapshot(msgspec.Struct, frozen=True):
    """All events at one moment. heads: batches in order of arrival, never changed afterwards."""

    directory: Path
    blocks: tuple[BlockRow, ...] = ()
    heads: tuple[EventBatch, ...] = ()


class EventRun(Protocol):
    """Events in order of time."""

    def pieces(self, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> Iterator["pa.Table"]:
        """Tables that together hold every event in [start_ms, end_ms), and perhaps others before and behind.

        on_damage: told of damaged pieces, which are left out; without it the first is raised.
        """

    def close(self) -> None:
        """Give files back."""


def open_runs(snapshot: EventSnapshot, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> Iterator[EventRun]:
    """Runs with events in [start_ms, end_ms), in order of arrival. Whoever takes one closes it.

    on_damage: told of a damaged block, which is left out; without it the damage is raised. Raises: FileGone, Damaged.
    """
    for block in sorted(snapshot.blocks, key=lambda block: block.first_lsn):
        if block.kind != EVENTS_KIND or block.min_ms >= end_ms or block.max_ms < start_ms:
            continue
        try:
            run = BlockRun(snapshot.directory, block)
        except Damaged as damage:
            if on_damage is None:
                raise
            on_damage(damage)
        else:
            yield run
    heads = [head for head in snapshot.heads if len(head)]
    if heads:
        yield HeadRun(heads)


class BlockRun:
    """The events of one block. Raises: FileGone, Damaged."""

    def __init__(self, directory: Path, block: BlockRow) -> None:
        import pyarrow.parquet as pq  # heavy: nobody who only receives needs it

        self._file = CheckedReader(locate(directory, block.path), block.seal)
        try:
            self._parquet: Any = pq.ParquetFile(self._file, page_checksum_verification=True)
            metadata = self._parquet.metadata
            times = [metadata.row_group(group).column(0).statistics for group in range(metadata.num_row_groups)]
            self._spans = [(group, int(found.min), int(found.max)) for group, found in enumerate(times)]
        except Exception as error:  # whatever Arrow makes of bytes it cannot read
            damage = self._damaged(error)
            self._file.close()
            raise damage from error

    def pieces(self, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> Iterator["pa.Table"]:
        """One table per row group that overlaps. Raises: Damaged."""
        for group, least_ms, greatest_ms in self._spans:
            if least_ms >= end_ms or greatest_ms < start_ms:
                continue
            try:
                table = self._parquet.read_row_group(group, use_threads=False)
            except Exception as error:  # whatever Arrow makes of bytes it cannot read
                if on_damage is None:
                    raise self._damaged(error) from error
                on_damage(self._damaged(error))
            else:
                yield table

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _damaged(self, error: Exception) -> Damaged:
        return self._file.damage or Damaged(str(self._file.path), f"not an event block: {error}")


class HeadRun:
    """The events of the head, sorted when they are asked for."""

    def __init__(self, heads: Sequence[EventBatch]) -> None:
        self._heads = heads

    def pieces(self, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> Iterator["pa.Table"]:  # noqa: ARG002
        """One table of those in the range."""
        import pyarrow as pa

        times = np.concatenate([head.time_ms for head in self._heads])
        order = np.argsort(times, kind="stable")
        first, end = np.searchsorted(times, [start_ms, end_ms], sorter=order)
        if first < end:
            table = pa.Table.from_batches([record_batch(head) for head in self._heads])
            yield table.take(arrow_column(order[first:end].astype(np.int64), pa.int64()))

    def close(self) -> None:
        """Nothing is open."""


def times_of(piece: "pa.Table") -> TimeColumn:
    """The times of a piece, ascending."""
    column: TimeColumn = piece.column("time_ms").to_numpy()
    return column
