"""The selection cache, against selections made anew, while series come, go and move to another index."""

import random
import threading
import weakref

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa._fast.series_drop import drop_series, idle_series
from nissa.model.errors import BadQuery, TooLarge
from nissa.model.matcher import Matcher, MatchOp, Selector
from nissa.series import selections
from nissa.series.selections import ENTRY_BYTES, Selection, SelectionCache, select_labelled
from oracle.series_twin import Labels, add_series, index_of

EQUAL, NOT_EQUAL, FITS, NOT_FITS = MatchOp
M0 = (Matcher("__name__", EQUAL, "m0"),)


def plain(index: SeriesIndex, found: Selection) -> list[tuple[int, Labels]]:
    """Ids, and the labels as the columns have them."""
    rows = []
    for at, series in enumerate(found.ids.tolist()):
        symbols = {name: int(column[at]) for name, column in zip(found.names, found.columns, strict=True)}
        rows.append((series, {name: index.symbol_text(one - 1) for name, one in symbols.items() if one}))
    return rows


def some_labels(chance: random.Random) -> Labels:
    """Labels of a series that may be there already."""
    labels = {"__name__": f"m{chance.randrange(3)}"}
    for name in chance.sample("abcdefgh", 3):
        labels[name] = chance.choice(("x", "y", "xy", "1", "2"))
    return labels


def some_selector(chance: random.Random) -> Selector:
    """One to three conditions, also on labels that no series has yet."""
    patterns = ("x|y", ".*", ".+", "x.*", "[xy]+", "")
    return tuple(
        Matcher(
            chance.choice(("__name__", *"abcdefgh")), op, chance.choice(patterns if op.by_pattern else ("x", "m1", ""))
        )
        for op in chance.choices(list(MatchOp), k=chance.randint(1, 3))
    )


def drop_some(chance: random.Random, index: SeriesIndex, minute: int) -> None:
    """Drop some of the series that were not in the last frames."""
    index.sweep(max(minute - 2, 0))
    idle = idle_series(index, index.series_count)
    drop_series(index, idle[[chance.random() < 0.5 for _ in idle]])


@pytest.mark.parametrize("matched_max", [0, 3, 10_000])
def test_cached_selections_are_those_made_anew(monkeypatch, matched_max):
    """Over frames with new series, drops and a new index, each selector finds the series and labels of the moment."""
    monkeypatch.setattr(selections, "MATCHED_MAX", matched_max)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    cache, index = SelectionCache(1 << 20), index_of([])
    asked = [M0, *(some_selector(chance) for _ in range(40))]
    for minute in range(1, 60):
        add_series(index, [some_labels(chance) for _ in range(chance.choice((0, 1, 5, 30)))], minute)
        if chance.random() < 0.2:
            drop_some(chance, index, minute)
        if chance.random() < 0.05:
            index = index_of([dict(index.labels(one)) for one in index.filter(()).tolist()[::2]])
        for selector in chance.sample(asked, 15):
            found, anew = cache.find(index, selector), select_labelled(index, selector, index.series_count)
            assert plain(index, found) == plain(index, anew), selector
            assert [dict(index.labels(one)) for one in found.ids.tolist()] == [
                labels for _, labels in plain(index, found)
            ]
    assert cache.facts()["hits"] > 20


def test_a_selection_is_not_searched_again():
    """The second question gets the arrays of the first; a new series that does not match leaves them as they are."""
    cache, index = SelectionCache(1 << 20), index_of([{"__name__": "m0"}, {"__name__": "m1"}])
    first = cache.find(index, M0)
    assert cache.find(index, M0) is first
    add_series(index, [{"__name__": "m2"}])
    assert cache.find(index, M0) is first
    add_series(index, [{"__name__": "m0", "a": "x"}])
    assert plain(index, cache.find(index, M0)) == [(0, {"__name__": "m0"}), (3, {"__name__": "m0", "a": "x"})]
    assert cache.facts() | {"bytes": 0} == {"hits": 3, "misses": 1, "bytes": 0, "entries": 1}


def test_new_series_cost_no_search_of_the_index(monkeypatch):
    """With a few new series, the index is not filtered again."""
    cache, index = SelectionCache(1 << 20), index_of([{"__name__": f"m{at % 3}", "a": str(at)} for at in range(50)])
    cache.find(index, M0)
    monkeypatch.setattr(selections, "select", lambda *_: pytest.fail("the whole index is searched"))
    add_series(index, [{"__name__": "m0", "b": "x"}, {"__name__": "m1", "b": "x"}])
    assert cache.find(index, M0).ids.tolist() == [*range(0, 50, 3), 50]


def test_the_cache_stays_within_its_bytes():
    """Selections asked for longest ago are dropped; not kept are one larger than the cache and one of every series."""
    index = index_of([{"__name__": "m", "a": str(at)} for at in range(200)])
    cache = SelectionCache(3 * ENTRY_BYTES)
    for value in ("1", "2", "1", "3", "1"):
        cache.find(index, (Matcher("a", EQUAL, value),))
    assert cache.facts()["entries"] == 2
    assert cache.facts()["bytes"] <= 3 * ENTRY_BYTES
    before = cache.facts()["hits"]
    cache.find(index, (Matcher("a", EQUAL, "1"),))
    assert cache.facts()["hits"] == before + 1
    large = SelectionCache(2 * ENTRY_BYTES)
    large.find(index, (Matcher("__name__", EQUAL, "m"),))
    large.find(index, (Matcher("a", NOT_EQUAL, "x"),))
    assert large.facts()["entries"] == 0
    SelectionCache(0).find(index, M0)


def test_a_selection_that_outgrows_the_cache_leaves_it():
    """It is made anew for each question then, and pushes out no others."""
    index, few = index_of([{"__name__": "m0"}, {"__name__": "m1"}]), (Matcher("__name__", EQUAL, "m1"),)
    cache = SelectionCache(4 * ENTRY_BYTES)
    cache.find(index, few)
    cache.find(index, M0)
    assert cache.facts()["entries"] == 2
    add_series(index, [{"__name__": "m0", "a": str(at)} for at in range(1_000)])
    assert len(cache.find(index, M0).ids) == 1_001
    assert (cache.facts()["entries"], cache.facts()["bytes"] < 2 * ENTRY_BYTES) == (1, True)
    hits = cache.facts()["hits"]
    assert cache.find(index, few).ids.tolist() == [1]
    assert cache.facts()["hits"] == hits + 1


def test_texts_of_selectors_count():
    """Long selectors that match nothing do not fill the memory."""
    index, cache = index_of([{"__name__": "m0"}]), SelectionCache(100 * ENTRY_BYTES)
    for number in range(100):
        cache.find(index, (Matcher("__name__", FITS, f"{number}|" + "x" * 20 * ENTRY_BYTES),))
    assert cache.facts()["entries"] == 4


def test_a_selection_with_too_many_labels_is_refused(monkeypatch):
    """The limit is named."""
    monkeypatch.setattr(selections, "LABEL_CELLS_MAX", 3)
    index = index_of([{"__name__": "m0", "a": "x"}, {"__name__": "m0", "b": "x"}])
    with pytest.raises(TooLarge, match="2 series with 3 label names: 6 is over the limit of 3"):
        SelectionCache(1 << 20).find(index, M0)


def test_a_pattern_that_cannot_be_read_is_refused():
    """RE2's complaint reaches the author of the query, and nothing is kept."""
    cache = SelectionCache(1 << 20)
    with pytest.raises(BadQuery, match="cannot be read"):
        cache.find(index_of([{"__name__": "m", "a": "x"}]), (Matcher("a", FITS, "("),))
    assert cache.facts()["entries"] == 0


class Growing(SeriesIndex):
    """An index that gets two series whenever it has told how many there are."""

    @property
    def series_count(self) -> int:
        count = super().series_count
        add_series(self, [{"__name__": "m0", "a": str(count)}, {"__name__": "m1", "a": str(count)}])
        return count


def test_series_that_come_during_a_search_are_found_once():
    """Series that are registered while a search runs are left to the next question."""
    index, cache = Growing(b"s" * 32), SelectionCache(1 << 20)
    for _ in range(5):
        ids = cache.find(index, M0).ids.tolist()
        assert ids == list(range(0, 2 * len(ids), 2))


def test_an_index_is_not_kept_for_its_selections():
    """An index that another one has replaced is freed, with its selections in the cache."""
    index, cache = index_of([{"__name__": "m0"}]), SelectionCache(1 << 20)
    cache.find(index, M0)
    freed = weakref.ref(index)
    del index
    assert freed() is None
    assert cache.find(index_of([{"__name__": "m1"}, {"__name__": "m0"}]), M0).ids.tolist() == [1]


def test_threads_share_the_cache_while_series_arrive():
    """Every answer of eight threads holds the series that were there before the question, in order, and once each."""
    index = index_of([{"__name__": "m0"}, {"__name__": "m1"}])
    cache, wrong, stop = SelectionCache(4 * ENTRY_BYTES), [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            there = index.series_count
            ids = cache.find(index, M0).ids
            if len(ids) < (there + 1) // 2 or np.any(ids != np.arange(len(ids)) * 2):
                wrong.append(ids)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for at in range(300):
        add_series(index, [{"__name__": "m0", "a": str(at)}, {"__name__": "m1", "a": str(at)}])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache.find(index, M0).ids) == 301
