"""How soon a receiver hears of an alert: from its post to Nissa until the webhook has the notification.

    python -m bench.notifications [--alerts 10000] [--names 100] [--new 500] [--pause 20]

So many alerts of so many names fire first, a group for each name, and stay. Then new ones are posted one after the
other, each with a name of its own and so in a group of its own, with ``group_wait: 0s``. Printed: milliseconds from
the begin of the post to the arrival at the webhook, and until the post was answered (the alert is stored then), at the
median, the 99th percentile and the longest; CPU milliseconds of Nissa for each. Every alert must arrive, and once.
"""

import argparse
import json
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.servers import Server, start_nissa
from bench.usage import usage_of

PER_POST = 1_000
TIMEOUT_S = 120.0
ROUTES = """
global: {{resolve_timeout: 1h}}
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", max_alerts: 10}}]}}]
"""


class Webhook:
    """A receiver that notes when it heard of each name. arrived: seconds on the monotonic clock, in order."""

    def __init__(self) -> None:
        self.arrived: dict[str, list[float]] = {}
        self.came = threading.Condition()
        hook = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with hook.came:
                    hook.arrived.setdefault(body["groupLabels"]["alertname"], []).append(time.perf_counter())
                    hook.came.notify()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, names: int) -> None:
        """Until so many names have arrived."""
        with self.came:
            if not self.came.wait_for(lambda: len(self.arrived) >= names, TIMEOUT_S):
                raise RuntimeError(f"{len(self.arrived)} of {names} names arrived")


def post(link: HTTPConnection, labels: list[dict[str, str]]) -> None:
    """Post alerts that fire."""
    body = json.dumps([{"labels": one, "annotations": {"summary": "bench"}} for one in labels])
    link.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
    answer = link.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {text[:300]!r}")


def wait_open(server: Server) -> None:
    """Until alerts are routed: the database opens after the daemon is ready."""
    for _ in range(int(TIMEOUT_S / 0.05)):
        try:
            with urllib.request.urlopen(f"{server.api_url}/api/v2/status", timeout=10):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("routing does not open")


def row(title: str, seconds: list[float]) -> str:
    """Milliseconds at the median, the 99th percentile and the longest."""
    every = sorted(seconds)
    shares = (every[len(every) // 2], every[min(int(0.99 * len(every)), len(every) - 1)], every[-1])
    return f"{title:24} p50 {shares[0] * 1000:6.1f} ms  p99 {shares[1] * 1000:6.1f} ms  max {shares[2] * 1000:6.1f} ms"


def measure(options: argparse.Namespace) -> None:
    """Fill, post one by one, print."""
    hook = Webhook()
    settings = {"api.rate_limits.loopback.control_per_minute": "0"}
    with tempfile.TemporaryDirectory(prefix="bench-notifications-") as folder:
        routes = Path(folder) / "alertmanager.yml"
        routes.write_text(ROUTES.format(url=hook.url))
        server = start_nissa(Path(folder) / "data", settings | {"alerting.config_file": str(routes)})
        try:
            wait_open(server)
            link = HTTPConnection(urlsplit(server.api_url).netloc, timeout=TIMEOUT_S)
            begun = time.perf_counter()
            for first in range(0, options.alerts, PER_POST):
                numbers = range(first, min(first + PER_POST, options.alerts))
                labels = [{"alertname": f"old-{one % options.names}", "instance": f"host-{one}"} for one in numbers]
                post(link, labels)
            hook.wait(min(options.names, options.alerts))
            print(f"{options.alerts:,} alerts, first notifications within {time.perf_counter() - begun:.2f} s")
            time.sleep(2)
            before_s = usage_of(server.process.pid).cpu_s
            posted, answered = {}, []
            for number in range(options.new):
                name = f"new-{number}"
                posted[name] = time.perf_counter()
                post(link, [{"alertname": name, "instance": "host"}])
                answered.append(time.perf_counter() - posted[name])
                time.sleep(options.pause / 1000)
            hook.wait(min(options.names, options.alerts) + options.new)
            cpu_ms = (usage_of(server.process.pid).cpu_s - before_s) / options.new * 1000
        finally:
            server.kill()
    counts = Counter(len(hook.arrived[name]) for name in posted)
    if counts != {1: options.new}:
        raise RuntimeError(f"notifications by how often they came: {dict(counts)}")
    print(row("post to webhook", [hook.arrived[name][0] - at for name, at in posted.items()]))
    print(row("post to answer (stored)", answered))
    print(f"{cpu_ms:.1f} cpu-ms for each")


def main() -> None:
    """Read options, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--names", type=int, default=100)
    parser.add_argument("--new", type=int, default=500)
    parser.add_argument("--pause", type=float, default=20.0, help="milliseconds between two posts")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
