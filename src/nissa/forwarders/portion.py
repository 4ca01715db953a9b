"""Frames of the journal as requests to a sink of remote write, in the order that each series needs.

    frames    A1 A2 B1 A1 C1 …          A, B: bodies of the version that the sink speaks, which no rule touches
    wave 1    A1 │ A2 │ B1              as they were received, in parallel: no two of them share a series
    wave 2    A1 C1 by shard            everything else, encoded anew: a shard is one connection, its requests in order

Frames that share a series with one before them are in wave 2, which begins when all of wave 1 is answered.

A body may decompress to many times its size, so a portion ends with the frame that brings it to ``PORTION_SAMPLES_MAX``
samples, whatever else was read.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import cramjam
import msgspec
import numpy as np
import numpy.typing as npt

from nissa.forwarders.journal_columns import FrameColumns
from nissa.forwarders.sink_labels import SinkLabels, metadata_fields
from nissa.model.columns import Metadata, SeriesColumn, TimeColumn, ValueColumn
from nissa.model.frame import Codec, Encoding, Frame

VERSION_BY_CODEC: Final = {Codec.REMOTE_WRITE_1: "1.0", Codec.REMOTE_WRITE_2: "2.0"}
METADATA_PER_REQUEST: Final = 1_000
PORTION_SAMPLES_MAX: Final = 500_000  # about 10 MiB as columns; the frame that reaches it is taken whole


class SinkRequest(msgspec.Struct):
    """Rows for one request, ordered as ``SinkSeries.ordered`` has them; or the body of a frame as it was received.

    frame: of such a body; its rows are ordered only when they are encoded anew. metadata: sent by itself, in 1.0.
    """

    labels: SinkLabels
    series: SeriesColumn
    ts_ms: TimeColumn
    value: ValueColumn
    frame: Frame | None = None
    metadata: Sequence[Metadata] = ()

    def __len__(self) -> int:
        return len(self.series)

    def body(self, version: str) -> bytes:
        """The compressed body in this version; empty where there is nothing to send in it."""
        if self.frame is not None and VERSION_BY_CODEC.get(self.frame.codec) == version:
            return _compressed(self.frame)
        if self.metadata:
            return bytes(cramjam.snappy.compress_raw(metadata_fields(self.metadata))) if version == "1.0" else b""
        rows = self.ordered()
        table = self.labels.table
        encode = table.body_1 if version == "1.0" else table.body_2
        plain = encode(rows.series, rows.ts_ms, rows.value)
        return bytes(cramjam.snappy.compress_raw(plain)) if len(plain) else b""

    def ordered(self) -> "SinkRequest":
        """The same rows without the frame they came in."""
        if self.frame is None:
            return self
        self.labels.note(self.series)
        series, ts_ms, value, _ = self.labels.table.ordered(self.series, self.ts_ms, self.value)
        return SinkRequest(self.labels, series, ts_ms, value)

    def halves(self) -> "tuple[SinkRequest, SinkRequest]":
        """Two requests with half of the rows each; of at least two."""
        rows = self.ordered()
        middle = len(rows) // 2
        return rows.part(0, middle), rows.part(middle, len(rows))

    def part(self, first: int, end: int) -> "SinkRequest":
        """Rows [first, end) of ordered rows."""
        return SinkRequest(self.labels, self.series[first:end], self.ts_ms[first:end], self.value[first:end])


class Portion(msgspec.Struct, frozen=True):
    """The first of the frames that were read. lsn: of the last one of it. received_ms: of the first. samples: decoded.

    filtered: of these, those that the rules of the sink leave out. waves: one after the other, each of requests by
    connection.
    """

    lsn: int
    frames: int
    received_ms: int
    samples: int
    filtered: int
    waves: Sequence[Sequence[Sequence[SinkRequest]]]
    left_out: dict[str, int] = {}  # routes are for events


class PortionMaker:
    """Makes requests of the frames of one portion. For one index of series."""

    def __init__(self, labels: SinkLabels, version: str, connections: int, samples_max: int) -> None:
        """version: that the sink is thought to speak. samples_max: of a request."""
        self._labels, self._version = labels, version
        self._connections, self._samples_max = connections, samples_max
        self._received: list[SinkRequest] = []
        self._rest: list[FrameColumns] = []
        self._metadata: list[Metadata] = []
        self._seen: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def add(self, columns: FrameColumns, *, unchanged: bool) -> None:
        """Take the next frame. unchanged: no rule of the sink touches any series."""
        changed = self._labels.note_metadata(columns.metadata)
        if unchanged and self._is_sent_as_received(columns):
            rows = (columns.series, columns.ts_ms, columns.value)
            self._received.append(SinkRequest(self._labels, *rows, frame=columns.frame))
            return
        self._metadata += changed
        self._labels.note(columns.series)
        self._rest.append(columns)

    def _is_sent_as_received(self, columns: FrameColumns) -> bool:
        frame = columns.frame
        known = columns.whole and frame.encoding in (Encoding.IDENTITY, Encoding.SNAPPY)
        if not known or VERSION_BY_CODEC.get(frame.codec) != self._version:
            self._mark(columns.series)
            return False
        series = columns.series
        shared = bool(len(series)) and bool(self._seen[series[series < len(self._seen)]].any())
        self._mark(series)
        return not shared

    def _mark(self, series: SeriesColumn) -> None:
        if len(series):
            most = int(series.max()) + 1
            if most > len(self._seen):
                self._seen = np.concatenate([self._seen, np.zeros(most + most // 2 - len(self._seen), np.bool_)])
            self._seen[series] = True

    def waves(self) -> tuple[list[list[list[SinkRequest]]], int]:
        """Requests of the frames taken, and how many samples the rules left out."""
        received = [self._received[first :: self._connections] for first in range(self._connections)]
        rest, filtered = self.encoded_anew()
        found = [[lane for lane in lanes if lane] for lanes in (received, rest)]
        return [lanes for lanes in found if lanes], filtered

    def encoded_anew(self) -> tuple[list[list[SinkRequest]], int]:
        """Requests by shard of frames that are not sent as they were received; how many samples the rules left out."""
        lanes: list[list[SinkRequest]] = [[] for _ in range(self._connections)]
        if self._version != "1.0":
            self._labels.describe_changed()
        if self._metadata and self._version == "1.0":
            lanes[0] += [self._about(part) for part in _slices(self._metadata, METADATA_PER_REQUEST)]
        if not self._rest:
            return lanes, 0
        series = np.concatenate([one.series for one in self._rest])
        ts_ms = np.concatenate([one.ts_ms for one in self._rest])
        value = np.concatenate([one.value for one in self._rest])
        series_sent, ts_sent, value_sent, counts = self._labels.table.ordered(series, ts_ms, value)
        whole = SinkRequest(self._labels, series_sent, ts_sent, value_sent)
        end = 0
        for lane, count in zip(lanes, counts.tolist(), strict=True):
            first, end = end, end + count
            for start in range(first, end, self._samples_max):
                lane.append(whole.part(start, min(start + self._samples_max, end)))
        return lanes, len(series) - end

    def _about(self, metadata: Sequence[Metadata]) -> SinkRequest:
        rows = np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.float64)
        return SinkRequest(self._labels, *rows, metadata=metadata)


def _slices(metadata: Sequence[Metadata], count: int) -> Iterator[Sequence[Metadata]]:
    for first in range(0, len(metadata), count):
        yield metadata[first : first + count]


def _compressed(frame: Frame) -> bytes:
    return frame.body if frame.encoding == Encoding.SNAPPY else bytes(cramjam.snappy.compress_raw(frame.body))
