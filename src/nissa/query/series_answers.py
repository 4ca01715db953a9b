"""Series, label names and label values that selectors and a time range select.

Without a range the index answers for all known series. With one, series without data in it are left out
(``query/presence.py``), as far as footers of blocks, and ``samples_max`` rows of blocks that overlap the range in part,
show it.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from nissa.model.allowance import PAIR_BYTES, TEXT_BYTES, Check, no_check
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.matcher import Selector
from nissa.query.backend import Backend, IndexView
from nissa.query.export import OnDamage
from nissa.query.presence import present_series
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN
from nissa.series.select import select_any

SERIES_PER_SLICE = 16_384


def _passed_by(_: Damaged) -> None:
    """Default of ``on_damage``: ignores the damage."""


class SeriesRequest(msgspec.Struct, frozen=True):
    """The request. selectors: united; none means all series. interval_ms: half-open.

    samples_max: rows read of blocks that reach out of the interval; series beyond are given unexamined.
    on_damage: called for each damaged file of the range; the answer then has every series it may have.
    """

    selectors: Sequence[Selector] = ()
    interval_ms: tuple[int, int] = (TIME_MS_MIN, TIME_MS_MAX)
    samples_max: int = 0
    check: Check = no_check
    on_damage: OnDamage = _passed_by


def matched_series(backend: Backend, question: SeriesRequest, index: IndexView | None = None) -> SeriesColumn:
    """Ids of the series, ascending. index: that of the backend, where their labels are asked for afterwards.

    An answer asks one index from its beginning to its end: the next one may lack series, and numbers texts otherwise.
    """
    index = backend.index if index is None else index
    if question.selectors:
        series = select_any(index, question.selectors, question.check)
    else:
        question.check(6 * index.known_count)
        series = index.filter(())
    if question.interval_ms == (TIME_MS_MIN, TIME_MS_MAX) or not len(series):
        return series
    with backend.snapshot() as snapshot:
        return present_series(
            snapshot, series, question.interval_ms, question.samples_max, question.check, question.on_damage
        )


def label_sets(backend: Backend, question: SeriesRequest, sets_max: int) -> list[dict[str, str]]:
    """Return the labels of the series that match ``question``.

    backend: where to read. sets_max: maximum number of series; 0: all. Raises: BadQuery.
    """
    index = backend.index
    series = matched_series(backend, question, index)
    sets: list[dict[str, str]] = []
    for part in _slices(series[:sets_max] if sets_max else series):
        for one in part.tolist():
            labels = index.labels(one)
            question.check(sum(PAIR_BYTES + len(name) + len(value) for name, value in labels))
            sets.append(dict(labels))
    return sets


def label_names(backend: Backend, question: SeriesRequest) -> list[str]:
    """Distinct label names, sorted."""
    index = backend.index
    if _means_all(question):
        return _texts(index, index.names(), question.check)
    series = matched_series(backend, question, index)
    question.check(index.symbol_count)
    found = np.zeros(index.symbol_count, np.bool_)
    for pairs in _pairs_of(index, series):
        question.check()
        found[pairs[:, 0]] = True
    return _texts(index, np.flatnonzero(found), question.check)


def label_values(backend: Backend, name: str, question: SeriesRequest) -> list[str]:
    """Return the distinct values of the label ``name``, sorted, in the series that match ``question``.

    backend: where to read. Raises: BadQuery.
    """
    index = backend.index
    symbol = index.symbol(name)
    if symbol < 0:
        return []
    if _means_all(question):
        return _texts(index, index.values_of(symbol), question.check)
    series = matched_series(backend, question, index)
    question.check(index.symbol_count)
    found = np.zeros(index.symbol_count, np.bool_)
    for pairs in _pairs_of(index, series):
        question.check()
        found[pairs[pairs[:, 0] == symbol, 1]] = True
    return _texts(index, np.flatnonzero(found), question.check)


def _means_all(question: SeriesRequest) -> bool:
    """True if all series of the index are requested."""
    return not question.selectors and question.interval_ms == (TIME_MS_MIN, TIME_MS_MAX)


def _texts(index: IndexView, symbols: np.ndarray, check: Check) -> list[str]:
    """Texts of the symbols, sorted."""
    texts: list[str] = []
    for first in range(0, len(symbols), SERIES_PER_SLICE):
        texts += map(index.symbol_text, symbols[first : first + SERIES_PER_SLICE].tolist())
        added = texts[first:]
        check(TEXT_BYTES * len(added) + sum(map(len, added)))
    texts.sort()
    return texts


def _slices(series: SeriesColumn) -> Iterator[SeriesColumn]:
    for first in range(0, len(series), SERIES_PER_SLICE):
        yield series[first : first + SERIES_PER_SLICE]


def _pairs_of(index: IndexView, series: SeriesColumn) -> Iterator[np.ndarray]:
    """Name and value symbols of the labels of ``series``, some thousand series at a time."""
    for part in _slices(series):
        yield index.pairs_of_each(part)[1]
