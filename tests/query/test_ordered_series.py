"""Series one after the other in the order of their labels."""

import numpy as np
import pytest

from nissa.model.errors import TooLarge
from nissa.model.matcher import Matcher, MatchOp
from nissa.query.external_labels import ExternalLabels
from nissa.query.limits import Allowance, MemoryBudget
from nissa.query.ordered_series import ordered_series
from oracle.backend_twin import BackendTwin, regular

UP = (Matcher("__name__", MatchOp.EQUAL, "up"),)
FIRST_MS = 1_732_190_000_000


def test_series_come_in_the_order_of_their_labels():
    """Whatever the order of their ids, over several slices; those without samples in the interval are left out."""
    places = np.random.default_rng(3).permutation(200)
    backend = BackendTwin([{"__name__": "up", "at": f"{place:03}"} for place in places], regular(199, 5))
    found = list(ordered_series(backend, UP, (FIRST_MS + 1_000, FIRST_MS + 3_000)))
    assert [dict(labels)["at"] for labels, _, _ in found] == sorted(f"{place:03}" for place in places[:199])
    assert all(ts_ms.tolist() == [FIRST_MS + 1_000, FIRST_MS + 2_000] for _, ts_ms, _ in found)
    values = regular(199, 5).value.reshape(199, 5)
    by_place = {f"{place:03}": values[series] for series, place in enumerate(places[:199])}
    assert all(value.tolist() == by_place[dict(labels)["at"]][1:3].tolist() for labels, _, value in found)


def test_memory_is_bounded_and_given_back():
    """Samples of a slice are counted while it is handed out."""
    backend = BackendTwin([{"__name__": "up", "at": str(at)} for at in range(100)], regular(100, 1_000))
    ration = MemoryBudget(10**9)
    with Allowance(lambda: 0.0, 1_000, 10**7, ration) as query:
        assert len(list(ordered_series(backend, UP, (0, 2**62), query.check))) == 100
    assert ration.taken_bytes == 0
    with Allowance(lambda: 0.0, 1_000, 10**6, ration) as query, pytest.raises(TooLarge):
        list(ordered_series(backend, UP, (0, 2**62), query.check))


def test_external_labels_are_part_of_the_order_and_make_series_one():
    """Labels are sorted with them; of two samples with one time the older series has the one that counts."""
    series = [{"__name__": "up", "zone": "z"}, {"__name__": "up"}, {"__name__": "up", "site": "a"}]
    external = ExternalLabels({"site": "a"})
    found = list(ordered_series(BackendTwin(series, regular(3, 4)), UP, (0, 2**62), external=external))
    name, site = ("__name__", "up"), ("site", "a")
    assert [labels for labels, _, _ in found] == [[name, site], [name, site, ("zone", "z")]]
    values = regular(3, 4).value.reshape(3, 4)
    assert [ts_ms.tolist() for _, ts_ms, _ in found] == [[FIRST_MS + at * 1_000 for at in range(4)]] * 2
    assert [value.tolist() for _, _, value in found] == [values[1].tolist(), values[0].tolist()]
