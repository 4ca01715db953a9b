"""Bands: rows of one metric lie together within them, and a block still reads as one run in order of series.

    rows as they come    series 0 … 4,166                       4,167 … 8,333               in order of series
                         ├───────── band 0 ──────────┤          ├──── band 1 ───┤           BAND_ROWS or some more
    rows of the file     |cpu 0 3 6 …|mem 1 4 7 …|io 2 5 8 …|   |cpu …|mem …|io …|          by (metric, series, time)
                         |  group 0  |  group 1  | group 2  |   |   group 3   | 4 |

    footer   nissa.series    ids 0 … 8,333, ascending
             nissa.metrics   keys [8176, 63, 41034]   metrics of the ids [0 1 2 0 1 2 …]   bands, groups

A band holds all rows between two series, so a reader of everything sorts one band at a time and hands out rows in
order of series; nobody behind it can tell how a block is sorted. A reader of some series knows from the footer which
row groups hold them: a question about one metric reads its row groups of each band.

The key of a metric is a checksum of its name of 16 bits, 0 where a series has none. Only equality counts, within one
band: two names of one key lie among each other, which costs a little reading and nothing else. Merges take keys from
footers.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.run_order import copy_runs
from nissa.files.checked_file import FileSeal
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.units import MIB
from nissa.store.block_footer import BlockFooter
from nissa.store.block_series import (
    SERIES_KEY,
    Held,
    decode_series,
    decode_words,
    encode_series,
    encode_words,
)

METRICS_KEY = b"nissa.metrics"
BAND_ROWS = 512 * 1024  # 10 MB: a reader of everything holds a band of each block
HELD_BYTES_MAX = 256 * MIB  # the orders of all blocks of the last minutes at half a million series each

NO_PLACES = np.empty(0, np.uint32)
KeyColumn = npt.NDArray[np.uint32]
PlaceColumn = npt.NDArray[np.uint32]
KeysOf = Callable[[SeriesColumn], KeyColumn]


class Runs(NamedTuple):
    """Rows of one series each. part: number of the batch; [first, end): its rows; series. All uint32, shape (runs,)."""

    part: npt.NDArray[np.uint32]
    first: npt.NDArray[np.uint32]
    end: npt.NDArray[np.uint32]
    series: SeriesColumn

    def take(self, places: npt.NDArray[np.intp]) -> "Runs":
        """The runs at these places, in their order."""
        return Runs(*(column[places] for column in self))


def runs_of(parts: Sequence[SampleBatch]) -> Runs:
    """The runs of batches, in order; none of the batches is empty."""
    found = []
    for number, batch in enumerate(parts):
        inner = (np.flatnonzero(batch.series[1:] != batch.series[:-1]) + 1).astype(np.uint32)
        first, end = np.append(np.uint32(0), inner), np.append(inner, np.uint32(len(batch)))
        found.append(Runs(np.full(len(first), number, np.uint32), first, end, batch.series[first]))
    return found[0] if len(found) == 1 else Runs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def copied(parts: Sequence[SampleBatch], runs: Runs) -> SampleBatch:
    """The rows of these runs, one behind the other."""
    columns = [(part.series, part.ts_ms, part.value) for part in parts]
    return SampleBatch(*copy_runs(columns, runs.part, runs.first, runs.end))


def in_series_order(parts: Sequence[SampleBatch], rows_aim: int = BAND_ROWS) -> Iterator[SampleBatch]:
    """Rows of one band as they lie in the file, or some of them, by series; those of a series keep their order.

    rows_aim: of a batch, which is no longer unless a series is.
    """
    parts = [part for part in parts if len(part)]
    runs = runs_of(parts) if parts else None
    if runs is None or (runs.series[1:] >= runs.series[:-1]).all():
        yield from parts
        return
    runs = runs.take(np.argsort(runs.series, kind="stable"))
    ends = np.cumsum(runs.end.astype(np.int64) - runs.first)
    at = 0
    while at < len(ends):
        begun = int(ends[at - 1]) if at else 0
        end = max(int(np.searchsorted(ends, begun + rows_aim, "right")), at + 1)
        yield copied(parts, Runs(*(column[at:end] for column in runs)))
        at = end


class Band:
    """Rows between two series, to be written by (metric, series, time)."""

    def __init__(self, parts: Sequence[SampleBatch], keys_of: KeysOf) -> None:
        """parts: sorted by series and time, one behind the other; none is empty."""
        runs = runs_of(parts)
        new = np.append(True, runs.series[1:] != runs.series[:-1])
        self.series: SeriesColumn = runs.series[new]
        self.keys: KeyColumn = keys_of(self.series)
        order = np.argsort(self.keys[np.cumsum(new) - 1], kind="stable")
        self._parts, self._runs = parts, runs.take(order)
        self._ends = np.cumsum(self._runs.end.astype(np.int64) - self._runs.first)
        self._places = np.cumsum(np.append(False, self._runs.series[1:] != self._runs.series[:-1]))
        self.min_ms = min(int(part.ts_ms.min()) for part in parts)
        self.max_ms = max(int(part.ts_ms.max()) for part in parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def cut(self, start: int, end: int) -> tuple[SampleBatch, int, int]:
        """Rows [start, end) of the file, and the places of the first and of the last series in the band."""
        first, last = int(np.searchsorted(self._ends, start, "right")), int(np.searchsorted(self._ends, end, "left"))
        runs = Runs(*(column[first : last + 1].copy() for column in self._runs))
        runs.end[-1] -= np.uint32(int(self._ends[last]) - end)
        begun = int(self._ends[first - 1]) if first else 0
        runs.first[0] += np.uint32(start - begun)
        return copied(self._parts, runs), int(self._places[first]), int(self._places[last])


class BandSorter:
    """Gathers rows until they make a band. rows: those that wait."""

    def __init__(self, keys_of: KeysOf) -> None:
        """keys_of: keys of the metrics of series, which are given in ascending order."""
        self._keys_of = keys_of
        self._parts: list[SampleBatch] = []
        self.rows = 0

    def add(self, batch: SampleBatch) -> Iterator[Band]:
        """The bands that are complete now that rows behind all so far have come; at least one row."""
        self._parts.append(batch)
        self.rows += len(batch)
        if self.rows >= BAND_ROWS:
            held = self._cut_last()
            yield from self.finish()
            self._parts, self.rows = held, sum(map(len, held))

    def finish(self) -> Iterator[Band]:
        """The last band, of the rows that wait."""
        parts, self._parts, self.rows = self._parts, [], 0
        if parts:
            yield Band(parts, self._keys_of)

    def _cut_last(self) -> list[SampleBatch]:
        """Take away the rows of the last series, which may go on; none where there is no other."""
        last, parts = self._parts[-1].series[-1], list(self._parts)
        held: list[SampleBatch] = []
        while parts and parts[-1].series[-1] == last:
            batch = parts.pop()
            at = int(np.searchsorted(batch.series, last, "left"))
            held.insert(0, SampleBatch(batch.series[at:], batch.ts_ms[at:], batch.value[at:]))
            if at:
                parts.append(SampleBatch(batch.series[:at], batch.ts_ms[:at], batch.value[:at]))
        if not parts:
            return []
        self._parts = parts
        return held


class _Stored(msgspec.Struct):
    """Value of the footer. keys: distinct, in order of their first series, where neighbours often have neighbouring
    numbers. metrics: beside the series of the block, numbers of the keys.

    bands: first and last series, as places in the list of series. groups: by row group its band, and the first and
    last series, as places in the band.
    """

    keys: str
    metrics: str
    bands: list[tuple[int, int]]
    groups: list[tuple[int, int, int]]


class BandCollector:
    """The order of a block that is written."""

    def __init__(self) -> None:
        self._series: list[SeriesColumn] = []
        self._keys: list[KeyColumn] = []
        self._groups: list[tuple[int, int, int]] = []

    def add_band(self, band: Band) -> None:
        """A band, whose row groups follow."""
        self._series.append(band.series)
        self._keys.append(band.keys)

    def add_group(self, first: int, last: int) -> None:
        """A row group of the last band. first, last: places of its series in the band."""
        self._groups.append((len(self._series) - 1, first, last))

    def finish(self) -> bytes:
        """Value for the footer; at least one band was added."""
        series, places = np.unique(np.concatenate(self._series), return_index=True)
        keys, first_at, found = np.unique(np.concatenate(self._keys)[places], return_index=True, return_inverse=True)
        by_first = np.argsort(first_at)
        metrics = np.argsort(by_first)[found].astype(np.uint32)
        ends = [(int(own[0]), int(own[-1])) for own in self._series]
        bands = [(int(series.searchsorted(first)), int(series.searchsorted(last))) for first, last in ends]
        texts = encode_words(keys[by_first]).decode(), encode_series(metrics).decode()
        return msgspec.json.encode(_Stored(*texts, bands, self._groups))


class RowOrder(NamedTuple):
    """Places of the series of a block in its file.

    series: ascending, once per band they have rows in. places, keys: beside them. band, first, last: by row group, its
    band, and the places of its first and last series.
    """

    series: SeriesColumn
    places: PlaceColumn
    keys: KeyColumn
    band: npt.NDArray[np.uint32]
    first: PlaceColumn
    last: PlaceColumn

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return sum(column.nbytes for column in self)

    def places_of(self, ids: SeriesColumn) -> PlaceColumn:
        """Places of series in the file, ascending; those without rows have none. ids: ascending."""
        found: list[PlaceColumn] = [NO_PLACES]
        at = self.series.searchsorted(ids, "left")
        while len(ids):  # once for each band that one of them has rows in
            there = (at < len(self.series)) & (self.series.take(at, mode="clip") == ids)
            ids, at = ids[there], at[there]
            found.append(self.places[at])
            at += 1
        return np.sort(np.concatenate(found))

    def holds(self, ids: SeriesColumn) -> npt.NDArray[np.bool_]:
        """True for each row group that has rows of some of these series. ids: ascending."""
        places = self.places_of(ids)
        return places.searchsorted(self.first, "left") < places.searchsorted(self.last, "right")

    def in_file(self) -> SeriesColumn:
        """The series by their places."""
        ordered = np.empty_like(self.series)
        ordered[self.places] = self.series
        return ordered


def decode_order(series: SeriesColumn, text: bytes) -> RowOrder:
    """The order of a block again. series: all of the block, ascending. Raises: ValueError for other text."""
    stored = msgspec.json.decode(text, type=_Stored)
    keys, metrics = decode_words(stored.keys.encode()), decode_series(stored.metrics.encode())
    bands = np.array(stored.bands, np.int64).reshape(-1, 2)
    groups = np.array(stored.groups, np.int64).reshape(-1, 3)
    if len(metrics) != len(series) or not len(bands) or (len(metrics) and int(metrics.max()) >= len(keys)):
        raise ValueError(f"{len(metrics)} metrics and {len(bands)} bands of {len(series)} series")
    sizes = bands[:, 1] - bands[:, 0] + 1
    if (bands < 0).any() or (bands >= len(series)).any() or (sizes <= 0).any() or (groups < 0).any():
        raise ValueError("a band of series that do not exist")
    if (groups[:, 0] >= len(bands)).any() or (groups[:, 1:] >= sizes[groups[:, 0]][:, None]).any():
        raise ValueError("a row group of a band that does not exist")
    bases = np.cumsum(sizes) - sizes
    own = np.concatenate([np.arange(first, last + 1) for first, last in bands.tolist()])
    places = np.empty(len(own), np.uint32)
    for base, size in zip(bases.tolist(), sizes.tolist(), strict=True):
        order = np.argsort(keys[metrics[own[base : base + size]]], kind="stable")
        places[base + order] = np.arange(base, base + size)
    starts = bases[groups[:, 0]]
    columns = (groups[:, 0], starts + groups[:, 1], starts + groups[:, 2])
    return RowOrder(series[own], places, keys[metrics[own]], *(column.astype(np.uint32) for column in columns))


_HELD: Held[RowOrder] = Held(HELD_BYTES_MAX)


def order_of(path: Path, seal: FileSeal, footer: BlockFooter) -> RowOrder | None:
    """The order of a block; None where it is sorted by series. Raises: Damaged."""
    facts = footer.metadata.metadata or {}
    text, series = facts.get(METRICS_KEY), facts.get(SERIES_KEY)
    if text is None or series is None:
        return None
    key = (str(path), seal.crc)
    held = _HELD.find(key)
    if held is None:
        try:
            held = decode_order(decode_series(series), text)
            if len(held.band) != footer.metadata.num_row_groups:
                raise ValueError(f"bands of {len(held.band)} row groups")
        except Exception as error:  # any error of the decoder for these bytes
            raise Damaged(str(path), f"{METRICS_KEY.decode()} of the footer: {error}") from error
        _HELD.keep(key, held)
    return held


def keys_of_blocks(orders: Sequence[RowOrder | None]) -> KeysOf | None:
    """Keys of metrics as footers have them, 0 for series of blocks that are sorted by series; None if all are."""
    known = [order for order in orders if order is not None]
    if not known:
        return None
    series, at = np.unique(np.concatenate([order.series for order in known]), return_index=True)
    keys = np.concatenate([order.keys for order in known])[at]

    def keys_of(ids: SeriesColumn) -> KeyColumn:
        places = np.minimum(series.searchsorted(ids), len(series) - 1)
        return np.where(series[places] == ids, keys[places], np.uint32(0))

    return keys_of
