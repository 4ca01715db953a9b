"""The series table of a directory whose catalogue is rebuilt: labels for every id that has rows in blocks.

    segments that can be read          ──► as they are, where the key of their fingerprints is known still
    the key is lost with the catalogue ──► all of them written again as one, signed with a new key
    ids of blocks in no segment        ──► {__name__="nissa_lost_series", series="327"}, written with them

Under a new key old fingerprints would match no series, so every series that is sent would be new.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from nissa._fast.series import SeriesIndex
from nissa.catalogue.catalogue import SeriesSegment
from nissa.config.tree import Config
from nissa.ingest.frozen_head import series_rows
from nissa.ingest.restored_series import Spans, enter_labels, lost_labels, split_known
from nissa.model.columns import SeriesColumn
from nissa.model.errors import InvariantBroken
from nissa.store.series_table import GROUP_ROWS, SeriesLabels, SeriesRows, read_series, take_labels, write_pieces

NONE = np.empty(0, np.uint32)


class RebuiltSeries(msgspec.Struct):
    """segments: all there are, in order of series. ids: all series, ascending. lost: ids without labels.

    twice: ids whose labels a later series has too; their samples are answered, new ones belong to the later one.
    written: the one segment of these that is new, if any.
    """

    segments: tuple[SeriesSegment, ...]
    ids: SeriesColumn
    lost: SeriesColumn
    twice: Spans
    written: SeriesSegment | None = None


def rebuild_series(
    directory: Path, segments: Sequence[SeriesSegment], met: SeriesColumn, secrets: tuple[bytes, bytes], number: int
) -> tuple[RebuiltSeries, bytes]:
    """The series table, and the key that it is signed with.

    segments: in order of series, each id once. met: ids that blocks have rows of, ascending. secrets: the key that may
    be that of the fingerprints (empty where none is known), and a new one. number: of a segment that may be written.
    Raises: OSError, and nothing of it stays.
    """
    known, twice, dropped = _ids_of(directory, segments, met)
    lost = np.setdiff1d(met, known, assume_unique=True)
    secret = secrets[0]
    try:
        index = _index_of(directory, segments, secret, (lost, twice), signed=True) if secret else None
    except InvariantBroken:  # the key of another directory, or of another time
        index = None
    if index is not None and not len(lost):
        return RebuiltSeries(tuple(segments), _all_but(index, dropped), lost, twice), secret
    if index is None:
        secret = secrets[1]
        index = _index_of(directory, segments, secret, (lost, twice), signed=False)
    ids = _all_but(index, dropped)
    if not len(ids):
        return RebuiltSeries((), ids, lost, twice), secret
    written = write_pieces(directory, number, _rows_of(index), sources=[segment.id for segment in segments])
    return RebuiltSeries((written,), ids, lost, twice, written), secret


def _ids_of(
    directory: Path, segments: Sequence[SeriesSegment], met: SeriesColumn
) -> tuple[SeriesColumn, Spans, SeriesColumn]:
    """All ids of the segments, ascending. Of those with a later one of equal labels, the ones that blocks have rows of,
    and the others, which were dropped before the later one came."""
    series, prints = [NONE], [np.empty((0, 2), np.uint64)]
    for segment in segments:
        for piece in read_series(directory, segment):
            series.append(piece.series)
            prints.append(piece.fingerprints)
    ids = np.concatenate(series)
    both = np.concatenate(prints)
    order = np.lexsort((ids, both[:, 1], both[:, 0]))
    same = (both[order[:-1]] == both[order[1:]]).all(axis=1)
    earlier = np.sort(ids[order[:-1]][same])
    twice = [(one, one) for one in np.intersect1d(earlier, met).tolist()]
    return ids, twice, np.setdiff1d(earlier, met)


def _index_of(
    directory: Path,
    segments: Sequence[SeriesSegment],
    secret: bytes,
    apart: tuple[SeriesColumn, Spans],
    *,
    signed: bool,
) -> SeriesIndex:
    """apart: ids without labels, and those that are not to be known by their labels."""
    lost, twice = apart
    limits = Config().series
    index = SeriesIndex(
        secret,
        active_max=limits.active_max,
        labels_max=limits.labels_per_series_max,
        name_bytes_max=limits.label_name_bytes_max,
        value_bytes_max=limits.label_value_bytes_max,
    )
    done = 0
    for segment in segments:
        for piece in read_series(directory, segment):
            for labels, run in _between(piece, lost[done:]):
                for part, known in split_known(labels, twice):
                    enter_labels(index, part, signed=signed, known=known)
                for part in lost_labels(run):
                    enter_labels(index, part, signed=False)
                done += len(run)
    for part in lost_labels(lost[done:]):
        enter_labels(index, part, signed=False)
    return index


def _between(piece: SeriesLabels, lost: SeriesColumn) -> Iterator[tuple[SeriesLabels, SeriesColumn]]:
    """Parts of a piece, and the lost ids that come behind each and before the next."""
    inside = lost[lost < piece.series[-1]]
    places = np.searchsorted(piece.series, inside)
    taken = 0
    for place in [*np.unique(places).tolist(), len(piece)]:
        chosen = np.zeros(len(piece), np.bool_)
        chosen[taken:place] = True
        yield take_labels(piece, chosen), inside[places == place]
        taken = place


def _rows_of(index: SeriesIndex) -> Iterator[SeriesRows]:
    for at in range(0, index.series_count, GROUP_ROWS):
        rows = series_rows(index, at, min(GROUP_ROWS, index.series_count - at))
        if len(rows):
            yield rows


def _all_but(index: SeriesIndex, dropped: SeriesColumn) -> SeriesColumn:
    ids = np.concatenate([NONE, *(rows.series for rows in _rows_of(index))])
    return np.setdiff1d(ids, dropped, assume_unique=True)
