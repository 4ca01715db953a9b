"""Samples in memory as a source of PromQL: unit tests of rules, and tests of the evaluator."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nissa.model.ladder import WindowBatch
from nissa.model.matcher import Selector
from nissa.model.predicate import takes
from nissa.promql.labels import NO_TEXT, Labels, LabelTexts, label_rows
from nissa.promql.source import ALWAYS_MS, Columns, Kept, RowColumn, TierColumns


class OwnTexts:
    """Symbols made by the query itself, for data in memory."""

    def __init__(self) -> None:
        self._texts = [""]
        self._symbols = {"": NO_TEXT}

    def text(self, symbol: int) -> str:
        """The text of a symbol."""
        return self._texts[symbol]

    def symbol(self, text: str) -> int:
        """The symbol of a text, made where there is none yet."""
        found = self._symbols.get(text)
        if found is None:
            found = self._symbols[text] = len(self._texts)
            self._texts.append(text)
        return found


class MemorySource:
    """Series given as label sets and samples."""

    def __init__(self) -> None:
        self._texts = OwnTexts()
        self._labels: list[dict[str, str]] = []
        self._samples: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}

    @property
    def texts(self) -> LabelTexts:
        """Symbols of all labels."""
        return self._texts

    @property
    def tiers(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def samples_from_ms(self) -> int:
        """Ever: nothing expires."""
        return ALWAYS_MS

    def add(self, labels: dict[str, str], samples: Iterable[tuple[int, float]]) -> None:
        """Add (time in ms, value) pairs to the series of these labels; a later value for one time replaces it."""
        labels = {name: value for name, value in labels.items() if value}
        key = tuple(sorted(labels.items()))
        if key not in self._samples:
            self._samples[key] = {}
            self._labels.append(dict(key))
        self._samples[key].update(samples)

    def select(self, matchers: Selector) -> "_Selection":
        """Series that meet all matchers."""
        rows = [
            labels
            for labels in self._labels
            if all(takes(matcher, labels.get(matcher.name, "")) for matcher in matchers)
        ]
        samples = [self._samples[tuple(sorted(labels.items()))] for labels in rows]
        return _Selection(label_rows(self._texts, rows), samples)


class _Selection:
    def __init__(self, labels: Labels, samples: Sequence[dict[int, float]]) -> None:
        self.labels = labels
        self._samples = samples

    def expected(self, start_ms: int, end_ms: int, _: float) -> npt.NDArray[np.float64]:
        """Samples of the series before each."""
        counts = [sum(start_ms <= at_ms < end_ms for at_ms in samples) for samples in self._samples]
        return np.cumsum([0, *counts], dtype=np.float64)

    def kept(self, first: int, last: int) -> Sequence[Kept]:
        """Samples alone."""
        return [Kept(np.arange(last - first))]

    def read_tier(self, rows: RowColumn, tier: str, *_: Any) -> TierColumns:
        """There are no tiers. Raises: LookupError."""
        raise LookupError(f"{len(rows)} series of the tier {tier}")

    def read_sketches(self, rows: RowColumn, tier: str, *_: Any) -> Iterator[WindowBatch]:
        """There are no tiers. Raises: LookupError."""
        raise LookupError(f"{len(rows)} series of the tier {tier}")

    def read(self, rows: slice | RowColumn, start_ms: int, end_ms: int) -> Columns:
        """Samples of some series."""
        ts_ms: list[int] = []
        value: list[float] = []
        offsets = [0]
        wanted = range(len(self._samples))[rows] if isinstance(rows, slice) else rows.tolist()
        for samples in map(self._samples.__getitem__, wanted):
            times = sorted(time for time in samples if start_ms <= time < end_ms)
            ts_ms += times
            value += [samples[time] for time in times]
            offsets.append(len(ts_ms))
        return Columns(np.array(offsets, np.int64), np.array(ts_ms, np.int64), np.array(value, np.float64))
