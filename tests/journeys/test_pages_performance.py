"""Pages of performance: services with their requests, what moved, routes, trends, errors, and limits."""

import json
import math
import re
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from journeys.page_data import send_event
from journeys.rig import Daemon, running
from journeys.test_import import post, wait_folded
from journeys.test_rules import wait_for

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
DAY_S = 86_400
STEP_S = 300
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)
FAST = (0.5, 0.8, 0.95, 0.99, 0.999, 1.0, 1.0)  # share of requests up to each bound
SLOW = (0.3, 0.5, 0.7, 0.8, 0.9, 0.98, 1.0)
ROUTES = {  # service, route: requests a second, share of errors and durations of the day before, and of the last one
    ("shop", "/cart/{id}"): (4.0, (0.001, FAST), (0.03, SLOW)),
    ("shop", "/pay"): (1.0, (0.001, FAST), (0.001, FAST)),
    ("search", "/find"): (9.0, (0.002, SLOW), (0.002, FAST)),
    (HOSTILE, "/"): (0.2, (0.0, FAST), (0.0, FAST)),
}
SETTINGS = """
silver:
  interval: 1s
  metrics: [{match: queue_depth, tags: [region]}]
performance:
  limits:
    - {name: queue of the shop, service: shop, query: max(queue_depth), limit: 1000}
    - {name: workers, service: search, query: max(workers_busy), limit: 64}
"""


def requests(now_s: int) -> list[str]:
    """Counters of two days, as lines of an import; the last day begins a day before now."""
    times = list(range(now_s - 2 * DAY_S, now_s - 120, STEP_S))
    lines = []
    for (service, route), (rate, *days) in ROUTES.items():
        totals = {(status, bound): 0.0 for status in ("200", "500") for bound in BOUNDS}
        columns: dict[tuple[str, float], list[float]] = {key: [] for key in totals}
        for at_s in times:
            errors, shares = days[at_s >= now_s - DAY_S]
            for (status, bound), own in columns.items():
                own.append(totals[status, bound])
                part = errors if status == "500" else 1 - errors
                totals[status, bound] += STEP_S * rate * part * shares[BOUNDS.index(bound)]
        labels = {"service": service, "route": route, "method": "GET"}
        for (status, bound), own in columns.items():
            named = {**labels, "status": status, "le": "+Inf" if bound == math.inf else str(bound)}
            lines.append(line("http_request_duration_seconds_bucket", named, times, own))
            if bound == math.inf:
                lines.append(line("http_request_duration_seconds_count", {**labels, "status": status}, times, own))
    return lines


def gauges(now_s: int) -> list[str]:
    """A queue that grows by 20 a day, and workers without a past."""
    times = list(range(now_s - 20 * DAY_S, now_s, 1_800))
    depths = [500 + 20 * (at_s - now_s + 20 * DAY_S) / DAY_S + 15 * (at_s % DAY_S < 3_600) for at_s in times]
    late = times[-4:]
    return [
        line("queue_depth", {"service": "shop", "region": "eu"}, times, depths),
        line("workers_busy", {"service": "search"}, late, [12.0] * len(late)),
    ]


def line(name: str, labels: dict[str, str], times_s: list[int], values: list[float]) -> str:
    """A line of an import."""
    metric = {"__name__": name, **labels}
    return json.dumps({"metric": metric, "timestamps": [at_s * 1_000 for at_s in times_s], "values": values})


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Three services, one of which has become slow and fails, an error of it, and a queue that grows."""
    directory = tmp_path_factory.mktemp("performance")
    (directory / "nissa.yaml").write_text(SETTINGS)
    now_s = time.time_ns() // 10**9
    with running(directory / "data") as first:  # rollups of the past are made where there are none yet
        body = "\n".join([*requests(now_s), *gauges(now_s)]).encode() + b"\n"
        assert post(first, body)[0] in (200, 204)
        wait_folded(first)
        assert first.stop() == 0
    with running(directory / "data", "--config", str(directory / "nissa.yaml")) as started:
        event = {"event_id": "payment", "source": "shop", "description": f"payment refused {HOSTILE}", "level": 3}
        attributes = [{"name": "service", "value": "shop"}, {"name": "duration_ms", "value": "1250"}]
        send_event(started, {**event, "timestamp_ms": now_s * 1_000, "attributes": attributes})
        wait_for(lambda: weeks(started))
        wait_for(lambda: started.get("/api/v1/bronze?service=shop")["data"]["entries"])
        yield started


def weeks(daemon: Daemon) -> bool:
    """Whether there are rollups of both weeks."""
    found = daemon.get("/api/v1/silver/trends?service=shop&period=week")["data"]["trends"]
    return bool(found) and found[0]["before"] is not None


def test_services_are_compared_with_the_day_before(page) -> None:
    """The busiest first, each with its numbers; what got worse is above what got better, and leads to its service."""
    page.goto("/performance")
    table = page.get_by_role("region", name="Requests by service")
    rows = table.get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text("search")
    expect(rows.nth(2)).to_contain_text("shop")
    expect(rows.nth(2)).to_contain_text(re.compile(r"5\.?\d*/s"))
    expect(rows.nth(2)).to_contain_text(re.compile(r"2\.\d+ %\+2\.\d+ points"))
    moved = page.get_by_role("region", name="What moved most").get_by_role("listitem")
    expect(moved.first).to_contain_text("shop GET /cart/{id}")
    expect(moved.first).to_contain_text(re.compile(r"errors 0\.1 % → (2\.9\d|3) %"))
    expect(moved.last).to_contain_text("search")
    expect(moved.last.get_by_role("img", name="better")).to_have_count(1)
    assert page.locator("main img").count() == 0
    page.get_by_role("button", name="a week ago").click()
    expect(page.get_by_text("No p95, p99 or share of errors moved")).to_be_visible()
    assert "against=week" in page.url
    page.get_by_role("button", name="just before").click()
    moved.first.get_by_role("link", name="shop").click()
    page.get_by_role("heading", level=1, name="shop").wait_for()


def test_one_service_has_graphs_routes_trends_and_errors(page) -> None:
    """Graphs are drawn from the expressions that Explore opens; texts of senders stay text."""
    page.goto("/performance?service=shop")
    page.get_by_role("heading", name="2 routes").wait_for()
    routes = page.get_by_role("region", name="Requests by route").get_by_role("row")
    expect(routes.nth(1)).to_contain_text("GET /cart/{id}")
    expect(routes.nth(1)).to_contain_text("≥ 2.5 s")
    titles = {"Requests per second": "GET /pay", "Errors, percent": "share", "Durations, seconds": "p99"}
    for title, text in titles.items():
        graph = page.get_by_role("region", name=title, exact=True)
        graph.locator("canvas").wait_for()
        expect(graph).to_contain_text(text)
    errors = page.get_by_role("region", name="Errors and slow requests")
    expect(errors).to_contain_text(f"payment refused {HOSTILE}")
    expect(errors).to_contain_text("1.3 s")
    trends = page.get_by_role("region", name="Trends", exact=True).last.get_by_role("row")
    expect(trends.filter(has_text="mean of queue_depth")).to_contain_text("region=eu")
    expect(trends.filter(has_text="mean of queue_depth")).to_contain_text(re.compile(r"6\d\d[\d.]*8\d\d[\d.]*\+2\d %"))
    assert page.locator("main img").count() == 0
    page.goto("/performance?" + urlencode({"service": HOSTILE}))
    page.get_by_role("heading", name="1 route").wait_for()
    assert page.title() == "Performance · Nissa"


def test_limits_are_dated_or_said_to_be_unknown(page) -> None:
    """A queue that grows has a date, workers without a past have none; what one asks about is in the address."""
    page.goto("/performance")
    limits = page.get_by_role("region", name="Capacity").get_by_role("listitem")
    queue = limits.filter(has_text="queue of the shop")
    expect(queue).to_contain_text(re.compile(r"On 20\d\d-\d\d-\d\d, in [345] d"))
    expect(queue.locator("canvas")).to_have_count(1)
    expect(limits.filter(has_text="workers")).to_contain_text("Cannot be known: ")
    expect(limits.filter(has_text="Disk of Nissa")).to_have_count(1)
    page.get_by_role("button", name="Ask about a limit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Expression").fill("max(queue_depth)")
    dialog.get_by_label("Limit", exact=True).fill("90000")
    dialog.get_by_role("button", name="Ask", exact=True).click()
    expect(limits.first).to_contain_text("ot before")
    assert "limit=90000" in page.url
    page.reload()
    expect(limits.first).to_contain_text("ot before")
    limits.first.get_by_role("button", name="Close").click()
    expect(limits.filter(has_text="of 90 k")).to_have_count(0)
    assert "limit" not in page.url
