"""Merges segments of the series table: several adjacent ones become one.

    rows   ▪ ▪ ▪ ▪ ▪ ▪ ▪ ▪  ──►  ■           8 of a size are merged, with all that is newer
                                 ■ ■ ■ ■ ■ ■ ■ ■  ──►  █

A size is a power of the fan-in, so a series is rewritten once per size. Segments of ``SEGMENT_ROWS_MAX`` series stay as
they are. Ids and labels do not change, so readers see no difference. After a crash the old files or the new one are in
force, as for blocks (``compaction.py``), with at most orphaned files beside them.

Dropped series are left out. A segment is rewritten for that if half or more of it is dropped, together with the rest
of earlier ones, so rows on disk are at most twice those needed:

    rows   █ █ ▄ ░ ▄  ──►  █ █ ▂        what is written again is less than what goes
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import Catalogue, SeriesSegment
from nissa.files.checked_file import sync_directory
from nissa.files.names import SERIES
from nissa.model.columns import SeriesColumn
from nissa.model.errors import BlocksChanged
from nissa.model.slices import Slices
from nissa.store.series_copy import delete_segment
from nissa.store.series_table import (
    GROUP_ROWS,
    SeriesLabels,
    SeriesRows,
    read_series,
    rows_of_labels,
    take_labels,
    write_pieces_in_slices,
)

SEGMENT_ROWS_MAX = 4 * 1024 * 1024
SEGMENTS_PER_MERGE_MAX = 256  # a directory of before has thousands
TEXT_BYTES_MAX = 64 * 1024 * 1024  # of the dictionaries that are joined at a time
NONE = np.empty(0, np.uint32)


def plan_series_merge(
    segments: Sequence[SeriesSegment], fan_in: int, unreadable: Collection[int] = ()
) -> tuple[SeriesSegment, ...]:
    """The segments to merge next, neighbours all; none where no size has ``fan_in`` of them.

    segments: in order of series. unreadable: ids of some that stay as they are, as do those before them.
    """
    sizes = [_size_of(segment, fan_in) for segment in segments]
    for size in sorted(set(sizes)):
        run: list[SeriesSegment] = []
        count = rows = 0
        for segment, own in zip(reversed(segments), reversed(sizes), strict=True):
            if own > size or segment.rows >= SEGMENT_ROWS_MAX or segment.id in unreadable:
                break
            run.insert(0, segment)
            count += own == size
        while run and _size_of(run[0], fan_in) < size:  # smaller ones wait for those of their own size
            run.pop(0)
        if count >= fan_in:
            chosen: list[SeriesSegment] = []
            for segment in run[:SEGMENTS_PER_MERGE_MAX]:
                if chosen and rows + segment.rows > SEGMENT_ROWS_MAX:
                    break
                chosen.append(segment)
                rows += segment.rows
            if len(chosen) > 1:
                return tuple(chosen)
    return ()


def plan_series_drop(
    segments: Sequence[SeriesSegment], dropped: SeriesColumn, unreadable: Collection[int] = ()
) -> tuple[SeriesSegment, ...]:
    """The segments to write again without ``dropped`` series, neighbours all; none where that is not worth it.

    segments: in order of series. dropped: ids, ascending. unreadable: ids of segments that stay as they are.
    """
    gone = [dropped_within(segment, dropped) for segment in segments]
    chosen: list[SeriesSegment] = []
    kept = 0
    for segment, count in zip(reversed(segments), reversed(gone), strict=True):
        left = segment.rows - count
        due = 2 * count >= segment.rows
        small = bool(chosen) and left <= sum(one.rows for one in chosen)  # what is left of earlier ones goes along
        full = len(chosen) == SEGMENTS_PER_MERGE_MAX or kept + left > SEGMENT_ROWS_MAX
        if segment.id not in unreadable and (due or small) and not (chosen and full):
            chosen.insert(0, segment)
            kept += left
        elif chosen:
            break
    return tuple(chosen)


def merge_segments(
    directory: Path,
    catalogue: Catalogue,
    segments: Sequence[SeriesSegment],
    publish: Callable[[tuple[SeriesSegment, ...]], None],
    dropped: SeriesColumn = NONE,
) -> Slices[None]:
    """Merge neighbouring segments, or write one again, without ``dropped`` series, and put that in their place.

    publish: called with the new segment, if any series is left, to put it in the place of the old ones in the
    catalogue; their files are deleted afterwards. dropped: ids, ascending. Memory: one row group, which is a slice.
    Raises: Damaged, where one of them cannot be read; OSError where the disk refuses; the old ones stay then.
    """
    groups = _full_groups(directory, segments, dropped)
    first = next(groups, None)
    new: tuple[SeriesSegment, ...] = ()
    if first is not None:
        sources = [one.id for one in segments]
        pieces = chain((first,), groups)
        new = ((yield from write_pieces_in_slices(directory, catalogue.new_id(), pieces, sources=sources)),)
    # As with blocks: an error of this commit does not tell whether it reached the disk, so the new file stays.
    try:
        publish(new)
    except BlocksChanged:  # raised again; nothing was committed
        for segment in new:
            delete_segment(directory, segment.path)
        raise
    for segment in segments:
        delete_segment(directory, segment.path)
    sync_directory(directory / SERIES)


def dropped_within(segment: SeriesSegment, dropped: SeriesColumn) -> int:
    """Number of ids of ``dropped``, which ascend, between the first and the last id of a segment."""
    first, last = np.searchsorted(dropped, [segment.first_series, segment.last_series + 1])
    return int(last - first)


def _full_groups(directory: Path, segments: Sequence[SeriesSegment], dropped: SeriesColumn) -> Iterator[SeriesRows]:
    """The series of all segments but those dropped, small pieces joined up to a row group."""
    pending: list[SeriesLabels] = []
    rows = text_bytes = 0
    for segment in segments:
        for piece in read_series(directory, segment):
            kept = without(piece, dropped)
            if not len(kept):
                continue
            size = len(kept.names.text) + len(kept.values.text)
            if pending and (rows + len(kept) > GROUP_ROWS or text_bytes + size > TEXT_BYTES_MAX):
                yield rows_of_labels(pending)
                pending, rows, text_bytes = [], 0, 0
            pending.append(kept)
            rows += len(kept)
            text_bytes += size
    if pending:
        yield rows_of_labels(pending)


def without(labels: SeriesLabels, dropped: SeriesColumn) -> SeriesLabels:
    """The series but for those of ``dropped``, whose ids ascend."""
    places = np.searchsorted(dropped, labels.series)
    gone = np.zeros(len(labels), np.bool_)
    inside = places < len(dropped)
    gone[inside] = dropped[places[inside]] == labels.series[inside]
    return take_labels(labels, ~gone) if gone.any() else labels


def _size_of(segment: SeriesSegment, fan_in: int) -> int:
    size, rows = 0, segment.rows // fan_in**3  # below the cube all are of one size: a file costs more than its rows
    while rows:
        size, rows = size + 1, rows // fan_in
    return size
