"""The series of a block, known without reading its rows.

    series of the block     7  8  9  12  40                     sorted, each once
    differences             7  1  1   3  28                     uint32, their bytes in four planes
    in the footer           base64 of zstd of it, under the key ``nissa.series``

A writer collects the ids of its rows. Blocks of earlier versions lack the key: their column ``series`` is read instead.
Ids are cached up to ``HELD_BYTES_MAX``, least recently used first out.
"""

import base64
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from cramjam import zstd

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import CheckedReader
from nissa.files.names import locate
from nissa.model.columns import SeriesColumn
from nissa.model.units import MIB
from nissa.store.block_footer import as_damaged, read_footer

if TYPE_CHECKING:
    import pyarrow as pa

SERIES_KEY = b"nissa.series"
HELD_BYTES_MAX = 64 * MIB
ZSTD_LEVEL = 1
_PLANES = 4  # bytes of an id
T = TypeVar("T", bound="Sized")


class SeriesCollector:
    """The distinct series of rows that come sorted by series."""

    def __init__(self) -> None:
        self._parts: list[SeriesColumn] = []

    def add(self, series: SeriesColumn) -> None:
        """The series of rows behind all so far; at least one row."""
        fresh = np.ones(len(series), np.bool_)
        fresh[1:] = series[1:] != series[:-1]
        self._parts.append(series[fresh])

    def finish(self) -> bytes | None:
        """Value for the footer; None where there were no rows."""
        return encode_series(np.unique(np.concatenate(self._parts))) if self._parts else None


def encode_series(series: SeriesColumn) -> bytes:
    """Ids as text, short where they ascend."""
    return encode_words(np.diff(series, prepend=np.uint32(0)))


def encode_words(words: npt.NDArray[np.uint32]) -> bytes:
    """Numbers as text."""
    planes = np.ascontiguousarray(words.astype("<u4").view(np.uint8).reshape(-1, _PLANES).T)
    return base64.b64encode(bytes(zstd.compress(planes.tobytes(), level=ZSTD_LEVEL)))


def decode_series(text: bytes) -> SeriesColumn:
    """The ids again. Raises: ValueError for what is no such text."""
    return np.cumsum(decode_words(text), dtype=np.uint32)


def decode_words(text: bytes) -> npt.NDArray[np.uint32]:
    """The numbers again. Raises: ValueError for what is no such text."""
    try:
        data = bytes(zstd.decompress(base64.b64decode(text, validate=True)))
    except Exception as error:  # cramjam has errors of its own
        raise ValueError(f"series ids of the footer: {error}") from error
    if len(data) % _PLANES:
        raise ValueError(f"series ids of the footer: {len(data)} bytes are no whole number of ids")
    planes = np.frombuffer(data, np.uint8).reshape(_PLANES, -1)
    return np.ascontiguousarray(planes.T).view("<u4")[:, 0].astype(np.uint32)


class Sized(Protocol):
    """A value that knows its size in bytes."""

    @property
    def nbytes(self) -> int: ...


class Held(Generic[T]):
    """Decoded parts of footers by block, within a bound of bytes. Safe from any thread."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, int], T] = OrderedDict()
        self.bytes = 0

    def find(self, key: tuple[str, int]) -> T | None:
        """The value of a block; None where none is held."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: tuple[str, int], value: T) -> None:
        """Hold a value, and let go of the oldest over the bound."""
        with self._lock:
            if key in self._values or value.nbytes > self._bytes_max:
                return
            self._values[key] = value
            self.bytes += value.nbytes
            while self.bytes > self._bytes_max:
                self.bytes -= self._values.popitem(last=False)[1].nbytes


_HELD: Held[SeriesColumn] = Held(HELD_BYTES_MAX)


def series_in(directory: Path, block: BlockRow, *, hold: bool = True) -> SeriesColumn:
    """Ids of the series with rows in a block of samples or windows, ascending. Raises: Damaged.

    hold: keep them for the next question, at the cost of others.
    """
    path = locate(directory, block.path)
    key = (str(path), block.crc)
    held = _HELD.find(key)
    if held is None:
        held = _read_series(path, block)
        if hold:
            _HELD.keep(key, held)
    return held


def _read_series(path: Path, block: BlockRow) -> SeriesColumn:
    import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

    file = CheckedReader(path, block.seal)
    try:
        metadata = read_footer(str(path), block.seal).metadata
        text = (metadata.metadata or {}).get(SERIES_KEY)
        if text is not None:
            return decode_series(text)
        parquet = pq.ParquetFile(file, metadata=metadata, pre_buffer=False)
        try:
            groups = (parquet.read_row_group(at, columns=["series"]) for at in range(metadata.num_row_groups))
            return np.unique(np.concatenate([np.empty(0, np.uint32), *map(_distinct, groups)]))
        finally:
            parquet.close(force=True)
    except BaseException as error:  # any error that Arrow raises; reported as damage, or raised as it is
        raise as_damaged(file, error) from error
    finally:
        file.close()


def _distinct(group: "pa.Table") -> SeriesColumn:
    chunks: Sequence[SeriesColumn] = [chunk.to_numpy() for chunk in group.column(0).chunks]
    return np.unique(np.concatenate(chunks))
