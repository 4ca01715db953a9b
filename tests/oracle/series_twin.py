"""The slow obvious twin of the series index, and the real one filled with the same series."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from nissa._fast.batch import Batch
from nissa._fast.remote_write_1 import decode_remote_write_1
from nissa._fast.series import SeriesIndex
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.matcher import Matcher, MatchOp, Selector

Labels = dict[str, str]


def index_of(series: Sequence[Labels]) -> SeriesIndex:
    """The compiled index with these series, ids in this order."""
    index = SeriesIndex(b"s" * 32)
    add_series(index, series)
    return index


def add_series(index: SeriesIndex, series: Sequence[Labels], minute: int = 1) -> None:
    """A frame with a sample of each of these series, new or known."""
    request = WriteRequest()
    for labels in series:
        one = request.timeseries.add()
        for name, value in sorted(labels.items()):
            one.labels.add(name=name, value=value)
        one.samples.add(value=1.0, timestamp=60_000)
    limits = {"minute": minute, "admit_max": 1_000_000, "oldest_ms": 0, "newest_ms": 1 << 40}
    decode_remote_write_1(request.SerializeToString(), index, Batch(), **limits)


class SeriesTwin:
    """The same calls as the compiled index, over a list of label dictionaries."""

    def __init__(self, series: Sequence[Labels]) -> None:
        self._series = [dict(labels) for labels in series]
        texts = dict.fromkeys(text for labels in series for pair in labels.items() for text in pair)
        self._texts = list(texts)
        self._symbols = {text: symbol for symbol, text in enumerate(self._texts)}

    @property
    def series_count(self) -> int:
        return len(self._series)

    @property
    def known_count(self) -> int:
        return len(self._series)

    @property
    def dropped_total(self) -> int:
        return 0

    @property
    def symbol_count(self) -> int:
        return len(self._texts)

    def symbol(self, text: str) -> int:
        return self._symbols.get(text, -1)

    def symbol_text(self, symbol: int) -> str:
        return self._texts[symbol]

    def names(self) -> np.ndarray:
        return np.array(sorted({self._symbols[name] for labels in self._series for name in labels}), np.uint32)

    def values_of(self, name: int) -> np.ndarray:
        text = self._texts[name]
        values = {self._symbols[labels[text]] for labels in self._series if text in labels}
        return np.array(sorted(values), np.uint32)

    def filter(self, conditions: Iterable[tuple[int, np.ndarray, bool]]) -> np.ndarray:
        conditions = list(conditions)
        passed = [at for at, labels in enumerate(self._series) if all(self._holds(labels, *one) for one in conditions)]
        return np.array(passed, np.uint32)

    def _holds(self, labels: Labels, name: int, accept: np.ndarray, absent_ok: bool) -> bool:
        value = labels.get(self._texts[name])
        return absent_ok if value is None else bool(accept[self._symbols[value]])

    def labels(self, series: int) -> list[tuple[str, str]]:
        return sorted(self._series[series].items())


def judged_one_by_one(series: Sequence[Labels], selector: Selector) -> list[int]:
    """Places of the series that ``selector`` selects, by Python's ``re``; for patterns that both engines read alike."""
    return [at for at, labels in enumerate(series) if all(_holds(labels, matcher) for matcher in selector)]


def _holds(labels: Labels, matcher: Matcher) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
        same = value == matcher.value
    else:
        same = re.fullmatch(matcher.value, value, re.DOTALL) is not None
    return same is not matcher.op.negated
