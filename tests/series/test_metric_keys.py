"""Keys of metrics: equal for series of one name, and the same in every index."""

import zlib
from typing import Any

import numpy as np
import pytest

from nissa.series import metric_keys
from nissa.series.metric_keys import MetricKeys
from oracle.series_twin import index_of

NAMES = ["cpu", "mem", "cpu", "swap", "disk", "mem"]


class Growing:
    """An index that shows its first series only."""

    def __init__(self, index: Any, series_count: int) -> None:
        self._index, self.series_count = index, series_count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)


@pytest.mark.parametrize("step", [1, 2, 100])
def test_keys_are_sums_of_names(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Whatever other labels there are; of series that come later too."""
    monkeypatch.setattr(metric_keys, "PAGE_SERIES", step)
    labels = [{"a": "__name__", "n": str(at), "__name__": name} for at, name in enumerate(NAMES)]
    index: Any = Growing(index_of(labels), 3)
    keys = MetricKeys(index)
    assert keys.keys_of(np.empty(0, np.uint32)).tolist() == []
    expected = [zlib.crc32(name.encode()) & 0xFFFF for name in NAMES]
    for index.series_count in (3, 6):
        ids = np.arange(index.series_count, dtype=np.uint32)
        assert keys.keys_of(ids).tolist() == expected[: index.series_count]
    assert keys.keys_of(np.array([1, 4], np.uint32)).tolist() == [expected[1], expected[4]]


def test_only_pages_that_are_asked_for_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most ids may belong to series that were dropped long ago."""
    monkeypatch.setattr(metric_keys, "PAGE_SERIES", 4)
    index = index_of([{"__name__": f"m{at}"} for at in range(40)])
    keys = MetricKeys(index)
    asked = np.array([0, 1, 37, 38, 39], np.uint32)
    assert keys.keys_of(asked).tolist() == [zlib.crc32(b"m%d" % at) & 0xFFFF for at in asked.tolist()]
    assert sorted(keys._pages) == [0, 9]
