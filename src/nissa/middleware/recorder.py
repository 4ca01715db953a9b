"""Counts requests in an application, and sends the counts to Nissa from a thread of its own.

    request ──► count, sum, buckets by (method, route, status)  ──every 10 s──►  POST /api/telemetry
            └─► log line where it failed or was slow            ──┘               kept, and sent again, where it fails

Counts are cumulative, so one delivery that fails loses nothing: the next has it. They begin with a 0 of their own, as
``rate`` sees no increase in the first sample of a series, and the first failure would not count. Each process has
series of its own, by the label ``instance``: counts of several workers must not be mixed. Lines wait, at most
``LINES_MAX`` of them; new ones are dropped, and counted, while there are more. Routes are bounded too: further ones
count as ``other``. So do methods that HTTP does not have: anybody may send any, and they must not take the places of
routes. The standard library alone is needed.
"""

import json
import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from collections import deque
from typing import Any, Final

from nissa.service.clock import wall_ms

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KEYS_MAX: Final = 1_000
LINES_MAX: Final = 10_000
LINES_AT_ONCE: Final = 500
METRICS_AT_ONCE: Final = 2_000  # well below the 1MiB of bronze.telemetry_size_max, also with long routes
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
FAILURE_CHARACTERS_MAX: Final = 300
TIMEOUT_S: Final = 10.0
FAILED: Final = 500
OTHER: Final = "other"

Key = tuple[str, str, str]  # method, route, status
log = logging.getLogger(__name__)


def written_failure(error: BaseException) -> str:
    """An exception as a line of the log has it: its class and its text, cut to ``FAILURE_CHARACTERS_MAX``."""
    return f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS_MAX]


class RequestRecorder:
    """Requests of one application. Safe from any thread."""

    def __init__(
        self,
        service: str,
        url: str = "http://127.0.0.1:9471",
        *,
        token: str = "",
        slow_s: float = 1.0,
        every_s: float = 10.0,
        instance: str = "",
    ) -> None:
        """service: its name. url: of Nissa's API. token: of the API, where it needs one. slow_s: duration from which on
        a request is logged. every_s: between deliveries. instance: label that tells processes of a service apart;
        empty: ``HOST:PID``. Raises: ValueError for an address that is not of HTTP.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"expected http:// or https://, got {url[:40]!r}")
        self._service, self._url, self._token = service, url.rstrip("/"), token
        self._slow_s, self._every_s, self._instance = slow_s, every_s, instance
        self._lock = threading.Lock()
        self._counts: dict[Key, list[float]] = {}  # count, sum, buckets
        self._begun: set[Key] = set()  # those whose 0 was taken
        self._lines: deque[dict[str, Any]] = deque()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = self.failures = 0

    def record(
        self, method: str, route: str, status: int, duration_s: float, trace: str = "", failure: str = ""
    ) -> None:
        """Count a request. route: its template, such as ``/orders/{id}``. trace: its header ``traceparent``. failure:
        the exception that the application raised, as ``written_failure`` gives it.
        """
        key = (method if method in METHODS else OTHER, route, str(status))
        with self._lock:
            if key not in self._counts and len(self._counts) >= KEYS_MAX:
                key = (OTHER, OTHER, str(status))
            numbers = self._counts.setdefault(key, [0.0, 0.0, *(0.0 for _ in BUCKETS_S)])
            numbers[0] += 1
            numbers[1] += duration_s
            for place, bound in enumerate(BUCKETS_S, 2):
                numbers[place] += duration_s <= bound
            if status >= FAILED or duration_s > self._slow_s:
                self._add_line(key, status, duration_s, trace, failure)
            if self._thread is None and not self._stopped.is_set():  # not before the first request: servers fork
                self._thread = threading.Thread(target=self._run, name="nissa-recorder", daemon=True)
                self._thread.start()

    def flush(self) -> bool:
        """Send what is there now; False where Nissa did not take it, and it is kept."""
        with self._lock:
            counts = {key: list(numbers) for key, numbers in self._counts.items()}
            lines = [self._lines[place] for place in range(min(len(self._lines), LINES_AT_ONCE))]
        fresh = [key for key in counts if key not in self._begun]
        zeros = [metric for key in fresh for metric in self._metrics(key, [0.0] * len(counts[key]))]
        if not self._deliver(zeros, lines):
            return False
        self._begun.update(fresh)
        metrics = [metric for key, numbers in counts.items() for metric in self._metrics(key, numbers)]
        return self._deliver(metrics, [] if zeros else lines)

    def close(self) -> None:
        """Send once more, and end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.flush()

    def _deliver(self, metrics: list[dict[str, Any]], lines: list[dict[str, Any]]) -> bool:
        """Send metrics in parts, and lines, which are removed, with the first."""
        for place in range(0, len(metrics), METRICS_AT_ONCE):  # there is a count wherever there is a line
            part = metrics[place : place + METRICS_AT_ONCE]
            if not self._post({"service_id": self._service, "metrics": part, "logs": [] if place else lines}):
                return False
            with self._lock:
                for _ in () if place else lines:
                    self._lines.popleft()
        return True

    def _add_line(self, key: Key, status: int, duration_s: float, trace: str, failure: str) -> None:
        if len(self._lines) >= LINES_MAX:
            self.dropped += 1
            return
        method, route, _ = key
        self._lines.append(
            {
                "message": f"{method} {route} {status}" + (f": {failure}" if failure else ""),
                "level": "ERROR" if status >= FAILED else "WARN",
                "context": {"method": method, "route": route, "status": status},
                "duration_ms": duration_s * 1000,
                "trace_id": trace,
                "timestamp_ms": wall_ms(),
            }
        )

    def _metrics(self, key: Key, numbers: list[float]) -> list[dict[str, Any]]:
        instance = self._instance or f"{socket.gethostname()}:{os.getpid()}"  # not before a server has forked
        tags = {**dict(zip(("method", "route", "status"), key, strict=True)), "instance": instance}
        name = "http_request_duration_seconds"
        bounds = (*map(str, BUCKETS_S), "+Inf")
        found = [{"name": f"{name}_count", "tags": tags, "value": numbers[0]}]
        found.append({"name": f"{name}_sum", "tags": tags, "value": numbers[1]})
        for bound, value in zip(bounds, (*numbers[2:], numbers[0]), strict=True):
            found.append({"name": f"{name}_bucket", "tags": {**tags, "le": bound}, "value": value})
        return found

    def _post(self, body: dict[str, Any]) -> bool:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/api/telemetry", data, headers)  # noqa: S310 - checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - checked
                return True
        except (OSError, ValueError) as error:  # HTTPError is an OSError
            self.failures += 1
            log.warning("telemetry is not taken; it is sent again: %s", error)
            return False
