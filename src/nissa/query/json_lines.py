"""JSON lines, VictoriaMetrics' export form.

    {"metric":{"__name__":"up","job":"api"},"timestamps":[1732190000000,1732190001000],"values":[1,0.5]}

One line holds samples of one series in time order; a long series takes several lines. JSON has no number for what is
not finite, and readers of this form differ: the VictoriaMetrics of Debian skips a line whole that has anything but
numbers in it.
``Stale`` says what becomes of such values:

    drop     left out: every line has numbers only, which every reader takes
    null     every NaN, a staleness marker too, is null; infinities are "Infinity" "-Infinity"
    split    nothing is lost: lines of numbers, and behind them lines with the others alone, which are written as

    either quiet NaN that programs make (0x7ff8000000000000, 0x7ff8000000000001)    null
    Prometheus' staleness marker (0x7ff0000000000002)                               "StaleNaN"
    any other NaN                                                                   "NaN:<16 hex digits>"
    infinities                                                                      "Infinity" "-Infinity"

A reader that knows no words skips just these lines. Finite numbers are the shortest text that reads back as the same
bits. Reading maps null to 0x7ff8000000000001, the NaN Prometheus writes; the two quiet NaNs are the only values this
form does not distinguish (Parquet and Arrow do).
"""

from collections.abc import Generator, Iterable
from enum import Enum

import numpy as np
import numpy.typing as npt
import orjson

from nissa.codec.import_lines import VALUE_WORDS
from nissa.model.columns import SampleBatch, TimeColumn, ValueColumn
from nissa.model.errors import BadQuery
from nissa.series.select import SeriesView

LINE_SAMPLES_MAX = 20_000  # about 1 ms of orjson, which holds the GIL meanwhile: other threads must get their turn
CHUNK_BYTES_MIN = 512 * 1024

_QUIET_NAN_BITS = frozenset({0x7FF8000000000000, 0x7FF8000000000001})
_TEXTS = {bits: text for text, bits in VALUE_WORDS.items()}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


class Stale(Enum):
    """Treatment of values that are not finite numbers; the value is the word of ``stale=`` and ``--stale``."""

    DROP = "drop"
    NULL = "null"
    SPLIT = "split"


def write_json_lines(
    index: SeriesView,
    batches: Iterable[SampleBatch],
    line_samples_max: int = LINE_SAMPLES_MAX,
    stale: Stale = Stale.SPLIT,
) -> Generator[bytes, None, None]:
    """Write samples as JSON lines, in chunks of whole lines of about half a MiB.

    index: names the series. batches: sorted by series, then time. line_samples_max: samples per line. stale: form of
    NaN, staleness markers and infinities.
    """
    return in_chunks(line for batch in batches for line in _lines_of(index, batch, line_samples_max, stale))


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


def read_stale(word: str) -> Stale:
    """The treatment called ``word``. Raises BadQuery."""
    try:
        return Stale(word)
    except ValueError:
        known = ", ".join(stale.value for stale in Stale)
        raise BadQuery(f"invalid parameter 'stale': {word[:40]!r} is none of {known}") from None


def _lines_of(
    index: SeriesView, batch: SampleBatch, line_samples_max: int, stale: Stale
) -> Generator[bytes, None, None]:
    finite = np.isfinite(batch.value)
    all_finite = bool(finite.all())
    borders = np.flatnonzero(np.diff(batch.series)) + 1
    starts = [0, *borders.tolist()] if len(batch) else []
    for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
        metric = dict(index.labels(int(batch.series[start])))
        for first in range(start, end, line_samples_max):
            part = slice(first, min(first + line_samples_max, end))
            if all_finite or finite[part].all():
                yield _line(metric, batch.ts_ms[part], batch.value[part])
            else:
                yield from _mixed_lines(metric, batch.ts_ms[part], batch.value[part], finite[part], stale)


def _mixed_lines(
    metric: dict[str, str], ts_ms: TimeColumn, values: ValueColumn, finite: npt.NDArray[np.bool_], stale: Stale
) -> Generator[bytes, None, None]:
    """Lines of samples that are not all finite."""
    if stale is Stale.NULL:
        words = spelled(values, finite)
        for at in np.flatnonzero(np.isnan(values)).tolist():
            words[at] = None
        yield _line(metric, ts_ms, words)
        return
    if finite.any():
        yield _line(metric, ts_ms[finite], values[finite])
    if stale is Stale.SPLIT:
        yield _line(metric, ts_ms[~finite], spelled(values[~finite], finite[~finite]))


def _line(metric: dict[str, str], ts_ms: TimeColumn, values: ValueColumn | list[float | str | None]) -> bytes:
    return orjson.dumps({"metric": metric, "timestamps": ts_ms, "values": values}, option=_OPTIONS)


def spelled(values: ValueColumn, finite: npt.NDArray[np.bool_]) -> list[float | str | None]:
    """Values with those that JSON has no number for replaced by their words."""
    out: list[float | str | None] = values.tolist()
    bits = values.view(np.uint64)
    for at in np.flatnonzero(~finite).tolist():
        out[at] = word_of(int(bits[at]))
    return out


def word_of(bits: int) -> str | None:
    """Text for a value that is not a finite number; None is JSON's null."""
    if bits in _QUIET_NAN_BITS:
        return None
    return _TEXTS.get(bits) or f"NaN:{bits:016x}"
