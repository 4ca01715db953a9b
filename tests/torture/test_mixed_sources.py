"""A-01 with all kinds of sources at once: kill -9 of the daemon again and again; each source has its own ledger.

Redis ──► oona.telemetry ──┐                         packets: each of them once, bit for bit
nats-server ──► JetStream ─┤                         packets: each of them once, bit for bit
remote write ──────────────┼──► nissa-ingest ✗ ✗ ✗   what was acknowledged, and nothing that was not sent
OTLP, Influx lines ────────┤                         what was acknowledged, and nothing that was not sent
a page ◄── scrape ─────────┘                         values that the page had, in their order
"""

import http.client
import os
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from journeys.brokers import BusLedger, NatsServer, RedisServer, from_nats, oona
from journeys.rig import BUSY, Daemon, Export, Ledger, Senders, connect, running
from journeys.test_nats import Producer as NatsProducer
from journeys.test_oona import Producer as OonaProducer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from torture.amount import amount, told

from oracle.scrape_target import Target, scrape_target

pytestmark = [pytest.mark.slow, pytest.mark.needs_debian("redis-server"), pytest.mark.needs_debian("nats-server")]

STREAM = "ESPER"
SERIES = 7  # of each pushed kind
SOURCES = ("oona/", "nats/", "scrape/", "http/influx", "http/otlp_metrics", "http/remote_write_1")


class Few(BusLedger):
    """Packets of a source, two whenever a producer asks for some: the other senders want the processor too."""

    def __init__(self, seed: int, source: str) -> None:
        super().__init__(seed)
        self._source = source

    def packet(self, number: int, source: str = "") -> object:
        """The TelemetryPacket of a number."""
        return super().packet(number, source or self._source)

    def messages(self, count: int) -> list[bytes]:
        """The next bus envelopes, ``count`` at most."""
        return super().messages(min(count, 2))


class Pushed:
    """Requests of one kind, a sample each, sent by a thread that goes on with the next daemon after a kill."""

    def __init__(self, name: str, path: str, content_type: str, body: Callable[[int, int], bytes]) -> None:
        """name: of the metric. body: request for a claim at a time, Unix milliseconds."""
        self.url = ""
        self.acknowledged: set[int] = set()
        self.name = name
        self._path, self._content_type, self._body = path, content_type, body
        self._base_ms = int(time.time() * 1000) - 600_000
        self._sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self._send_on(connect(self.url))
            except (OSError, http.client.HTTPException):
                continue

    def _send_on(self, link: http.client.HTTPConnection) -> None:
        while not self._stop.is_set():
            self._sent += 1
            claim = self._sent
            body = self._body(claim, self._base_ms + claim)
            link.request("POST", self._path, body, {"Content-Type": self._content_type})
            reply = link.getresponse()
            reply.read()
            if reply.status in (200, 204):
                self.acknowledged.add(claim)

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()
        self._thread.join()

    def check(self, found: Export) -> None:
        """Acknowledged samples are there bit for bit, and no others."""
        got = {(dict(labels)["claim"], ts): bits for labels, series in found.items() for ts, bits in series.items()}
        sent = {(str(one % SERIES), self._base_ms + one): _bits(one / 3) for one in range(1, self._sent + 1)}
        owed = {(str(one % SERIES), self._base_ms + one) for one in self.acknowledged}
        assert owed <= got.keys(), f"{self.name}: lost {len(owed - got.keys())} of {len(owed)}"
        assert got.items() <= sent.items(), f"{self.name}: invented or altered"


def _bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def an_influx_line(claim: int, ts_ms: int) -> bytes:
    """One line with one field."""
    return b"mixed_influx,claim=%d value=%r %d" % (claim % SERIES, claim / 3, ts_ms)


def an_otlp_request(claim: int, ts_ms: int) -> bytes:
    """One gauge with one point."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="mixed_otlp")
    point = metric.gauge.data_points.add(time_unix_nano=ts_ms * 1_000_000, as_double=claim / 3)
    point.attributes.add(key="claim").value.string_value = str(claim % SERIES)
    return bytes(request.SerializeToString())


class Page:
    """A page whose value rises, and all values that it had."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.value = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.value += 1
            self._target.pages["/metrics"] = b"mixed_scraped %d\n" % self.value

    def stop(self) -> None:
        """Change nothing more."""
        self._stop.set()
        self._thread.join()

    def check(self, found: Export) -> int:
        """Values are those of the page and rise with time. Returns: how many there are."""
        (series,) = found.values()
        values = [struct.unpack("<d", struct.pack("<Q", bits))[0] for _, bits in sorted(series.items())]
        values = [value for value in values if value == value]
        assert values == sorted(values)
        assert all(value == int(value) and 0 < value <= self.value for value in values)
        return len(values)


@contextmanager
def started(directory: Path, environment: dict[str, str], pushed: list[Pushed]) -> Iterator[Daemon]:
    """A daemon that all senders send to."""
    with running(directory, environment=environment) as daemon:
        for one in pushed:
            one.url = daemon.ingest_url
        yield daemon


@pytest.mark.timeout(0)
def test_kills_with_all_kinds_of_sources(tmp_path: Path) -> None:
    """Whenever the daemon dies, each source has exactly what it owes in the end, and every account balances."""
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    kills = amount("NISSA_TORTURE_MIXED_KILLS", quick=2, full=300)
    draw, ledger, on_redis, on_nats = random.Random(seed), Ledger(seed), Few(seed, "tolaria"), Few(seed + 1, "kasmina")
    with ExitStack() as stack:
        redis, nats = RedisServer(tmp_path / "redis"), NatsServer(tmp_path / "nats")
        stack.callback(redis.kill)
        stack.callback(nats.kill)
        nats.make_stream(STREAM, "esper.>")
        target = stack.enter_context(scrape_target())
        path = tmp_path / "prometheus.yml"
        path.write_text(
            "global: {scrape_interval: 200ms}\n"
            f"scrape_configs: [{{job_name: mixed, static_configs: [{{targets: ['{target.address}']}}]}}]\n"
        )
        environment = {**oona(redis.url), **from_nats(nats.url, stream=STREAM), **BUSY}
        environment |= {"NISSA_SOURCES__SCRAPE__CONFIG_FILE": str(path)}
        pushed = [
            Pushed("mixed_influx_value", "/write?precision=ms", "text/plain", an_influx_line),
            Pushed("mixed_otlp", "/v1/metrics", "application/x-protobuf", an_otlp_request),
        ]
        page, producers = Page(target), [OonaProducer(redis, on_redis), NatsProducer(nats, on_nats)]
        sending = [*pushed, page, *producers]
        try:
            for _ in range(kills):
                with started(tmp_path / "data", environment, pushed) as daemon:
                    senders = Senders(daemon, ledger)
                    time.sleep(draw.uniform(0.2, 1.0))
                    daemon.kill()
                    senders.stop()
            with started(tmp_path / "data", environment, pushed) as daemon:
                for producer in producers:
                    producer.stop()
                senders = Senders(daemon, ledger)
                senders.wait()
                for one in pushed:
                    _until(lambda one=one: one.acknowledged, f"an acknowledged request of {one.name}")  # type: ignore[misc]
                _until(lambda: daemon.export("mixed_scraped"), "a scrape")
                senders.stop()
                for each in sending:
                    each.stop()
                sending = []
                redis.wait_read("oona.telemetry")
                nats.wait_read(STREAM)
                ledger.check(daemon.export('{__name__="ledger_value"}'))
                on_redis.check(daemon.export('{job="ledger",source="tolaria"}'))
                on_nats.check(daemon.export('{job="ledger",source="kasmina"}'))
                for one in pushed:
                    one.check(daemon.export(one.name))
                scraped = page.check(daemon.export("mixed_scraped"))
                _until(lambda: not any(daemon.unaccounted().values()), "balanced accounts")
                received = daemon.get("/api/v1/accounting")["data"]["sources"]
                for name in SOURCES:
                    assert any(one.startswith(name) and received[one]["stored"] for one in received), (
                        name,
                        [*received],
                    )
                assert daemon.stop() == 0
        finally:
            for each in sending:
                each.stop()
    told(
        "A-01 mixed",
        f"seed {seed}, kills {kills}: remote write {len(ledger.acknowledged)} requests, packets on Redis "
        f"{on_redis.count}, on JetStream {on_nats.count}, Influx {len(pushed[0].acknowledged)}, OTLP "
        f"{len(pushed[1].acknowledged)}, scrapes {scraped}: lost 0, altered 0, invented 0; unaccounted 0",
    )


def _until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
