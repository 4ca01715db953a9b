"""Asks a daemon for what ``nissa status`` and ``nissa top`` show: status, alerts, rates of the last minute.

Rates come from the metrics that Nissa stores of itself, by PromQL, as on the pages; without them
(``telemetry.interval: 0``) they are unknown.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from nissa.cli.daemon_request import ask_daemon
from nissa.model.errors import BadQuery, Unavailable

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
# The codecs whose records are events; a packet that holds both counts as samples.
EVENT_SOURCES: Final = ".*/(leyline_event|nissa_event|nissa_alert|otlp_logs|otlp_logs_json|fes_event|event_json)"
RECEIVED: Final = "sum by (source) (rate(nissa_ingest_received_total[1m]))"
REFUSED: Final = "sort_desc(60 * sum by (reason) (rate(nissa_ingest_refused_total[1m])) > 0)"
SHED: Final = "60 * sum(rate(nissa_shed_frames_total[1m]))"
LATENCY: Final = "histogram_quantile(0.99, sum by (le) (rate(nissa_ingest_latency_seconds_bucket[1m])))"


class Figures(msgspec.Struct, frozen=True):
    """status: JSON of ``/api/status``. alerts: active ones.

    received_per_second: by source; empty where not known. refused_per_minute: by reason. latency_seconds: the 99th
    percentile from the last byte of a request to its answer; None: no request in the last minute. asked: whether the
    daemon answers queries; it does not while it recovers.
    """

    status: Mapping[str, Any]
    alerts: list[dict[str, Any]] = []
    received_per_second: dict[str, float] = {}
    refused_per_minute: dict[str, float] = {}
    latency_seconds: float | None = None
    asked: bool = False

    @property
    def samples_per_second(self) -> float | None:
        """Of all sources of samples; None where not known."""
        return self._sum(events=False)

    @property
    def events_per_second(self) -> float | None:
        """Of all sources of events; None where not known."""
        return self._sum(events=True)

    def _sum(self, *, events: bool) -> float | None:
        if not self.received_per_second:
            return None
        names = EVENT_SOURCES.partition("/")[2].strip("()").split("|")
        rates = self.received_per_second.items()
        return sum(rate for source, rate in rates if (source.rpartition("/")[2] in names) is events)


def ask_figures(api: str) -> Figures:
    """All figures of the daemon at ``api``. Raises: Unavailable where it is not reached, BadQuery for an address."""
    status: dict[str, Any] = _ask(api, "/api/status")
    if status.get("mode") == "recovering":
        return Figures(status)
    latency = _query(api, LATENCY, "").get("")
    refused = _query(api, REFUSED, "reason")
    shed = _query(api, SHED, "").get("")
    return Figures(
        status,
        _ask(api, "/api/v1/alerts")["data"]["alerts"],
        _query(api, RECEIVED, "source"),
        {**refused, "shed (frames)": shed} if shed else refused,
        latency if latency is not None and latency == latency else None,
        asked=True,
    )


def _query(api: str, expression: str, label: str) -> dict[str, float]:
    """Values of an instant query by a label; nothing where the daemon refuses queries for now."""
    try:
        found = _ask(api, "/api/v1/query", {"query": expression})["data"]["result"]
    except (BadQuery, Unavailable):
        return {}
    return {one["metric"].get(label, ""): float(one["value"][1]) for one in found}


def _ask(api: str, path: str, form: dict[str, str] | None = None) -> Any:
    try:
        return orjson.loads(ask_daemon(api, path, form, TIMEOUT_S, ANSWER_BYTES_MAX))
    except orjson.JSONDecodeError as error:
        raise Unavailable(f"{api}{path} gives no JSON: is this the API of Nissa?") from error
