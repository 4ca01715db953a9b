"""A real Kafka of one node, on one directory and port over restarts."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from journeys.java_servers import READY_S, RECIPES, JavaServer, artifacts

from oracle.ports import free_port

CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
USER, PASSWORD = "nissa", "correct"


class KafkaServer:
    """The broker. address: host and port. secured: those for TLS and SASL with ``USER`` and ``PASSWORD``.

    certificate: a file with its own, which signs itself.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        words = {f"{name}_PORT": str(free_port()) for name in ("BROKER", "SECURED", "CONTROLLER")}
        self.address = f"127.0.0.1:{words['BROKER_PORT']}"
        self.secured = f"127.0.0.1:{words['SECURED_PORT']}"
        self.certificate = directory / "certificate.pem"
        self._make_certificate(directory / "data.pem")
        words |= {"DATA": str(directory / "data"), "USER": USER, "PASSWORD": PASSWORD}
        text = (RECIPES / "kafka-server.properties").read_text()
        for name, word in words.items():
            text = text.replace(f"@{name}@", word)
        (directory / "server.properties").write_text(text)
        command = ["java", "-cp", f"{artifacts('kafka')}/*", "kafka.tools.StorageTool", "format", "-t", CLUSTER]
        command += ["--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"]
        subprocess.run([*command, "-c", str(directory / "server.properties")], check=True, capture_output=True)
        self.start()

    def _make_certificate(self, store: Path) -> None:
        key = self.directory / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kafka.test"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(self.certificate), "-keyout", str(key)]
        subprocess.run(command, check=True, capture_output=True)
        store.write_text(key.read_text() + self.certificate.read_text())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ["kafka.Kafka", str(self.directory / "server.properties")]
        self.server = JavaServer("kafka", arguments, self.directory, prints=False)
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.admin.list_topics(timeout=2)
            except Exception:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2_000:]
            else:
                return

    def make(self, topic: str, partitions: int, **settings: str) -> None:
        """Make a topic."""
        found = self.admin.create_topics([NewTopic(topic, partitions, config=settings)])
        found[topic].result(60)

    def messages(self, topic: str, partitions: int) -> Iterator[Any]:
        """Every message of a topic now, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "reader", "log_level": 0})
        try:
            for partition in range(partitions):
                place = TopicPartition(topic, partition, 0)
                end = consumer.get_watermark_offsets(place, timeout=60)[1]
                consumer.assign([place])
                while place.offset < end:
                    message = consumer.poll(60)
                    assert message is not None
                    assert message.error() is None
                    place.offset = message.offset() + 1
                    yield message
        finally:
            consumer.close()
