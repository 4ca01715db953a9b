"""CSV and Parquet as pieces of an import: rows of a time, values and labels, put together by series.

name,labels,timestamp_ms,value      nissa export writes these; other headers are mapped column by column:
time,host,user,system               --map time=time --map host=label --map user=metric:cpu_user --map …

column is       what it holds
time[:UNIT]     s, ms, us or ns; else dates, or numbers whose size says the unit
value           the value of the metric that a column ``name`` names
metric[:NAME]   values of the metric NAME, or of that of the column's name
name, labels    the metric's name; other labels as a JSON object
label[:NAME]    the label NAME, or that of the column's name
skip            nothing
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa.cli.import_pieces import Fault, ImportPiece
from nissa.codec.sample_columns import encode_sample_columns
from nissa.model.columns import TimeColumn, ValueColumn
from nissa.model.errors import BadQuery, Malformed
from nissa.model.frame import Codec
from nissa.model.matcher import NAME_LABEL
from nissa.model.units import MIB

BATCH_ROWS = 500_000
CSV_BYTES = 16 * MIB  # read at a time
FAULTS_MAX = 64
TIME_NAMES = frozenset({"timestamp", "timestamp_ms", "time", "ts", "date"})
_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}  # in ns
_SIZES = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (2**63, "ns"))  # of moments since 1973, by their unit

Roles = Mapping[str, str]
Flags = npt.NDArray[np.bool_]


class TableReader:
    """A CSV or Parquet file; a directory of Parquet files is read file by file."""

    def __init__(self, path: Path, roles: Roles, *, parquet: bool) -> None:
        """roles: of columns, as --map has them; others are known by their names."""
        self._path, self._roles, self._parquet = path, roles, parquet
        self.total = path.stat().st_size
        self.done = 0
        self._refused = 0  # rows that are no rows of the table, since the last piece
        self._uneven: list[Fault] = []

    def pieces(self, position: tuple[int, int]) -> Iterator[ImportPiece]:
        """A piece per batch of rows. position: rows that are done, then the same."""
        rows = 0
        for batch, done in self._batches():
            self.done = done
            rows += len(batch)
            if rows <= position[0]:
                continue
            body, faults, refused = self._piece(batch, rows - len(batch) + (1 if self._parquet else 2))
            yield ImportPiece(Codec.NISSA_COLUMNS, body, (rows, rows), 1, faults, refused)

    def _batches(self) -> Iterator[tuple[Any, int]]:
        """Batches, and how many bytes of the file stand behind them."""
        if self._parquet:
            yield from self._parquet_batches()
            return
        yield from self._csv_batches()

    def _csv_batches(self) -> Iterator[tuple[Any, int]]:
        import pyarrow as pa
        from pyarrow import csv

        done = 0
        try:
            passed = csv.ParseOptions(invalid_row_handler=lambda _: "skip")
            with csv.open_csv(str(self._path), parse_options=passed) as reader:
                names = reader.schema.names
            texts: Any = csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            )
            whole = csv.ParseOptions(invalid_row_handler=self._note_row)
            read = csv.ReadOptions(block_size=CSV_BYTES, use_threads=False)  # rows have numbers without threads only
            with csv.open_csv(str(self._path), read, whole, texts) as reader:
                for batch in reader:
                    done = min(done + batch.nbytes, self.total)
                    yield batch, done
        except pa.ArrowException as error:
            raise Malformed(f"{self._path}: {error}") from error

    def _numbered(self, faults: Sequence[Fault]) -> list[Fault]:
        """Faults with the numbers of their lines, those of rows that were left out among them."""
        for one in sorted(self._uneven, key=lambda fault: fault.line):
            faults = [Fault(each.line + (each.line >= one.line), each.words) for each in faults]
        return [*faults, *self._uneven][:FAULTS_MAX]

    def _note_row(self, row: Any) -> str:
        """A row with more or fewer columns than the header: named, and left out."""
        self._refused += 1
        if len(self._uneven) < FAULTS_MAX:
            said = f"{row.actual_columns} columns, expected {row.expected_columns}"
            self._uneven.append(Fault(row.number or 0, said))
        return "skip"

    def _parquet_batches(self) -> Iterator[tuple[Any, int]]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            file = parquet.ParquetFile(self._path)
            rows_total, rows = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(BATCH_ROWS):
                rows += len(batch)
                yield batch, self.total * rows // rows_total
        except pa.ArrowException as error:
            raise Malformed(f"{self._path}: {error}") from error

    def _piece(self, batch: Any, first_row: int) -> tuple[bytes, tuple[Fault, ...], int]:
        """Columns of a batch. first_row: number of its first row, or line, in the file."""
        roles = {name: self._roles.get(name) or _role_of(name, batch.schema.names) for name in batch.schema.names}
        times = [name for name, role in roles.items() if role.partition(":")[0] == "time"]
        values = [name for name, role in roles.items() if role == "value" or role.partition(":")[0] == "metric"]
        if len(times) != 1 or not values:
            said = ", ".join(batch.schema.names)
            raise BadQuery(f"{self._path}: one column of times and one of values are needed, of {said}; see --map")
        ts_ms, time_fault = _times(batch.column(times[0]), roles[times[0]].partition(":")[2])
        keys, labels = _series(batch, roles)
        parts, faults, refused = [], list[Fault](), 0
        for name in values:
            value, value_fault = _values(batch.column(name))
            bad = time_fault | value_fault
            refused += int(np.count_nonzero(bad))
            for row in np.flatnonzero(bad)[: FAULTS_MAX - len(faults)].tolist():
                what = times[0] if time_fault[row] else name
                faults.append(
                    Fault(first_row + row, f"{what}: {str(batch.column(what)[row].as_py())[:80]!r} is not read")
                )
            parts.append(_by_series(keys[~bad], ts_ms[~bad], value[~bad]))
        named = [_named(labels, roles[name], name) for name in values]
        body = _encoded([(part, labels) for part, labels in zip(parts, named, strict=True)])
        faults, refused = self._numbered(faults), refused + self._refused
        self._uneven, self._refused = [], 0
        return body, tuple(sorted(faults, key=lambda fault: fault.line)), refused


class _Part(msgspec.Struct, frozen=True):
    """Samples of one column, by series: keys of the series, how many samples each has, and these."""

    keys: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    ts_ms: TimeColumn
    value: ValueColumn


def _encoded(parts: Sequence[tuple[_Part, list[dict[str, str]]]]) -> bytes:
    labels = [named[key] for part, named in parts for key in part.keys.tolist()]
    lengths = np.concatenate([part.lengths for part, _ in parts])
    ts_ms = np.concatenate([part.ts_ms for part, _ in parts])
    return encode_sample_columns(labels, lengths, ts_ms, np.concatenate([part.value for part, _ in parts]))


def _by_series(keys: npt.NDArray[np.int64], ts_ms: TimeColumn, value: ValueColumn) -> _Part:
    order = np.lexsort((ts_ms, keys))
    found, lengths = np.unique(keys, return_counts=True)
    return _Part(found, lengths.astype(np.int64), ts_ms[order], value[order])


def _role_of(name: str, names: Sequence[str]) -> str:
    """The role of a column that is not mapped."""
    lower = name.lower()
    if lower in TIME_NAMES:
        return "time:ms" if lower == "timestamp_ms" else "time"
    if lower in ("value", "labels"):
        return lower
    return "name" if lower == "name" or name == NAME_LABEL or (lower == "metric" and "name" not in names) else "label"


def _named(labels: list[dict[str, str]], role: str, column: str) -> list[dict[str, str]]:
    """Labels of the series of one column of values."""
    if role == "value":
        return labels
    name = role.partition(":")[2] or column
    return [{**one, NAME_LABEL: name} for one in labels]


def _series(batch: Any, roles: Roles) -> tuple[npt.NDArray[np.int64], list[dict[str, str]]]:
    """(Number of the series of each row, labels of each series)."""
    keys = np.zeros(len(batch), np.int64)
    for name, role in roles.items():
        if role.partition(":")[0] in ("name", "labels", "label"):
            codes = _texts(batch.column(name)).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
            keys = keys * (int(codes.max(initial=-1)) + 2) + codes + 1
            keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    _, firsts, keys = np.unique(keys, return_index=True, return_inverse=True)
    return keys.astype(np.int64), [_labels(batch, roles, int(row)) for row in firsts]


def _labels(batch: Any, roles: Roles, row: int) -> dict[str, str]:
    labels: dict[str, str] = {}
    for name, role in roles.items():
        kind, _, as_name = role.partition(":")
        text = _texts(batch.column(name).slice(row, 1))[0].as_py() if kind in ("name", "labels", "label") else None
        if not text:
            continue
        if kind == "labels":
            labels |= _json_labels(text)
        else:
            labels[NAME_LABEL if kind == "name" else as_name or name] = text
    return labels


def _json_labels(text: str) -> dict[str, str]:
    try:
        read = orjson.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadQuery(f"a column of labels holds {text[:80]!r}, no JSON object; map it, such as --map labels=label")
    return {str(name): str(value) for name, value in read.items()}


def _texts(column: Any) -> Any:
    """A column as strings."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _values(column: Any) -> tuple[ValueColumn, Flags]:
    """Values, and the rows that hold none."""
    import pyarrow as pa

    missing = np.asarray(column.is_null())
    if not pa.types.is_string(column.type):
        return column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False), missing
    try:
        return column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False), missing
    except pa.ArrowInvalid:
        return _slowly(column.to_pylist(), _number)


def _slowly(texts: Sequence[str | None], read: Any) -> tuple[Any, Flags]:
    """Texts one by one, and those that are not read."""
    out: list[Any] = []
    bad = np.zeros(len(texts), np.bool_)
    for row, text in enumerate(texts):
        try:
            out.append(read(text))
        except (ValueError, TypeError, OverflowError):
            out.append(0)
            bad[row] = True
    return np.array(out, np.float64 if read is _number else np.int64), bad


def _number(text: str) -> float:
    """A number, or a word of ``query/json_lines.py`` for one that is not finite."""
    if text == "StaleNaN":
        return float(np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0])
    if text.startswith("NaN:"):
        return float(np.array([int(text[4:], 16)], np.uint64).view(np.float64)[0])
    return float(text)


def _times(column: Any, unit: str) -> tuple[TimeColumn, Flags]:
    """Unix milliseconds, and the rows that hold none."""
    import pyarrow as pa

    missing = np.asarray(column.is_null())
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _moments(column).fill_null(0).to_numpy(zero_copy_only=False), missing
    if pa.types.is_string(column.type):
        for kind in (pa.int64(), pa.float64()):
            try:
                return _times(column.cast(kind), unit)
            except pa.ArrowInvalid:
                continue
        try:
            return _moments(column.cast(pa.timestamp("ms", tz="UTC"))).fill_null(0).to_numpy(
                zero_copy_only=False
            ), missing
        except pa.ArrowInvalid:
            return _slowly(column.to_pylist(), lambda text: _one_time(text, unit))
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        scale = _UNITS[unit or _unit_of(float(np.abs(numbers).max(initial=0)))] / 1e6
        return np.round(numbers * scale).astype(np.int64), missing | ~np.isfinite(numbers)
    ns = _UNITS[unit or _unit_of(float(np.abs(numbers).max(initial=0)))]
    numbers = numbers.astype(np.int64)
    return (numbers * (ns // 1_000_000) if ns >= 1_000_000 else numbers // (1_000_000 // ns)), missing


def _moments(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())


def _unit_of(size: float) -> str:
    return next((unit for limit, unit in _SIZES if size < limit), "ns")


def _one_time(text: str, unit: str) -> int:
    from datetime import UTC, datetime

    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    return round(number * _UNITS[unit or _unit_of(abs(number))] / 1e6)
