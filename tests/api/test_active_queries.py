"""The list of queries under way, and the log of slow ones."""

from structlog.testing import capture_logs

from nissa.api.active_queries import EXPRESSION_SHOWN_MAX, ActiveQueries
from nissa.query.api_counts import ApiCounts
from nissa.query.limits import Allowance, MemoryBudget


def test_queries_are_listed_while_they_run():
    """Queries are listed longest first, with the memory they hold; expressions are cut at their limit."""
    now_s = [1.0]
    active = ActiveQueries(5_000, ApiCounts())
    first, second = (Allowance(lambda: now_s[0], 60_000, 1_000, MemoryBudget(1_000)) for _ in range(2))
    with active.running("up", (0, 60_000, 1_000), "a:1", first):
        now_s[0] = 3.0
        with active.running("x" * 10_000, (5, 5, 0), "b:2", second):
            second.check(10)
            shown = active.shown()
            assert [one["remote_addr"] for one in shown] == ["a:1", "b:2"]
            assert (shown[0]["duration"], shown[0]["start"], shown[0]["end"], shown[0]["step"]) == (
                "2.000s",
                0,
                60_000,
                1_000,
            )
            assert (len(shown[1]["query"]), shown[1]["memory_bytes"]) == (EXPRESSION_SHOWN_MAX, 10)
    assert active.shown() == []


def test_a_slow_query_is_logged():
    """A slow query is logged with expression, samples read and time, also if it fails; a fast one is not."""
    now_s = [0.0]
    active = ActiveQueries(5_000, ApiCounts())
    with capture_logs() as logs:
        for seconds in (5.0, 5.1):
            query = Allowance(lambda: now_s[0], 60_000, 1_000, MemoryBudget(1_000))
            with active.running("up", (7, 7, 0), "a:1", query) as running:
                running.samples_read = 12
                now_s[0] += seconds
    (line,) = logs
    assert (line["expression"], line["samples_read"], line["seconds"]) == ("up", 12, 5.1)
    assert active.slow == 1
