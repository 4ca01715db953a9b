"""Listening sockets and the families they serve."""

import socket
from contextlib import closing

import pytest

from nissa.config.listen import parse_listen
from nissa.sources.http.listener import open_listener

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")


def reached(port: int) -> list[str]:
    """Loopback addresses that take a connection to ``port``."""
    found = []
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            continue
        found.append(host)
    return found


@needs_ipv6
@pytest.mark.parametrize("text", [":0", "[::]:0"])
def test_every_interface_means_both_families(text: str) -> None:
    """IPv4 and IPv6 reach the same port."""
    with closing(open_listener(parse_listen(text, "api.listen"), 8)) as listener:
        assert reached(listener.getsockname()[1]) == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("text", ["0.0.0.0:0", "127.0.0.1:0", "localhost:0"])
def test_an_address_of_ipv4_serves_ipv4(text: str) -> None:
    """An IPv4 address, or localhost, is reached by IPv4 only."""
    with closing(open_listener(parse_listen(text, "api.listen"), 8)) as listener:
        assert reached(listener.getsockname()[1]) == ["127.0.0.1"]


def test_without_ipv6_every_interface_is_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without IPv6 does not keep the daemon from starting."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with closing(open_listener(parse_listen(":0", "api.listen"), 8)) as listener:
        assert reached(listener.getsockname()[1]) == ["127.0.0.1"]
