"""Selection: finds the series that matchers match.

The index stores each label name and value once, as a *symbol* (a dense number), and knows for each name its distinct
values. A matcher is therefore judged once per distinct value, not per series, and becomes an array over symbols:

    {job="api", path=~"/v1/.*"}

    job  "api" -> symbol 7              accept[job]  = 0 0 0 0 0 0 0 1 0 0 …
    path values 3, 8, 9 -> fit? 0 1 1   accept[path] = 0 0 0 0 0 0 0 0 1 1 …

Matchers of one label are folded into one array as they are judged. The index then filters its series by one array after
the other, each made when it is needed, so a query holds one array at a time. Values that match a pattern are cached for
the other selectors of the query, which often repeat it.

Symbols that appear after an array was made are outside of it and not accepted: they belong to series that arrived
after the question.

This file does not know where samples are, nor how a selector is written.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nissa.model.allowance import Check, no_check
from nissa.model.columns import SeriesColumn
from nissa.model.matcher import Matcher, Selector
from nissa.model.predicate import literal_values, predicate, takes

SymbolColumn = npt.NDArray[np.uint32]
AcceptColumn = npt.NDArray[np.uint8]
Condition = tuple[int, AcceptColumn, bool]  # name symbol, accepted value symbols, whether a missing label is accepted

VALUES_PER_CHECK = 8_192  # distinct values judged between two looks at the deadline


class SeriesView(Protocol):
    """Interface of the series index for selection. Every call is safe from any thread while series are added."""

    @property
    def series_count(self) -> int:
        """Number of ids given out; not all of them need stand for a series any more."""

    @property
    def known_count(self) -> int:
        """Number of series."""

    @property
    def dropped_total(self) -> int:
        """Number of series that were dropped and are still in memory."""

    @property
    def symbol_count(self) -> int: ...
    def symbol(self, text: str) -> int:
        """Number of ``text``, or -1 where no label name or value is spelled so."""

    def symbol_text(self, symbol: int) -> str: ...
    def names(self) -> SymbolColumn:
        """Distinct label names, as symbols."""

    def values_of(self, name: int) -> SymbolColumn:
        """Distinct values of one label name, as symbols."""

    def filter(self, conditions: Iterable[Condition]) -> SeriesColumn:
        """Ids of the series that meet every condition, ascending; of all there are without one.

        Each condition is let go before the next is asked.
        """

    def labels(self, series: int) -> list[tuple[str, str]]:
        """Labels of one series, sorted by name, ``__name__`` among them."""


def select(index: SeriesView, selector: Selector, check: Check = no_check) -> SeriesColumn:
    """Ids of the series that ``selector`` means, ascending.

    check: called between slices of work, with the bytes held; raises to stop.
    Raises: BadQuery for a pattern RE2 does not take.
    """
    return _Judge(index, check).select(selector)


def select_any(index: SeriesView, selectors: Iterable[Selector], check: Check = no_check) -> SeriesColumn:
    """Return the ids of series that at least one selector matches, ascending and distinct.

    index: the series to search. selectors: one or more. check: called between matchers; raises to cancel.
    """
    judge = _Judge(index, check)
    found = np.empty(0, np.uint32)
    for selector in dict.fromkeys(selectors):
        more = judge.select(selector)
        check(3 * more.nbytes)  # and what uniting takes
        united = np.union1d(found, more) if len(found) else more
        check(united.nbytes - found.nbytes - 3 * more.nbytes)
        found = united
    return found


class _Judge:
    """Judges the matchers of one question."""

    def __init__(self, index: SeriesView, check: Check) -> None:
        self._index = index
        self._check = check
        self._fitting: dict[tuple[int, str], SymbolColumn] = {}

    def select(self, selector: Selector) -> SeriesColumn:
        """Ids of the series that ``selector`` means."""
        by_name: dict[str, list[Matcher]] = {}
        for matcher in dict.fromkeys(selector):
            by_name.setdefault(matcher.name, []).append(matcher)
        unknown = [name for name in by_name if self._index.symbol(name) < 0]
        if not all(takes(matcher, "") for name in unknown for matcher in by_name[name]):
            return np.empty(0, np.uint32)
        names = [name for name in by_name if name not in unknown]
        walk_bytes = 6 * self._index.known_count  # which series are kept, and the ids of those
        self._check(walk_bytes)
        found = self._index.filter(self._conditions([by_name[name] for name in names]))
        self._check(-walk_bytes)
        return found

    def _conditions(self, groups: Iterable[list[Matcher]]) -> Iterator[Condition]:
        """One condition per group of matchers of the same label."""
        for matchers in groups:
            name = self._index.symbol(matchers[0].name)
            accept = np.ones(self._index.symbol_count, np.uint8)
            self._check(2 * len(accept))  # and that of a matcher while it is folded in
            for matcher in matchers:
                self._fold(accept, name, matcher)
            yield name, accept, all(takes(matcher, "") for matcher in matchers)
            self._check(-2 * len(accept))

    def _fold(self, accept: AcceptColumn, name: int, matcher: Matcher) -> None:
        """Clear the symbols of ``accept`` that ``matcher`` does not take."""
        wanted = literal_values(matcher)
        if wanted is not None:
            symbols = np.array([self._index.symbol(text) for text in wanted], np.int64)
        else:
            symbols = self._judged(name, matcher.value).astype(np.int64)
        symbols = symbols[(symbols >= 0) & (symbols < len(accept))]
        if matcher.op.negated:
            accept[symbols] = 0
            return
        both = np.zeros(len(accept), np.uint8)
        both[symbols] = accept[symbols]
        accept[:] = both

    def _judged(self, name: int, pattern: str) -> SymbolColumn:
        """Values of the label that ``pattern`` fits; each is judged once for the whole question."""
        known = self._fitting.get((name, pattern))
        if known is not None:
            return known
        values, fits, text = self._index.values_of(name), predicate(pattern), self._index.symbol_text
        self._check(2 * values.nbytes)
        fitting = np.zeros(len(values), np.bool_)
        for first in range(0, len(values), VALUES_PER_CHECK):
            self._check()
            part = values[first : first + VALUES_PER_CHECK].tolist()
            fitting[first : first + len(part)] = [fits(text(symbol)) for symbol in part]
        found = values[fitting]
        self._check(found.nbytes - 2 * values.nbytes)
        self._fitting[name, pattern] = found
        return found
