"""Keys of metrics: one number per series that is equal for series of one metric name, in every directory and process.

    series   0 cpu   1 mem   2 cpu   3 (no name)          key   crc16("cpu")  crc16("mem")  crc16("cpu")  0

Raw blocks keep rows of equal keys together (``store/bands.py``). Only equality counts, so two names of one key do
little harm, and 16 bits of a CRC-32 are enough. Keys are remembered in pages of neighbouring ids, 4 bytes per id, and
read for new series only. A page that was not asked for takes no memory: most ids may belong to dropped series.
"""

import zlib

import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex
from nissa.model.columns import SeriesColumn
from nissa.model.matcher import NAME_LABEL

KEY_MASK = 0xFFFF
PAGE_SERIES = 64 * 1024  # ids of a page

KeyColumn = npt.NDArray[np.uint32]
NO_KEYS: KeyColumn = np.empty(0, np.uint32)


class MetricKeys:
    """Keys of the series of an index, which grows meanwhile. For one thread."""

    def __init__(self, index: SeriesIndex) -> None:
        self.index = index
        self._pages: dict[int, KeyColumn] = {}
        self._by_symbol: dict[int, int] = {}

    def keys_of(self, series: SeriesColumn) -> KeyColumn:
        """The keys of series of the index, ascending."""
        found = np.empty(len(series), np.uint32)
        at = 0
        while at < len(series):
            number = int(series[at]) // PAGE_SERIES
            first = number * PAGE_SERIES
            end = at + int(np.searchsorted(series[at:], first + PAGE_SERIES - 1, "right"))
            places = series[at:end] - np.uint32(first)
            found[at:end] = self._page(number, int(places[-1]) + 1)[places]
            at = end
        return found

    def _page(self, number: int, wanted: int) -> KeyColumn:
        """Keys of a page, at least its first ``wanted`` ones."""
        page = self._pages.get(number, NO_KEYS)
        if len(page) < wanted:
            first = number * PAGE_SERIES + len(page)
            count = min(self.index.series_count, (number + 1) * PAGE_SERIES) - first
            self._pages[number] = page = np.concatenate([page, self._read(first, count)])
        return page

    def _read(self, first: int, count: int) -> KeyColumn:
        keys = np.zeros(count, np.uint32)
        starts, pairs = self.index.pairs_of(first, count)
        at = np.flatnonzero(pairs[:, 0] == np.uint32(max(self.index.symbol(NAME_LABEL), 0)))
        symbols, places = np.unique(pairs[at, 1], return_inverse=True)
        own = np.array([self._key_of(symbol) for symbol in symbols.tolist()], np.uint32)
        if len(at):
            keys[np.searchsorted(starts, at, "right") - 1] = own[places]
        return keys

    def _key_of(self, symbol: int) -> int:
        found = self._by_symbol.get(symbol)
        if found is None:
            found = zlib.crc32(self.index.symbol_text(symbol).encode("utf-8", "surrogateescape")) & KEY_MASK
            self._by_symbol[symbol] = found
        return found
