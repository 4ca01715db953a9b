"""Remembers the series of a target's last answer, so that series missing from the next one get a staleness marker.

    answer ──keys──► as before: nothing to do          (8 bytes per series)
                 └─► others: texts of those that are gone ──► lines for markers; texts of all are held, compressed

Memory is limited for all targets together. Beyond the limit a target is not tracked: its series get no markers.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from cramjam import zstd

from nissa._fast.exposition_series import ExpositionSeries

COMPRESSION_LEVEL: Final = 1

Keys = npt.NDArray[np.uint64]


class FollowedMemory:
    """Bytes that all targets hold. refused: how many times a target did not get its part."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0
        self.refused = 0

    def change(self, held_bytes: int, wanted_bytes: int) -> bool:
        """Give back ``held_bytes`` for ``wanted_bytes``; where these do not fit, give back all the same."""
        self.used_bytes -= held_bytes
        if self.used_bytes + wanted_bytes > self.bytes_max:
            self.refused += 1
            return False
        self.used_bytes += wanted_bytes
        return True


class Prepared(msgspec.Struct, frozen=True):
    """Keys of series, ascending, and their texts, compressed."""

    keys: Keys
    texts: bytes


class Followed:
    """Series of one target."""

    def __init__(self, series: ExpositionSeries, memory: FollowedMemory) -> None:
        """series: makes keys. memory: shared by all targets."""
        self._series = series
        self._memory = memory
        self._keys: Keys = np.empty(0, np.uint64)
        self._texts = b""

    def prepare(self, keys: Keys, body: bytes | memoryview, openmetrics: bool, own_times: bool) -> Prepared | None:
        """The series of ``body``, whose keys these are, as ``follow`` takes them; None where they are as before."""
        if np.array_equal(keys, self._keys):
            return None
        texts = self._series.lines(body, openmetrics, own_times, keys)
        return Prepared(keys, bytes(zstd.compress(texts, COMPRESSION_LEVEL)))

    def follow(self, prepared: Prepared) -> tuple[bytes, int]:
        """Follow these series from now on.

        Returns: lines of text 0.0.4 for those that were followed and are gone, and how many are new.
        """
        new = len(np.setdiff1d(prepared.keys, self._keys))
        gone = self._lines(np.setdiff1d(self._keys, prepared.keys))
        self._hold(prepared.keys, prepared.texts)
        return gone, new

    def clear(self) -> bytes:
        """Follow no series any more. Returns: lines for those that were followed."""
        gone = self._lines(self._keys)
        self._hold(np.empty(0, np.uint64), b"")
        return gone

    def _lines(self, keys: Keys) -> bytes:
        if not len(keys):
            return b""
        texts = bytes(zstd.decompress(self._texts))
        return self._series.lines(texts, openmetrics=False, own_times=False, wanted=keys)

    def _hold(self, keys: Keys, texts: bytes) -> None:
        held = self._keys.nbytes + len(self._texts)
        if not self._memory.change(held, keys.nbytes + len(texts)):
            keys, texts = np.empty(0, np.uint64), b""
        self._keys, self._texts = keys, texts
