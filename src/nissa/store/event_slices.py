"""Slices: event blocks are cut by time, so that each event expires by its own time.

    time        |  slice 0   |  slice 1   |  slice 2   |          of equal width, from 1970 on
    blocks      ▪ ▪ ▪ ▪──►■    ▪ ▪ ▪        ▪                     each lies in one slice, and is merged within it
    wide block     ├───────────────────────────────────── … ┤     of an older version: cut here, one block per slice

A head is sealed into one block per slice. Blocks of different slices have no millisecond in common, so events stay in
order of arrival where blocks of one slice do. The widths nest: after a change of settings to wider slices, every block
still lies in one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import EVENTS_KIND, locate
from nissa.model.columns import EventBatch
from nissa.model.errors import BlocksChanged
from nissa.model.slices import Slices, run_whole
from nissa.model.units import DAY_MS, EVER_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.store.block_file import delete_blocks
from nissa.store.compaction import plan_compaction
from nissa.store.event_blocks import EventWriter, sorted_table
from nissa.store.event_runs import BlockRun, times_of

if TYPE_CHECKING:
    import pyarrow as pa

RETENTION_SLICES = 8  # at least so many make up the time that events are kept
WINDOW_SLICES = 32  # at most so many, and one more, hold the events that are taken at one moment
CUT_BLOCKS_MAX = 64  # made of a head or a wide block at once; what is left over stays wide, and is cut next
WIDTHS_MS = (
    *(SECOND_MS, 10 * SECOND_MS, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS),
    *(DAY_MS << power for power in range(14)),
)


class Frames(msgspec.Struct, frozen=True):
    """Frames that the blocks of one cut have in common."""

    level: int
    first_lsn: int
    last_lsn: int
    created_ms: int


def slice_width_ms(retention_ms: int, past_ms: int, future_ms: int) -> int:
    """The width for events kept for ``retention_ms`` and taken from ``past_ms`` ago to ``future_ms`` ahead."""
    wanted_ms = max(retention_ms // RETENTION_SLICES, (past_ms + future_ms) // WINDOW_SLICES)
    return max((width_ms for width_ms in WIDTHS_MS if width_ms <= wanted_ms), default=WIDTHS_MS[0])


def is_wide(block: BlockRow, width_ms: int) -> bool:
    """True if events of a block lie in several slices."""
    return block.kind == EVENTS_KIND and block.min_ms // width_ms != block.max_ms // width_ms


def plan_event_compaction(
    blocks: Sequence[BlockRow], fan_in: int, width_ms: int, passed_by: set[int]
) -> tuple[BlockRow, ...]:
    """Return the event blocks of one slice to merge next: adjacent blocks of one level, or none.

    blocks: all event blocks. fan_in: number of blocks to merge. width_ms: of a slice. passed_by: ids of blocks not to
    merge.
    """
    events = [block for block in blocks if block.kind == EVENTS_KIND]
    wide = {block.id for block in events if is_wide(block, width_ms)}
    for number in sorted({block.min_ms // width_ms for block in events if block.id not in wide}):
        there = [one for one in events if one.min_ms // width_ms <= number <= one.max_ms // width_ms]
        if chosen := plan_compaction(there, fan_in, kind=EVENTS_KIND, passed_by=passed_by | wide):
            return chosen
    return ()


def write_event_slices(
    directory: Path, catalogue: Catalogue, batches: Sequence[EventBatch], frames: Frames, width_ms: int
) -> tuple[BlockRow, ...]:
    """Write and sync events, at least one, as one block per slice.

    directory: the data directory. catalogue: gives ids. batches: in order of arrival. frames: their LSNs. width_ms: of
    a slice. Raises: OSError; then no file of them is left.
    """
    return run_whole(_write(directory, catalogue, iter([sorted_table(batches)]), frames, width_ms))


def cut_wide_block(
    directory: Path,
    catalogue: Catalogue,
    block: BlockRow,
    width_ms: int,
    publish: Callable[[tuple[BlockRow, ...]], None],
) -> Slices[tuple[BlockRow, ...]]:
    """Put one block per slice in the place of a wide one. The new blocks have its age, and its place in the journal.

    publish: called with the new blocks to put them in the place of the old one in the catalogue; the old file is the
    caller's to delete then. A slice is about a row group.
    Raises: Damaged, OSError; the old block stays then.
    """
    frames = Frames(block.level, block.first_lsn, block.last_lsn, block.created_ms)
    with ExitStack() as stack:
        run = BlockRun(directory, block)
        stack.callback(run.close)
        cut = yield from _write(directory, catalogue, run.pieces(*EVER_MS, None), frames, width_ms)
    # An error of a commit does not tell whether it reached the disk, so the files stay: as in ``merge_blocks``.
    try:
        publish(cut)
    except BlocksChanged:  # raised again; nothing was committed
        delete_blocks(directory, cut)
        raise
    return cut


def _write(
    directory: Path, catalogue: Catalogue, pieces: Iterator["pa.Table"], frames: Frames, width_ms: int
) -> Slices[tuple[BlockRow, ...]]:
    blocks: list[BlockRow] = []
    writer: EventWriter | None = None
    current = 0
    try:
        for number, part in _parts(pieces, width_ms):
            if writer is not None and number != current and len(blocks) < CUT_BLOCKS_MAX - 1:
                blocks.append(writer.finish(frames.first_lsn, frames.last_lsn))
                writer = None
            if writer is None:
                new_id = catalogue.new_id()
                writer = EventWriter(directory, new_id, level=frames.level, created_ms=frames.created_ms)
            current = number
            writer.write(part)
            yield 0.0
        if writer is not None:
            blocks.append(writer.finish(frames.first_lsn, frames.last_lsn))
    except BaseException:  # raised again; the files must not stay
        if writer is not None:
            writer.discard()
        for block in blocks:
            with suppress(OSError):
                locate(directory, block.path).unlink(missing_ok=True)
        raise
    return tuple(blocks)


def _parts(pieces: Iterator["pa.Table"], width_ms: int) -> Iterator[tuple[int, "pa.Table"]]:
    """Neighbouring events of one slice, with its number, in order of time."""
    for piece in pieces:
        numbers = times_of(piece) // np.int64(width_ms)
        bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for first, end in pairwise(bounds):
            if first < end:
                yield int(numbers[first]), piece.slice(first, end - first)
