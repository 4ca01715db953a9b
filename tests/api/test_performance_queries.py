"""Requests of services over HTTP, read from a backend whose samples are known."""

from typing import Any

import numpy as np
import pytest

from nissa.config.performance import CapacityLimit, PerformanceSettings
from nissa.model.columns import SampleBatch
from oracle.backend_twin import BackendTwin

NOW_MS = 1_732_190_009_000  # of the clock of tests/api
HOUR_MS = 3_600_000
STEP_MS = 60_000
BOUNDS = {"0.1": 0.5, "1": 0.9, "+Inf": 1.0}  # share of requests up to each bound
H = "http_request_duration_seconds"


def backend() -> BackendTwin:
    """Three hours of counters: 2 requests a second to /a, and more in the last hour, of which 10 % fail; 1 to /b.

    /b is of another service, whose name is in another label. A gauge rises from 0 by 10 an hour.
    """
    times = np.arange(NOW_MS - 3 * HOUR_MS, NOW_MS + 1, STEP_MS)
    elapsed_s = (times - times[0]) / 1000
    late_s = np.maximum(elapsed_s - 7_200, 0)
    labels, columns = [], []
    for service, route, rate in (({"service": "shop"}, "/a", 2.0), ({"service_name": 'pay"s'}, "/b", 1.0)):
        own = {**service, "route": route, "method": "GET"}
        failed = late_s * rate / 9 if route == "/a" else elapsed_s * 0
        for status, values in (("200", elapsed_s * rate), ("500", failed)):
            labels.append({"__name__": f"{H}_count", **own, "status": status})
            columns.append(values)
            for bound, share in BOUNDS.items():
                labels.append({"__name__": f"{H}_bucket", **own, "status": status, "le": bound})
                columns.append(values * share)
    labels.append({"__name__": "used"})
    columns.append(elapsed_s / 360)
    series = np.repeat(np.arange(len(labels), dtype=np.uint32), len(times))
    return BackendTwin(labels, SampleBatch(series, np.tile(times, len(labels)), np.concatenate(columns)))


def data(client: Any, path: str) -> Any:
    """The data of an answer."""
    answer = client.get(f"/api/v1/performance/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_services_have_their_requests_in_both_windows(serve) -> None:
    """Rate, errors, durations; the share of errors has moved; labels give services their names in order."""
    client = serve(backend())
    found = data(client, "services?over=1h")
    by_name = {one["service"]: one for one in found["services"]}
    assert set(by_name) == {"shop", 'pay"s'}
    now, before = by_name["shop"]["now"], by_name["shop"]["before"]
    assert (now["rate"], before["rate"]) == (pytest.approx(2.22, rel=0.02), pytest.approx(2, rel=0.02))
    assert (now["error_ratio"], before["error_ratio"]) == (pytest.approx(0.1, rel=0.02), 0)
    assert (now["p50"], now["p95"], now["open_ended"]) == (pytest.approx(0.1), 1.0, ["p95", "p99"])
    (move,) = [one for one in found["moves"] if one["route"] == "GET /a"]
    assert (move["what"], move["service"]) == ("error_ratio", "shop")
    assert data(client, "services?over=1h&against=week")["services"][0]["before"] is None


def test_one_service_has_its_routes_and_graphs(serve) -> None:
    """Whatever label names it; the expressions of its graphs have values."""
    client = serve(backend())
    found = data(client, "service?over=1h&service=pay%22s")
    assert [one["route"] for one in found["routes"]] == ["GET /b"]
    (requests,) = found["requests"]
    assert requests["now"]["rate"] == pytest.approx(1, rel=0.02)
    for name, series in (("rate", 1), ("errors", 1), ("durations", 3)):
        answer = client.get("/api/v1/query", params={"query": requests["graphs"][name]}).json()
        assert len(answer["data"]["result"]) == series, name
    assert data(client, "service?service=none")["requests"] == []
    for wrong in ("service", "service?service=x&over=2h", "services?against=never", "service?service=" + "x" * 201):
        assert client.get(f"/api/v1/performance/{wrong}").status_code == 400


def test_limits_have_forecasts_or_reasons(serve, more_facts) -> None:
    """Configured ones, and one that the request names; a fault of one expression leaves the others."""
    limits = (
        CapacityLimit("disk", "used", 100.0, "shop"),
        CapacityLimit("broken", "used{", 1.0),
        CapacityLimit("many", f"{H}_count", 1.0),
    )
    more_facts["performance"] = PerformanceSettings(limits=limits)
    client = serve(backend())
    found = {one["name"]: one for one in data(client, "capacity")["limits"]}
    assert found["disk"]["trend"]["state"] == "unknown"
    assert "hours with samples" in found["disk"]["trend"]["unknown"]
    assert found["broken"]["error"]
    assert "4 series" in found["many"]["error"]
    assert [one["name"] for one in data(client, "capacity?service=shop")["limits"]] == ["disk"]
    (asked,) = data(client, "capacity?query=used&limit_value=20")["limits"]
    assert asked["trend"]["state"] == "unknown"
    assert asked["trend"]["points"][-1][1] == pytest.approx(30, rel=0.05)
    assert client.get("/api/v1/performance/capacity?query=used").status_code == 400
    assert "at most 91 days" in data(client, "capacity?query=used&limit_value=1&since=1000d")["limits"][0]["error"]


def test_routes_over_the_limit_are_left_out_and_said(serve, more_facts) -> None:
    """The answer has a warning."""
    more_facts["performance"] = PerformanceSettings(routes_max=1)
    answer = serve(backend()).get("/api/v1/performance/services?over=1h").json()
    assert len({one["service"] for one in answer["data"]["services"]}) == 1
    assert answer["warnings"] == ["not all routes are shown (performance.routes_max)"]
