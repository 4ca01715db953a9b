"""Restores the series index of the checkpoint from the series table, with substitute names for damaged segments.

    segment, or its second copy ──► labels ──────────────────────────────────────► index, ids as they were
    neither can be read         ──► {__name__="nissa_lost_series", series="327"} ─►

Ids do not change, so a lost segment loses only its labels. Its series are new ones if they are sent again. The
catalogue records the lost ids: if the file is restored from a backup, its series have their labels again, beside the
newer series.

    meta   lost_series   [[0,999]]       first and last id of each segment that a start could not read
           rebuilt       41              behind this checkpoint the journal does not count series that were lost as new
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import give_out_ids, restore_seen, restore_series
from nissa.catalogue.catalogue import Catalogue, SeriesSegment
from nissa.config.tree import Config
from nissa.files.checked_file import MISSING, FileGone
from nissa.files.names import CATALOGUE, EVENTS_KIND
from nissa.ingest.frozen_head import unpack_minutes
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.slices import Slices
from nissa.series.spilling import Spilling, spilling_to
from nissa.store.block_series import series_in
from nissa.store.series_merge import without
from nissa.store.series_table import SeriesLabels, Texts, read_series, take_labels

LOST_NAME = "nissa_lost_series"
PIECE_SERIES = 65_536
KEY = "lost_series"
REBUILT_KEY = "rebuilt"  # the checkpoint of a catalogue that was made again, where labels were lost with the old one

Spans = list[tuple[int, int]]  # first and last id


class RestoredSeries(msgspec.Struct):
    """An index. swept_minute: when idle series were last looked for.

    hurt: segments that were read from their second copy. lost: what has no labels any more, in words; lost_spans: ids.
    admit_all: frames of the journal may bring series as new ones that were none when they came.
    """

    index: SeriesIndex
    spilling: Spilling | None = None
    swept_minute: int = 0
    hurt: list[SeriesSegment] = []
    lost: list[str] = []
    lost_spans: Spans = []
    admit_all: bool = False


def restore_index(directory: Path, catalogue: Catalogue, config: Config, *, spill: bool) -> RestoredSeries:
    """Restore all series of the table, active ones as they were.

    directory: the data directory. catalogue: of it. config: limits of series. spill: move idle series to disk from now
    on. Raises: Damaged if a daemon merged a segment meanwhile.
    """
    checkpoint = catalogue.checkpoint()
    index = empty_index(catalogue, config)
    restored = RestoredSeries(index, spilling_to(directory, index) if spill else None)
    active, restored.swept_minute = unpack_minutes(checkpoint.seen_minutes)
    lost_before = read_lost(catalogue)
    for segment in catalogue.series_segments():
        damages: list[Damaged] = []
        try:
            for labels in read_series(directory, segment, damages.append):
                _enter(restored, labels, lost_before)
        except Damaged as error:
            if segment not in catalogue.series_segments():
                raise
            _name_lost(restored, segment, error, _ids_of(directory, catalogue, segment, active[0]))
        if damages:
            restored.hurt.append(segment)
    give_out_ids(index, checkpoint.series_count)
    restore_seen(index, *active)
    rebuilt = catalogue.select("SELECT value FROM meta WHERE key = ?", (REBUILT_KEY,))
    restored.admit_all = bool(restored.lost) or (bool(rebuilt) and rebuilt[0][0] == str(checkpoint.lsn))
    return restored


def read_table(
    catalogue: Catalogue,
    config: Config,
    segments: Sequence[SeriesSegment],
    dropped: SeriesColumn,
) -> Slices[RestoredSeries]:
    """The series of these segments but for those dropped, all idle, in an index that spills. Raises: Damaged."""
    index = empty_index(catalogue, config)
    restored = RestoredSeries(index, spilling_to(catalogue.directory, index))
    lost_before = read_lost(catalogue)
    for segment in segments:
        for labels in read_series(catalogue.directory, segment):
            _enter(restored, without(labels, dropped), lost_before)
            yield 0.0
    return restored


def empty_index(catalogue: Catalogue, config: Config) -> SeriesIndex:
    """An index of this directory without series."""
    series = config.series
    return SeriesIndex(
        catalogue.secret,
        active_max=series.active_max,
        labels_max=series.labels_per_series_max,
        name_bytes_max=series.label_name_bytes_max,
        value_bytes_max=series.label_value_bytes_max,
    )


def _enter(restored: RestoredSeries, labels: SeriesLabels, lost_before: Spans) -> None:
    for part, known in split_known(labels, lost_before):
        enter_labels(restored.index, part, known=known)
    if restored.spilling is not None:
        restored.spilling.step()


def _name_lost(restored: RestoredSeries, segment: SeriesSegment, error: Damaged, ids: SeriesColumn) -> None:
    ids = ids[ids >= restored.index.series_count]  # what comes before the damage was read
    why = f"{segment.path}: {MISSING}" if isinstance(error, FileGone) else str(error)
    restored.lost.append(f"labels of {len(ids)} series up to {segment.last_series}: {why}")
    restored.lost_spans.append((segment.first_series, segment.last_series))
    for labels in lost_labels(ids):
        enter_labels(restored.index, labels, signed=False)


def split_known(labels: SeriesLabels, lost_before: Spans) -> Iterator[tuple[SeriesLabels, bool]]:
    """The series in order, in parts, and whether new samples belong to them: not to those that were lost once."""
    lost = np.zeros(len(labels), np.bool_)
    for first, last in lost_before:
        lost |= (labels.series >= first) & (labels.series <= last)
    if not lost.any():
        yield labels, True
        return
    for run in np.split(np.arange(len(labels)), np.flatnonzero(np.diff(lost)) + 1):
        chosen = np.zeros(len(labels), np.bool_)
        chosen[run] = True
        yield take_labels(labels, chosen), not lost[run[0]]


def _ids_of(directory: Path, catalogue: Catalogue, segment: SeriesSegment, active: SeriesColumn) -> SeriesColumn:
    """The ids in a segment that cannot be read: all between its ends, or where it has gaps those that are met."""
    first, last = segment.first_series, segment.last_series
    if last - first + 1 == segment.rows:
        return np.arange(first, last + 1, dtype=np.uint32)
    met = [active]
    for block in catalogue.blocks():
        if block.kind != EVENTS_KIND and block.series_min <= last and block.series_max >= first:
            with suppress(Damaged):  # its samples are not answered either
                met.append(series_in(directory, block))
    ids = np.unique(np.concatenate(met)).astype(np.uint32)
    return ids[(ids >= first) & (ids <= last)]


def enter_labels(index: SeriesIndex, labels: SeriesLabels, *, signed: bool = True, known: bool = True) -> None:
    """Give these series their ids, as idle. signed, known: as for ``restore_series``."""
    names, values = labels.names, labels.values
    restore_series(
        index,
        labels.series,
        labels.fingerprints,
        labels.starts,
        names.places,
        names.offsets,
        names.text,
        values.places,
        values.offsets,
        values.text,
        0,
        signed,
        known,
    )


def lost_labels(ids: SeriesColumn) -> Iterator[SeriesLabels]:
    """Names for series whose labels are lost, without fingerprints. ids: ascending."""
    names = [b"__name__", b"series"]
    for start in range(0, len(ids), PIECE_SERIES):
        some = ids[start : start + PIECE_SERIES]
        count = len(some)
        values = [LOST_NAME.encode(), *(str(series).encode() for series in some.tolist())]
        name_places = np.tile(np.array([0, 1], np.uint32), count)
        value_places = np.zeros(2 * count, np.uint32)
        value_places[1::2] = np.arange(1, count + 1, dtype=np.uint32)
        yield SeriesLabels(
            some,
            np.zeros((count, 2), np.uint64),
            np.arange(0, 2 * count + 1, 2, dtype=np.int64),
            _texts(name_places, names),
            _texts(value_places, values),
        )


def is_lost(index: SeriesIndex, segment: SeriesSegment) -> bool:
    """True if the index lacks labels of series of this segment, and has the names above for them."""
    for series in (segment.first_series, segment.last_series):
        with suppress(IndexError):  # dropped
            if ("__name__", LOST_NAME) in index.labels(series):
                return True
    return False


def read_lost(catalogue: Catalogue) -> Spans:
    """Ids of segments that some start could not read. Raises: Damaged."""
    rows = catalogue.select("SELECT value FROM meta WHERE key = ?", (KEY,))
    try:
        return msgspec.json.decode(rows[0][0], type=Spans) if rows else []
    except msgspec.MsgspecError as error:
        raise Damaged(str(catalogue.directory / CATALOGUE), f"lost series: {error}") from error


def note_lost(catalogue: Catalogue, restored: RestoredSeries) -> None:
    """Remember which segments this start could not read. Raises: Unavailable, Damaged."""
    before = read_lost(catalogue)
    spans = sorted({*before, *restored.lost_spans})
    if spans != before:
        with catalogue.transaction("meta") as db:
            db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, msgspec.json.encode(spans).decode()))


def _texts(places: npt.NDArray[np.uint32], texts: list[bytes]) -> Texts:
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    return Texts(places, offsets, np.frombuffer(b"".join(texts), np.uint8))
