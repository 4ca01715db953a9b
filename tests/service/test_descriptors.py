"""The limit of open descriptors, in processes of their own: a limit that was lowered cannot be raised again."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("soft", "hard", "room"), [(64, 64, 32), (100, 1000, 744), (1024, 1024, 768)])
def test_the_limit_is_raised_and_some_are_reserved(soft: int, hard: int, room: int) -> None:
    """The limit is raised to the hard limit; the reserve is at most half of it."""
    program = (
        "import resource; from nissa.service.descriptors import room_for_connections as room; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        "print(room(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(room), str(hard), str(hard)]


def test_ports_share_the_room() -> None:
    """Each further port has an eighth of the room at most, and the ingest port the rest, without its handshakes."""
    program = (
        "import resource; from nissa.config.access import IngestTls; from nissa.config.tree import Config, Ingest; "
        "from nissa.config.sources import Otlp, Sources; "
        "from nissa.service.descriptors import sources_with_room, with_room; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)); "
        "plain = with_room(Config()); "
        "ingest = Ingest(tls=IngestTls(certificate_file='a', key_file='b', handshakes_max=100)); "
        "given = Sources(otlp=Otlp(grpc_listen=('127.0.0.1:0',))); "
        "full, sources = with_room(Config(ingest=ingest, sources=given)), sources_with_room(given); "
        "few = with_room(Config(ingest=Ingest(connections_max=7))); "
        "print(plain.connections_max, full.connections_max, sources.otlp.grpc_connections_max, "
        "sources.graphite.connections_max, few.connections_max)"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["768", "572", "96", "96", "7"]
