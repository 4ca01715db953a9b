"""Allowances on a clock that is given."""

import pytest

from nissa.model.errors import QueryCanceled, QueryTimeout, TooLarge, Unavailable
from nissa.query.limits import Allowance, MemoryBudget


def allowance(ration: MemoryBudget, now_s: float = 0.0) -> Allowance:
    """Half a second and a thousand bytes."""
    return Allowance(lambda: now_s, 500, 1_000, ration)


def test_time_is_up_once():
    """Until then nothing happens; the message names the setting. Extending begins the time anew."""
    now_s = [100.0]
    query = Allowance(lambda: now_s[0], 500, 1_000, MemoryBudget(1_000))
    now_s[0] = 100.5
    query.check()
    now_s[0] = 100.6
    with pytest.raises(QueryTimeout, match="query_timeout"):
        query.check()
    query.extend()
    now_s[0] = 101.0
    query.check()


def test_a_query_may_have_less_time():
    """A shorter time counts from the beginning; a longer one changes nothing."""
    now_s = [100.0]
    query = Allowance(lambda: now_s[0], 500, 1_000, MemoryBudget(1_000))
    query.shorten(700)
    query.shorten(200)
    now_s[0] = 100.3
    assert round(query.elapsed_s, 3) == 0.3
    with pytest.raises(QueryTimeout, match="200 ms"):
        query.check()


def test_a_canceled_query_ends():
    """A canceled query ends at its next check, and every later one."""
    query = allowance(MemoryBudget(1_000))
    query.check()
    query.cancel()
    query.extend()
    with pytest.raises(QueryCanceled):
        query.check()


def test_a_query_has_memory_of_its_own():
    """Released memory may be taken again; a request for more than the share is refused, and not counted."""
    ration = MemoryBudget(5_000)
    with allowance(ration) as query:
        query.check(600)
        query.check(-500)
        query.check(900)
        with pytest.raises(TooLarge, match="query_memory_size_max"):
            query.check(1)
        assert (query.taken_bytes, ration.taken_bytes) == (1_000, 1_000)
    assert ration.taken_bytes == 0


def test_queries_share_their_memory():
    """If all queries together hold too much, the next request is refused as Unavailable, until a query ends."""
    ration = MemoryBudget(1_500)
    with allowance(ration) as second:
        with allowance(ration) as first:
            first.check(1_000)
            with pytest.raises(Unavailable, match="queries_memory_size_max"):
                second.check(501)
        second.check(501)
    assert ration.taken_bytes == 0


def test_a_daemon_that_stops_ends_every_query():
    """The next check of each raises."""
    ration = MemoryBudget(1_500)
    query = allowance(ration)
    query.check()
    ration.stop()
    with pytest.raises(Unavailable, match="stopping"):
        query.check()
