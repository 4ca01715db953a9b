"""Writes nissa.v2.SampleColumns out of arrays: what ``_fast/sample_columns`` reads.

labels {__name__: up, job: a}   symbols  "" __name__ up job a      series  1 2 3 4
lengths 3   ts_ms 0 10 20       grid, where every series has the same times, else runs
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from nissa.model.columns import TimeColumn, ValueColumn

_TIME: Final = 3
_SYMBOL: Final = 4
_SERIES: Final = 5
_RUNS: Final = 6
_DELTAS: Final = 7
_VALUES: Final = 8

Lengths = npt.NDArray[np.int64]


def encode_sample_columns(
    labels: Sequence[Mapping[str, str]], lengths: Lengths, ts_ms: TimeColumn, values: ValueColumn
) -> bytes:
    """One message. labels: of each series, its name as ``__name__``. lengths: samples of each series, in their order.

    ts_ms (Unix milliseconds), values: of all samples, series by series. Cost: 1 us per series, 10 to 50 ns per sample.
    """
    symbols: dict[str, int] = {"": 0}
    parts: list[bytes] = []
    for one in labels:
        refs = [symbols.setdefault(text, len(symbols)) for pair in one.items() for text in pair]
        parts.append(_field(_SERIES, _field(1, _packed(np.array(refs, np.uint64)))))
    texts = [_field(_SYMBOL, text.encode()) for text in symbols]
    return b"".join([*texts, *parts, *_times(lengths, ts_ms), _field(_VALUES, values.astype("<f8").tobytes())])


def _times(lengths: Lengths, ts_ms: TimeColumn) -> list[bytes]:
    if not len(ts_ms):
        return [_field(_RUNS, _packed(lengths.astype(np.uint64)))]
    first_ms = int(ts_ms[0])
    start = _varint(_TIME << 3) + _varint(first_ms % 2**64)
    rounds = int(lengths[0])
    if (lengths == rounds).all():
        grid = ts_ms.reshape(len(lengths), rounds)
        if (grid == grid[0]).all():
            return [start, _field(_DELTAS, _packed(_zigzag(np.diff(grid[0], prepend=first_ms))))]
    deltas = np.diff(ts_ms, prepend=first_ms)
    firsts = (np.cumsum(lengths) - lengths)[lengths > 0]
    deltas[firsts] = ts_ms[firsts] - first_ms
    return [start, _field(_RUNS, _packed(lengths.astype(np.uint64))), _field(_DELTAS, _packed(_zigzag(deltas)))]


def _zigzag(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _packed(numbers: npt.NDArray[np.uint64]) -> bytes:
    """Varints, one behind the other."""
    if not len(numbers):
        return b""
    sizes = np.ones(len(numbers), np.int64)
    size_max = 1
    while size_max < 10 and int(numbers.max()) >> (7 * size_max):
        sizes += numbers >= np.uint64(1 << (7 * size_max))
        size_max += 1
    places = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), np.uint8)
    for at in range(size_max):
        rows = np.flatnonzero(sizes > at) if at else slice(None)
        group = (numbers[rows] >> np.uint64(7 * at)).astype(np.uint8) & 0x7F
        out[places[rows] + at] = group | ((sizes[rows] > at + 1).astype(np.uint8) << 7)
    return out.tobytes()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
