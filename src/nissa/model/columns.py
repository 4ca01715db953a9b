"""Types of columns: rooms pass arrays to each other, one call per frame, never an object per sample."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

SeriesColumn = npt.NDArray[np.uint32]
TimeColumn = npt.NDArray[np.int64]
ValueColumn = npt.NDArray[np.float64]

STALE_BITS = 0x7FF0000000000002  # Prometheus' staleness marker: this NaN, bit for bit


class SampleBatch(msgspec.Struct, frozen=True):
    """Samples as three parallel arrays of shape (n,).

    series: uint32, dense series id. ts_ms: int64, Unix milliseconds. value: float64, bits kept as received.
    """

    series: SeriesColumn
    ts_ms: TimeColumn
    value: ValueColumn

    def __len__(self) -> int:
        return len(self.series)


def empty_batch() -> SampleBatch:
    """A batch of no samples."""
    return SampleBatch(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.float64))


class TextColumn(msgspec.Struct, frozen=True):
    """n strings as Arrow lays them out: ``data[offsets[i]:offsets[i + 1]]`` is string i, UTF-8.

    offsets: int32, shape (n + 1,). data: the bytes of all strings.
    """

    offsets: npt.NDArray[np.int32]
    data: bytes

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def text(self, index: int) -> str:
        """String ``index``."""
        return self.data[self.offsets[index] : self.offsets[index + 1]].decode()


class EventBatch(msgspec.Struct, frozen=True):
    """Events as parallel columns of length n.

    time_ms: int64, Unix milliseconds. level: uint8, TelemetryLevel of Leyline (0 unspecified … 4 critical).
    source, event_id, description, packet_id: text. attributes: event i owns the pairs
    ``attribute_offsets[i] : attribute_offsets[i + 1]`` of attribute_names and attribute_values.
    """

    time_ms: TimeColumn
    level: npt.NDArray[np.uint8]
    source: TextColumn
    event_id: TextColumn
    description: TextColumn
    packet_id: TextColumn
    attribute_offsets: npt.NDArray[np.int32]
    attribute_names: TextColumn
    attribute_values: TextColumn

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def text_bytes(self) -> int:
        """Bytes of all text, attributes included."""
        columns = (self.source, self.event_id, self.description, self.packet_id, self.attribute_names)
        return sum(len(column.data) for column in (*columns, self.attribute_values))

    def row(self, index: int) -> dict[str, Any]:
        """Event ``index`` as a dictionary, for people and tests."""
        first, last = self.attribute_offsets[index], self.attribute_offsets[index + 1]
        pairs = range(first, last)
        return {
            "time_ms": int(self.time_ms[index]),
            "level": int(self.level[index]),
            "source": self.source.text(index),
            "event_id": self.event_id.text(index),
            "description": self.description.text(index),
            "packet_id": self.packet_id.text(index),
            "attributes": {self.attribute_names.text(i): self.attribute_values.text(i) for i in pairs},
        }


class DedupKeyColumns(msgspec.Struct, frozen=True):
    """Dedup keys of packets and requests, in the order of arrival.

    keys: uint64 (n, 2), keyed hashes. lsns: uint64 (n,), of the frames that brought them. stored_ms: int64 (n,), on the
    frame clock.
    """

    keys: npt.NDArray[np.uint64]
    lsns: npt.NDArray[np.uint64]
    stored_ms: TimeColumn

    def __len__(self) -> int:
        return len(self.lsns)


def no_dedup_keys() -> DedupKeyColumns:
    """None at all."""
    return DedupKeyColumns(np.empty((0, 2), np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64))


class DeltaColumns(msgspec.Struct, frozen=True):
    """Totals of counters that are sent as differences, by series id.

    series: uint32 (n,), ascending. seen_minutes: uint32 (n,), when the last difference was received, minutes since
    1970. last_ms: int64 (n,), its time. totals: float64 (n,).
    """

    series: SeriesColumn
    seen_minutes: SeriesColumn
    last_ms: TimeColumn
    totals: ValueColumn

    def __len__(self) -> int:
        return len(self.series)


def no_deltas() -> DeltaColumns:
    """None at all."""
    return DeltaColumns(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.float64))


class Metadata(msgspec.Struct, frozen=True):
    """Metadata of a metric name. type: Prometheus' word, such as ``counter``; unit and help may be empty."""

    name: str
    type: str
    help: str
    unit: str
