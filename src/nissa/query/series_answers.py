"""Which series, label names and label values there are.

Without a time range the index alone answers. With one, and with selectors, series that have no sample in it are left
out as far as ``samples_max`` samples can be looked at; beyond, series are given unexamined (Prometheus, too, answers
these questions by whole blocks: too much rather than too little). Without selectors the range is not looked at.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.matcher import Selector
from nissa.query.backend import Backend, IndexView
from nissa.query.export import OnDamage, stream_series
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN
from nissa.series.select import no_check, select_any

SERIES_PER_SLICE = 16_384


def _passed_by(_: Damaged) -> None:
    """Nobody wants to know."""


class SeriesQuestion(msgspec.Struct, frozen=True):
    """What is asked. selectors: united; none means all series. interval_ms: half-open. samples_max: see above.

    on_damage: told of each damaged file that samples were looked for in; the answer then has every series it may have.
    """

    selectors: Sequence[Selector] = ()
    interval_ms: tuple[int, int] = (TIME_MS_MIN, TIME_MS_MAX)
    samples_max: int = 0
    check: Callable[[], None] = no_check
    on_damage: OnDamage = _passed_by


def series_meant(backend: Backend, question: SeriesQuestion) -> SeriesColumn:
    """Ids of the series, ascending."""
    index = backend.index
    if not question.selectors:
        return np.arange(index.series_count, dtype=np.uint32)
    series = select_any(index, question.selectors, question.check)
    if question.interval_ms == (TIME_MS_MIN, TIME_MS_MAX) or not len(series):
        return series
    return _present(backend, series, question)


def _present(backend: Backend, series: SeriesColumn, question: SeriesQuestion) -> SeriesColumn:
    """Those of ``series`` with a sample in the interval, and those not looked at."""
    seen: list[SeriesColumn] = []
    samples = 0
    damages: list[Damaged] = []
    for batch in stream_series(backend, series, question.interval_ms, question.check, damages.append):
        seen.append(np.unique(batch.series))
        samples += len(batch)
        if samples > question.samples_max:
            seen.append(series[series > batch.series[-1]])
            break
    for damage in damages:
        question.on_damage(damage)
    if damages:  # nobody knows what stood there
        return series
    return np.unique(np.concatenate([np.empty(0, np.uint32), *seen]))


def label_sets(backend: Backend, question: SeriesQuestion, sets_max: int) -> list[dict[str, str]]:
    """Labels of the series, at most ``sets_max`` of them (0: all)."""
    series = series_meant(backend, question)
    index = backend.index
    sets: list[dict[str, str]] = []
    for part in _slices(series[:sets_max] if sets_max else series):
        question.check()
        sets.extend(dict(index.labels(one)) for one in part.tolist())
    return sets


def label_names(backend: Backend, question: SeriesQuestion) -> list[str]:
    """Distinct label names, sorted."""
    index = backend.index
    if not question.selectors:
        return _texts(index, index.names())
    found = np.zeros(index.symbol_count, np.bool_)
    for pairs in _pairs_of(index, series_meant(backend, question)):
        question.check()
        found[pairs[:, 0]] = True
    return _texts(index, np.flatnonzero(found))


def label_values(backend: Backend, name: str, question: SeriesQuestion) -> list[str]:
    """Distinct values of the label ``name``, sorted."""
    index = backend.index
    symbol = index.symbol(name)
    if symbol < 0:
        return []
    if not question.selectors:
        return _texts(index, index.values_of(symbol))
    found = np.zeros(index.symbol_count, np.bool_)
    for pairs in _pairs_of(index, series_meant(backend, question)):
        question.check()
        found[pairs[pairs[:, 0] == symbol, 1]] = True
    return _texts(index, np.flatnonzero(found))


def _texts(index: IndexView, symbols: np.ndarray) -> list[str]:
    return sorted(index.symbol_text(symbol) for symbol in symbols.tolist())


def _slices(series: SeriesColumn) -> Iterator[SeriesColumn]:
    for first in range(0, len(series), SERIES_PER_SLICE):
        yield series[first : first + SERIES_PER_SLICE]


def _pairs_of(index: IndexView, series: SeriesColumn) -> Iterator[np.ndarray]:
    """Name and value symbols of the labels of ``series``, some thousand series at a time."""
    for part in _slices(series):
        first, last = int(part[0]), int(part[-1])
        if last - first >= 4 * SERIES_PER_SLICE:  # far apart: one by one costs less than reading what lies between
            for one in part.tolist():
                yield index.pairs_of(one, 1)[1]
            continue
        starts, pairs = index.pairs_of(first, last - first + 1)
        wanted = np.zeros(last - first + 1, np.bool_)
        wanted[part - first] = True
        yield pairs[np.repeat(wanted, np.diff(starts).astype(np.int64))]
