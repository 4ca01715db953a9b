"""Series, names and values, with and without selectors and times."""

import numpy as np

from nissa.model.columns import SampleBatch
from nissa.model.selector import read_selectors
from nissa.query.series_answers import SeriesRequest, label_names, label_sets, label_values, matched_series
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN
from oracle.backend_twin import BackendTwin, regular

MANY = [{"__name__": f"m{at % 7}", "at": str(at), **({"odd": "yes"} if at % 2 else {})} for at in range(40_000)]


def question(selectors: str | list[str] = (), **others: object) -> SeriesRequest:
    return SeriesRequest(read_selectors(selectors), **others)  # type: ignore[arg-type]


def test_names_and_values_of_many_series():
    """Selections that lie close together and far apart give the same as looking at each series."""
    backend = BackendTwin(MANY, regular(1, 1))
    assert label_names(backend, question('{odd="yes"}')) == ["__name__", "at", "odd"]
    assert label_names(backend, question('{odd="",at=~"[^12].*"}')) == ["__name__", "at"]
    assert label_values(backend, "__name__", question('{at=~"7|7000|39999"}')) == sorted(
        {MANY[at]["__name__"] for at in (7, 7_000, 39_999)}
    )
    expected = sorted(labels["at"] for labels in MANY if labels["__name__"] == "m3")
    assert label_values(backend, "at", question("m3")) == expected
    assert label_values(backend, "odd", question()) == ["yes"]
    assert label_values(backend, "yes", question()) == []


def test_label_sets_are_bounded():
    """At most as many sets as asked for; 0 means all."""
    backend = BackendTwin(MANY[:10], regular(1, 1))
    assert label_sets(backend, question('{at!=""}'), 3) == MANY[:3]
    assert label_sets(backend, question('{at!=""}'), 0) == MANY[:10]
    assert len(matched_series(backend, question())) == 10


def test_series_without_samples_in_the_range_are_left_out():
    """Only series with a sample in the interval remain; without an interval all do."""
    batch = SampleBatch(np.array([0, 2, 5], np.uint32), np.array([10, 20, 30]), np.ones(3))
    backend = BackendTwin(MANY[:10], batch)
    assert matched_series(backend, question('{at!=""}', interval_ms=(10, 30), samples_max=100)).tolist() == [0, 2]
    assert len(matched_series(backend, question('{at!=""}', interval_ms=(TIME_MS_MIN, TIME_MS_MAX)))) == 10


def test_a_range_counts_without_selectors_too():
    """Names and values that no series with data in the range has are left out."""
    batch = SampleBatch(np.array([0, 2, 5], np.uint32), np.array([10, 20, 30]), np.ones(3))
    backend = BackendTwin(MANY[:10], batch)
    assert matched_series(backend, question(interval_ms=(10, 30))).tolist() == [0, 2]
    assert label_names(backend, question(interval_ms=(10, 30))) == ["__name__", "at"]
    assert label_names(backend, question(interval_ms=(10, 31))) == ["__name__", "at", "odd"]
    assert label_values(backend, "at", question(interval_ms=(20, 31))) == ["2", "5"]
    assert label_values(backend, "at", question(interval_ms=(40, 50))) == []
    assert label_sets(backend, question(interval_ms=(30, 31)), 0) == [MANY[5]]
