"""JSON lines, VictoriaMetrics' export form, and back.

    {"metric":{"__name__":"up","job":"api"},"timestamps":[1732190000000,1732190001000],"values":[1,0.5]}

One line holds samples of one series in time order; a long series takes several lines. JSON has no word for what is
not a finite number, so these values are written as

    either quiet NaN that programs make (0x7ff8000000000000, 0x7ff8000000000001)    null
    Prometheus' staleness marker (0x7ff0000000000002)                               "StaleNaN"
    any other NaN                                                                   "NaN:<16 hex digits>"
    infinities                                                                      "Infinity" "-Infinity"

Finite numbers are the shortest text that reads back as the same bits. Reading maps null to 0x7ff8000000000001, the NaN
Prometheus writes; the two quiet NaNs are the only values this form does not tell apart (Parquet and Arrow do).
"""

from collections.abc import Generator, Iterable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa.model.columns import STALE_BITS, SampleBatch, TimeColumn, ValueColumn
from nissa.model.errors import Malformed
from nissa.series.select import SeriesView

LINE_SAMPLES_MAX = 20_000  # about 1 ms of orjson, which holds the GIL meanwhile: other threads must get their turn
CHUNK_BYTES_MIN = 512 * 1024

_QUIET_NAN_BITS = frozenset({0x7FF8000000000000, 0x7FF8000000000001})
_NULL_BITS = 0x7FF8000000000001
_WORDS = {"StaleNaN": STALE_BITS, "Infinity": 0x7FF0000000000000, "-Infinity": 0xFFF0000000000000}
_TEXTS = {bits: text for text, bits in _WORDS.items()}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


class Line(msgspec.Struct, frozen=True):
    """One line read back. metric: labels; timestamps: int64 milliseconds; values: float64, bits as written."""

    metric: dict[str, str]
    timestamps: TimeColumn
    values: ValueColumn


def write_json_lines(
    index: SeriesView, batches: Iterable[SampleBatch], line_samples_max: int = LINE_SAMPLES_MAX
) -> Generator[bytes, None, None]:
    """Chunks of whole lines, about half a MiB each. batches: sorted by series, then time."""
    return in_chunks(line for batch in batches for line in _lines_of(index, batch, line_samples_max))


def in_chunks(lines: Iterable[bytes]) -> Generator[bytes, None, None]:
    """Lines put together, about half a MiB at a time."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if size >= CHUNK_BYTES_MIN:
            yield b"".join(chunk)
            chunk.clear()
            size = 0
    if chunk:
        yield b"".join(chunk)


def _lines_of(index: SeriesView, batch: SampleBatch, line_samples_max: int) -> Generator[bytes, None, None]:
    finite = np.isfinite(batch.value)
    all_finite = bool(finite.all())
    borders = np.flatnonzero(np.diff(batch.series)) + 1
    starts = [0, *borders.tolist()] if len(batch) else []
    for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
        metric = dict(index.labels(int(batch.series[start])))
        for first in range(start, end, line_samples_max):
            part = slice(first, min(first + line_samples_max, end))
            values: ValueColumn | list[float | str | None] = batch.value[part]
            if not all_finite and not finite[part].all():
                values = spelled(batch.value[part], finite[part])
            yield orjson.dumps({"metric": metric, "timestamps": batch.ts_ms[part], "values": values}, option=_OPTIONS)


def spelled(values: ValueColumn, finite: npt.NDArray[np.bool_]) -> list[float | str | None]:
    """Values with those that JSON has no number for replaced by their words."""
    out: list[float | str | None] = values.tolist()
    bits = values.view(np.uint64)
    for at in np.flatnonzero(~finite).tolist():
        out[at] = word_of(int(bits[at]))
    return out


def word_of(bits: int) -> str | None:
    """How a value that is not a finite number is written; None is JSON's null."""
    if bits in _QUIET_NAN_BITS:
        return None
    return _TEXTS.get(bits) or f"NaN:{bits:016x}"


def read_json_lines(data: bytes) -> Iterator[Line]:
    """The lines of ``data``. Raises Malformed, with the offset of the line."""
    offset = 0
    for line in data.splitlines(keepends=True):
        if line.strip():
            yield _read_line(line, offset)
        offset += len(line)


def _read_line(line: bytes, offset: int) -> Line:
    try:
        read = orjson.loads(line)
        timestamps = np.asarray(read["timestamps"], np.int64)
        values = np.fromiter((_bits_of(value) for value in read["values"]), np.uint64).view(np.float64)
        metric = {str(name): str(value) for name, value in read["metric"].items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed(f"line is not of the export form: {error}", offset) from None
    if len(timestamps) != len(values):
        raise Malformed(f"line has {len(timestamps)} timestamps but {len(values)} values", offset)
    return Line(metric, timestamps, values)


def _bits_of(value: float | str | None) -> int:
    if value is None:
        return _NULL_BITS
    if not isinstance(value, str):
        return int(np.float64(value).view(np.uint64))
    if value in _WORDS:
        return _WORDS[value]
    kind, _, digits = value.partition(":")
    bits = int(digits, 16) if kind == "NaN" and len(digits) == 16 else -1
    if bits < 0 or bits & 0x7FF0000000000000 != 0x7FF0000000000000:
        raise ValueError(f"value {value!r} is not a number")
    return bits
