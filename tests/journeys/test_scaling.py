"""Several Nissas together: partitions of Kafka over rebalances and kills, and one Prometheus that reads from two."""

import contextlib
import json
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from journeys.kafka_server import KafkaServer
from journeys.rig import Daemon, Ledger, connect, post, running
from journeys.test_sinks import wait_for

from oracle.ports import free_port

PARTITIONS = 6
MESSAGES = 300
READERS = """
remote_read:
  - {{url: "{0}/api/v1/read", read_recent: true}}
  - {{url: "{1}/api/v1/read", read_recent: true}}
"""


@pytest.mark.slow
def test_partitions_are_shared_over_rebalances_and_kills(tmp_path: Path) -> None:
    """Processes come, are killed and stop while messages arrive: nothing is lost, accounts add up."""
    kafka = KafkaServer(tmp_path / "kafka")
    ledger = Ledger(51)
    kafka.make("shared", PARTITIONS)
    source = f'brokers: ["{kafka.address}"], topics: [shared], session_timeout: 6s, batch_messages_max: 20'
    (tmp_path / "nissa.yaml").write_text(f"sources:\n  kafka: {{{source}}}\n")
    producer = Producer({"bootstrap.servers": kafka.address, "log_level": 0})

    def produce(count: int) -> None:
        for _ in range(count):
            claim = ledger.claim()
            producer.produce("shared", ledger.body(claim), key=str(claim % 97), headers=HEADERS)
            ledger.oblige(claim)
        producer.flush(30)

    def produce_until_read(daemon: Daemon) -> None:
        def is_reading() -> bool:
            produce(20)
            return messages(daemon) > 0

        wait_for(is_reading)

    def start(name: str) -> Daemon:
        return Daemon(tmp_path / name, "--config", str(tmp_path / "nissa.yaml"))

    daemons = {"a": start("a")}
    try:
        produce(MESSAGES)
        wait_for(lambda: messages(daemons["a"]) > 20)
        daemons["b"] = start("b")  # a rebalance under load
        produce_until_read(daemons["b"])
        daemons["a"].kill()
        daemons["c"] = start("c")
        produce_until_read(daemons["c"])
        assert daemons["b"].stop() == 0  # a rolling restart
        daemons["a"], daemons["b"] = start("a"), start("b")
        owed = {(labels, ts_ms) for claim in ledger.acknowledged for labels, ts_ms, _ in ledger.samples(claim)}
        wait_for(lambda: len(union(daemons)) == len(owed))
        found = union(daemons)
        assert found.keys() == owed
        for claim in sorted(ledger.acknowledged):
            for labels, ts_ms, value in ledger.samples(claim):
                assert found[labels, ts_ms] == {struct.unpack("<Q", struct.pack("<d", value))[0]}
        assert not any(count for daemon in daemons.values() for count in daemon.unaccounted().values())
        stored = sum(daemon.get("/api/v1/accounting")["data"]["total"]["stored"] for daemon in daemons.values())
        copies = sum(len(rows) for daemon in daemons.values() for rows in daemon.export().values())
        print(f"{len(owed)} samples, {copies - len(owed)} in two directories, {stored} stored in all")
    finally:
        for daemon in daemons.values():
            if daemon.process.poll() is None:
                daemon.kill()
        kafka.server.kill()


HEADERS = [("content-type", b"application/x-protobuf"), ("content-encoding", b"snappy")]


def messages(daemon: Daemon) -> int:
    """Messages that a daemon has read."""
    return int(daemon.get("/api/status")["sources"]["kafka"]["messages"])


def union(daemons: dict[str, Daemon]) -> dict[tuple[tuple[tuple[str, str], ...], int], set[int]]:
    """(labels, time) -> bits of what is in any of the directories."""
    found: dict[tuple[tuple[tuple[str, str], ...], int], set[int]] = {}
    for daemon in daemons.values():
        for labels, rows in daemon.export().items():
            for ts_ms, bits in rows.items():
                found.setdefault((labels, ts_ms), set()).add(bits)
    return found


@contextlib.contextmanager
def prometheus(directory: Path, configuration: str) -> Iterator[str]:
    """A Prometheus that scrapes nothing; its address."""
    directory.mkdir()
    (directory / "prometheus.yml").write_text(configuration)
    port = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]
    process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=directory)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: ask(url, "/-/ready") is not None)
        yield url
    finally:
        process.kill()
        process.wait()


def ask(url: str, path: str) -> bytes | None:
    """The body of a GET; None while nobody answers."""
    with contextlib.suppress(OSError), contextlib.closing(connect(url)) as link:
        link.request("GET", path)
        answer = link.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None
    return None


@pytest.mark.long
@pytest.mark.needs_debian("prometheus")
def test_one_prometheus_reads_from_two(tmp_path: Path) -> None:
    """Debian's Prometheus over two Nissas by remote read: series of both, and one answer where both have them."""
    ledger = Ledger(52)
    with running(tmp_path / "a") as a, running(tmp_path / "b") as b:
        links = [connect(daemon.ingest_url) for daemon in (a, b)]
        for number in range(60):  # a third to one, a third to the other, a third to both, as an HA pair does
            claim = ledger.claim()
            for place, link in enumerate(links):
                if number % 3 in (place, 2):
                    assert post(link, ledger.body(claim)) == 204
            ledger.oblige(claim)
        time.sleep(1)
        with prometheus(tmp_path / "prometheus", READERS.format(a.api_url, b.api_url)) as url:
            question = "/api/v1/query?query=count(last_over_time(ledger_value%5B1h%5D))"
            found = json.loads(ask(url, question) or b"{}")["data"]["result"]
            expected = {labels for claim in ledger.acknowledged for labels, _, _ in ledger.samples(claim)}
            assert int(found[0]["value"][1]) == len(expected)
            question = "/api/v1/query?query=sum(count_over_time(ledger_value%5B1h%5D))"
            found = json.loads(ask(url, question) or b"{}")["data"]["result"]
            owed = {(labels, ts_ms) for claim in ledger.acknowledged for labels, ts_ms, _ in ledger.samples(claim)}
            assert int(found[0]["value"][1]) == len(owed)
        assert a.stop() == b.stop() == 0
