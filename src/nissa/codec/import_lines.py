"""JSON lines of Nissa and VictoriaMetrics: a decompressed body to rows of a Batch.

    {"metric":{"__name__":"up","job":"api"},"timestamps":[1732190000000,1732190001000],"values":[1,0.5]}

orjson parses each line into arrays; all lines of a body become one message of ``sample_columns.py``, which the compiled
decoder reads. A malformed line is refused alone, as one record. Values that are not JSON numbers are the words of
``query/json_lines.py``; null is the NaN that Prometheus writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import orjson

from nissa._fast.batch import Batch
from nissa._fast.sample_columns import decode_sample_columns
from nissa._fast.series import SeriesIndex
from nissa.codec.sample_columns import encode_sample_columns
from nissa.model.columns import STALE_BITS, TimeColumn, ValueColumn
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Frame
from nissa.model.matcher import NAME_LABEL
from nissa.model.refusal import Refusal
from nissa.model.text_faults import LineFault

CODECS = (Codec.IMPORT_LINES,)
FAULTS_MAX: Final = 64  # lines at fault that are named to the sender
SHOWN_CHARS_MAX: Final = 200  # of such a line

NULL_BITS: Final = 0x7FF8000000000001
VALUE_WORDS: Final = {"StaleNaN": STALE_BITS, "Infinity": 0x7FF0000000000000, "-Infinity": 0xFFF0000000000000}


class SeriesLine(msgspec.Struct, frozen=True):
    """One line. metric: labels; timestamps: int64 milliseconds; values: float64, bits as written."""

    metric: dict[str, str]
    timestamps: TimeColumn
    values: ValueColumn


class LinesRead(msgspec.Struct, frozen=True):
    """Lines of a body. lines: (number from 1, byte offset, content) of the sound ones. faults: the first of the others.

    refused: how many others there are.
    """

    lines: list[tuple[int, int, SeriesLine]]
    faults: list[LineFault]
    refused: int


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``, and the lines that were refused.

    Raises: TooLarge; nothing of the frame is stored then.
    """
    read = read_lines(bytes(body))
    decode_sample_columns(
        encode_lines([line for _, _, line in read.lines]),
        index,
        batch,
        delimited=False,
        received_ms=frame.received_ms,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
    )
    faults = read.faults
    if batch.refused:
        faults = sorted([*faults, *_refused_lines(read, window)], key=lambda fault: fault.line)[:FAULTS_MAX]
    refused = {str(Refusal.RECORD_MALFORMED): read.refused} if read.refused else {}
    return Decoded(refused=refused, lines=tuple(faults))


def encode_lines(lines: list[SeriesLine]) -> bytes:
    """Lines as one nissa.v2.SampleColumns."""
    lengths = np.array([len(line.values) for line in lines], np.int64)
    ts_ms = np.concatenate([np.empty(0, np.int64), *(line.timestamps for line in lines)])
    values = np.concatenate([np.empty(0, np.float64), *(line.values for line in lines)])
    return encode_sample_columns([line.metric for line in lines], lengths, ts_ms, values)


def read_lines(body: bytes) -> LinesRead:
    """All lines of a body. Cost: about 250 ns per sample."""
    read = LinesRead([], [], 0)
    offset = refused = 0
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            try:
                read.lines.append((number, offset, read_line(line)))
            except ValueError as error:
                refused += 1
                if len(read.faults) < FAULTS_MAX:
                    reason, shown = str(Refusal.RECORD_MALFORMED), line[:SHOWN_CHARS_MAX].decode("utf-8", "replace")
                    read.faults.append(LineFault(number, offset, reason, str(error), text=shown))
        offset += len(line) + 1
    return msgspec.structs.replace(read, refused=refused)


def read_line(line: bytes) -> SeriesLine:
    """One line. Raises: ValueError where it is not of the form."""
    read = orjson.loads(line)
    if not isinstance(read, dict):
        raise ValueError("not a JSON object")
    metric, times, values = (_member(read, name, kind) for name, kind in _MEMBERS.items())
    if len(times) != len(values):
        raise ValueError(f"line has {len(times)} timestamps but {len(values)} values")
    for value in metric.values():
        if not isinstance(value, str):
            raise ValueError(f"label value {value!r} is not a string"[:SHOWN_CHARS_MAX])
    return SeriesLine(metric, _times(times), _values(values))


_MEMBERS: Mapping[str, type] = {"metric": dict, "timestamps": list, "values": list}


def _member(read: dict[str, Any], name: str, kind: type) -> Any:
    member = read.get(name)
    if not isinstance(member, kind):
        raise ValueError(f"{name!r} is missing, or of another type")
    return member


def _times(times: list[object]) -> TimeColumn:
    try:
        column = np.array(times) if times else np.empty(0, np.int64)
    except (ValueError, OverflowError):  # lists in it
        column = np.empty(0)
    if column.dtype != np.int64:
        raise ValueError("a timestamp is not a whole number of milliseconds")
    return column


def _values(values: list[object]) -> ValueColumn:
    try:
        column = np.array(values)
    except ValueError:  # lists in it
        column = np.empty(0, np.bool_)
    if column.dtype.kind in "fiu" and column.ndim == 1:
        return column.astype(np.float64, copy=False)
    return np.fromiter((_bits_of(value) for value in values), np.uint64, len(values)).view(np.float64)


def _bits_of(value: object) -> int:
    if value is None:
        return NULL_BITS
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(np.float64(value).view(np.uint64))
    if isinstance(value, str):
        if value in VALUE_WORDS:
            return VALUE_WORDS[value]
        kind, _, digits = value.partition(":")
        bits = int(digits, 16) if kind == "NaN" and len(digits) == 16 else -1
        if bits >= 0 and bits & 0x7FF0000000000000 == 0x7FF0000000000000:
            return bits
    raise ValueError(f"value {value!r} is not a number"[:SHOWN_CHARS_MAX])


def _refused_lines(read: LinesRead, window: Window) -> Iterator[LineFault]:
    """The sound lines that have no name, or samples out of the acceptance window."""
    for number, offset, line in read.lines:
        times = line.timestamps
        if not len(times):
            continue
        if not line.metric.get(NAME_LABEL):
            yield LineFault(number, offset, str(Refusal.NAME_MISSING))
        elif (first := int(times.min())) < window.oldest_ms:
            yield LineFault(number, offset, str(Refusal.TOO_OLD), ts_ms=first)
        elif (last := int(times.max())) > window.newest_ms:
            yield LineFault(number, offset, str(Refusal.TOO_NEW), ts_ms=last)
