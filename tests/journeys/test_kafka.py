"""A real Kafka as a sink: samples by series in order, events by source, over its outages and Nissa's."""

import json
import random
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cramjam
import pytest
from confluent_kafka import Producer
from journeys.kafka_server import PASSWORD, USER, KafkaServer
from journeys.rig import Daemon, running
from journeys.test_search_servers import send as send_logs
from journeys.test_sinks import Sender, balance, is_done, nissa_command, wait_for

from nissa._proto.remote_write_v2_pb2 import Request
from nissa._proto.telemetry_pb2 import TelemetryPacket

PARTITIONS = 3
CONFIG = """
safeguards: {{breakers: {{timeout: 500ms}}}}
sinks:
  queue: {{type: kafka, brokers: ["{address}"], linger: 20ms, timeout: 2s, batch_samples_max: 50, shards: 7}}
  documents:
    type: kafka
    brokers: ["{address}"]
    samples_topic: ""
    events_topic: json
    event_format: json
    compression: none
"""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker for all tests of this file."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "server")
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.server.kill()


def samples_in(kafka: KafkaServer, topic: str, name: str) -> dict[tuple[str, int], float]:
    """(label i, ts_ms) -> value of a metric, as consumers read it; each series is in one partition, in order."""
    found: dict[tuple[str, int], float] = {}
    homes: dict[str, set[int]] = {}
    newest: dict[str, int] = {}
    for message in kafka.messages(topic, PARTITIONS):
        headers = dict(message.headers())
        assert headers["content-encoding"] == b"snappy"
        request = Request.FromString(bytes(cramjam.snappy.decompress_raw(message.value())))
        for series in request.timeseries:
            words = [request.symbols[ref] for ref in series.labels_refs]
            labels = dict(zip(words[::2], words[1::2], strict=True))
            if labels["__name__"] != name:
                continue
            homes.setdefault(labels["i"], set()).add(message.partition())
            for sample in series.samples:
                key = labels["i"], sample.timestamp
                assert key in found or sample.timestamp > newest.get(labels["i"], 0)
                newest[labels["i"]] = max(sample.timestamp, newest.get(labels["i"], 0))
                found[key] = sample.value
    assert all(len(places) == 1 for places in homes.values())
    return found


def events_in(kafka: KafkaServer, topic: str) -> dict[tuple[str, str], Any]:
    """(packet, description) -> event of the shop."""
    found = {}
    for message in kafka.messages(topic, PARTITIONS):
        packet = TelemetryPacket.FromString(message.value())
        assert message.key() == packet.source.encode()
        if packet.source == "shop":
            found |= {(packet.packet_id, event.description): event for event in packet.events}
    return found


@pytest.mark.slow
def test_kafka_gets_everything(tmp_path: Path, kafka: KafkaServer) -> None:
    """Broker and Nissa are killed: consumers get every sample and event in order, except those that are too large."""
    for topic in ("nissa.samples", "nissa.events", "json"):
        kafka.make(topic, PARTITIONS, **{"max.message.bytes": "20000"} if topic == "json" else {})
    sender = Sender("journey", int(time.time() * 1000) - 60_000)
    texts = [f"event {number}" for number in range(360)]  # 120 of them in one batch are more than the topic takes
    config = tmp_path / "nissa.yaml"
    config.write_text(CONFIG.format(address=kafka.address))
    arguments = ("--config", str(config))
    with running(tmp_path / "data", *arguments) as nissa:
        sender.send(nissa, 20)
        send_logs(nissa, texts[:120])
        wait_for(lambda: is_done(nissa, "queue"))
        kafka.server.kill()
        sender.send(nissa, 10)
        send_logs(nissa, texts[120:240])
        wait_for(lambda: nissa.get("/api/status")["sinks"]["queue"]["state"] == "failing")
        nissa.kill()
    with running(tmp_path / "data", *arguments) as nissa:
        sender.send(nissa, 10)
        send_logs(nissa, texts[240:])
        kafka.start()
        send_logs(nissa, ["too large"], random.Random(1).randbytes(20_000).hex())
        wait_for(lambda: is_done(nissa, "queue") and is_done(nissa, "documents"))
        counts = balance(nissa, "queue")
        assert (counts["dead"], counts["lost_frames"], counts["unaccounted"]) == (0, 0, 0)
        assert balance(nissa, "documents")["dead"] == 1
        assert "MSG_SIZE_TOO_LARGE" in nissa_command(nissa, "dead-letters", "list", "documents")
        assert samples_in(kafka, "nissa.samples", "journey") == sender.rows
        events = events_in(kafka, "nissa.events")
        assert sorted(text for _, text in events) == sorted([*texts, "too large"])
        documents = [json.loads(message.value()) for message in kafka.messages("json", PARTITIONS)]
        assert {one["description"] for one in documents if one["source"] == "shop"} == set(texts)
        assert nissa.stop() == 0


@pytest.mark.slow
def test_nissas_share_what_another_received(tmp_path: Path, kafka: KafkaServer) -> None:
    """A daemon sends to Kafka, another reads, is killed and goes on: every record once; unreadable ones are skipped."""
    for topic in ("s", "e"):
        kafka.make(topic, PARTITIONS)
    sink = f'type: kafka, brokers: ["{kafka.address}"], samples_topic: s, events_topic: e, linger: 20ms'
    sink += ", batch_samples_max: 30"
    (tmp_path / "out.yaml").write_text(f"sinks:\n  queue: {{{sink}}}\ntelemetry: {{interval: 0}}\n")
    source = f'brokers: ["{kafka.address}"], topics: [s, e], session_timeout: 6s, batch_messages_max: 5'
    (tmp_path / "in.yaml").write_text(f"sources:\n  kafka: {{{source}}}\n")
    sender = Sender("shared", int(time.time() * 1000) - 60_000)
    producer = Producer({"bootstrap.servers": kafka.address, "log_level": 0})
    producer.produce("s", b"no snappy")
    producer.flush(30)
    with running(tmp_path / "out", "--config", str(tmp_path / "out.yaml")) as out:
        with running(tmp_path / "in", "--config", str(tmp_path / "in.yaml")) as into:
            sender.send(out, 20)
            send_logs(out, [f"event {number}" for number in range(20)])
            wait_for(lambda: into.get("/api/status")["sources"]["kafka"]["messages"] > 10)
            into.kill()
        sender.send(out, 10)
        with running(tmp_path / "in", "--config", str(tmp_path / "in.yaml")) as into:
            wait_for(lambda: stored(into, "shared") == sender.rows)
            wait_for(lambda: len(events(into)) == 20)
            assert {one["description"] for one in events(into)} == {f"event {number}" for number in range(20)}
            assert not any(into.unaccounted().values())
            assert into.stop() == 0
        assert out.stop() == 0


@pytest.mark.slow
def test_kafka_over_tls_with_a_password(tmp_path: Path, kafka: KafkaServer) -> None:
    """By PLAIN and SCRAM, in both directions; a wrong password or certificate is reported, and harms nothing else."""
    for topic in ("plain", "scram"):
        kafka.make(topic, PARTITIONS)
    for name, password in {"right": PASSWORD, "changed": "wrong"}.items():
        (tmp_path / name).write_text(password + "\n")
    sinks = {
        "plain": sink_of(kafka, "plain", tmp_path / "right", ca_file=str(kafka.certificate)),
        "scram": sink_of(kafka, "scram", tmp_path / "changed", "SCRAM-SHA-256", ca_file=str(kafka.certificate)),
        "untrusted": sink_of(kafka, "plain", tmp_path / "right"),
    }
    (tmp_path / "out.json").write_text(json.dumps({"sinks": sinks, "telemetry": {"interval": 0}}))
    source = {"brokers": [kafka.secured], "topics": ["plain"], "username": USER, "tls_enabled": True}
    source |= {"password_file": str(tmp_path / "changed"), "ca_file": str(kafka.certificate), "timeout": "2s"}
    (tmp_path / "in.json").write_text(json.dumps({"sources": {"kafka": source}}))
    sender = Sender("secret", int(time.time() * 1000) - 60_000)
    with (
        running(tmp_path / "out", "--config", str(tmp_path / "out.json")) as out,
        running(tmp_path / "in", "--config", str(tmp_path / "in.json")) as into,
    ):
        sender.send(out, 20)
        wait_for(lambda: is_done(out, "plain"))
        wait_for(lambda: states(out) == {"plain": "up", "scram": "blocked", "untrusted": "blocked"})
        errors = {name: str(facts["error"]) for name, facts in out.get("/api/status")["sinks"].items()}
        assert "invalid credentials" in errors["scram"]
        assert "(sinks.scram.basic_auth)" in errors["scram"]
        assert "certificate verify failed" in errors["untrusted"]
        assert "(sinks.untrusted.tls)" in errors["untrusted"]
        wait_for(lambda: "(sources.kafka.username)" in str(into.get("/api/status")["sources"]["kafka"]["error"]))

        (tmp_path / "changed").write_text(PASSWORD)
        nissa_command(out, "sinks", "resume", "scram")
        wait_for(lambda: is_done(out, "scram"))
        assert samples_in(kafka, "plain", "secret") == samples_in(kafka, "scram", "secret") == sender.rows
        wait_for(lambda: stored(into, "secret") == sender.rows)
        assert into.stop() == out.stop() == 0


def sink_of(
    kafka: KafkaServer, topic: str, password_file: Path, mechanism: str = "PLAIN", **tls: str
) -> dict[str, object]:
    """Settings of a sink for samples."""
    found = {"type": "kafka", "brokers": [kafka.secured], "samples_topic": topic, "events_topic": "", "linger": "20ms"}
    return found | {
        "sasl_mechanism": mechanism,
        "basic_auth": {"username": USER, "password_file": str(password_file)},
        "tls_enabled": True,
        "tls": tls,
    }


def states(nissa: Daemon) -> dict[str, str]:
    """State of each sink."""
    return {name: facts["state"] for name, facts in nissa.get("/api/status")["sinks"].items()}


def stored(nissa: Daemon, name: str) -> dict[tuple[str, int], float]:
    """(label i, ts_ms) -> value of a metric in Nissa."""
    found = {}
    for labels, samples in nissa.export(name).items():
        found |= {(dict(labels)["i"], ts_ms): value_of(bits) for ts_ms, bits in samples.items()}
    return found


def value_of(bits: int) -> float:
    """The double of these bits."""
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def events(nissa: Daemon) -> list[dict[str, Any]]:
    """Events of the shop."""
    found: list[dict[str, Any]] = nissa.get("/api/v1/events?source=shop&limit=1000")["data"]["events"]
    return found
