"""Select: which series do these matchers mean?

The index stores each label name and value once, as a *symbol* (a dense number), and knows for each name its distinct
values. A matcher is therefore judged once per distinct value, not per series, and becomes an array over symbols:

    {job="api", path=~"/v1/.*"}

    job  "api" -> symbol 7              accept[job]  = 0 0 0 0 0 0 0 1 0 0 …
    path values 3, 8, 9 -> fit? 0 1 1   accept[path] = 0 0 0 0 0 0 0 0 1 1 …

The index then walks its series once with all these arrays. Symbols that appear after an array was made are outside of
it and not accepted: they belong to series that arrived after the question.

This file does not know where samples are, nor how a selector is written.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nissa.model.columns import SeriesColumn
from nissa.model.matcher import Matcher, Selector
from nissa.model.predicate import Predicate, predicate, takes, texts_of

SymbolColumn = npt.NDArray[np.uint32]
AcceptColumn = npt.NDArray[np.uint8]
Condition = tuple[int, AcceptColumn, bool]  # name symbol, accepted value symbols, whether a missing label is accepted

VALUES_PER_CHECK = 8_192  # distinct values judged between two looks at the deadline


class SeriesView(Protocol):
    """What selection needs of the series index. Every call is safe from any thread while series are added."""

    @property
    def series_count(self) -> int: ...
    @property
    def symbol_count(self) -> int: ...
    def symbol(self, text: str) -> int:
        """Number of ``text``, or -1 where no label name or value is spelled so."""

    def symbol_text(self, symbol: int) -> str: ...
    def names(self) -> SymbolColumn:
        """Distinct label names, as symbols."""

    def values_of(self, name: int) -> SymbolColumn:
        """Distinct values of one label name, as symbols."""

    def filter(self, conditions: list[Condition]) -> SeriesColumn:
        """Ids of the series that meet every condition, ascending."""

    def labels(self, series: int) -> list[tuple[str, str]]:
        """Labels of one series, sorted by name, ``__name__`` among them."""


def no_check() -> None:
    """A deadline that never comes."""


def select(index: SeriesView, selector: Selector, check: Callable[[], None] = no_check) -> SeriesColumn:
    """Ids of the series that ``selector`` means, ascending.

    check: called between slices of work; raises when the time is over.
    Raises: BadQuery for a pattern RE2 does not take.
    """
    conditions: list[Condition] = []
    for matcher in selector:
        name = index.symbol(matcher.name)
        absent_ok = takes(matcher, "")
        if name >= 0:
            conditions.append((name, accepted_values(index, name, matcher, check), absent_ok))
        elif not absent_ok:
            return np.empty(0, np.uint32)
    return index.filter(conditions)


def select_any(index: SeriesView, selectors: Iterable[Selector], check: Callable[[], None] = no_check) -> SeriesColumn:
    """Ids of the series that any of ``selectors`` means, ascending, each once."""
    found = [select(index, selector, check) for selector in selectors]
    return found[0] if len(found) == 1 else np.unique(np.concatenate([np.empty(0, np.uint32), *found]))


def accepted_values(index: SeriesView, name: int, matcher: Matcher, check: Callable[[], None]) -> AcceptColumn:
    """The array over symbols for one matcher: 1 where the value is accepted."""
    wanted = texts_of(matcher)
    count = index.symbol_count
    accept = np.full(count, matcher.op.negated, np.uint8)
    flipped = 0 if matcher.op.negated else 1
    if wanted is not None:
        symbols = [index.symbol(text) for text in wanted]
        accept[[symbol for symbol in symbols if 0 <= symbol < count]] = flipped
        return accept
    accept[_fitting(index, index.values_of(name), predicate(matcher.value), count, check)] = flipped
    return accept


def _fitting(
    index: SeriesView, values: SymbolColumn, fits: Predicate, count: int, check: Callable[[], None]
) -> list[int]:
    """Those of ``values`` below ``count`` whose text fits."""
    text = index.symbol_text
    symbols = iter(values.tolist())
    fitting: list[int] = []
    while chunk := list(islice(symbols, VALUES_PER_CHECK)):
        check()
        fitting.extend(symbol for symbol in chunk if symbol < count and fits(text(symbol)))
    return fitting
