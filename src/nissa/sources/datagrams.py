"""Reads the datagrams waiting at a UDP socket and joins them by line feeds.

    socket ── recv_into ──► | datagram \\n datagram \\n … | ── take ──► whoever reads lines

A datagram that ends in the middle of a line is not joined with the next one. Datagrams that the kernel drops because
they are not read fast enough are counted by the kernel and read from there.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

from nissa.config.listen import ANY, Listen
from nissa.model.errors import SourceFailed
from nissa.model.units import KIB

DATAGRAM_BYTES_MAX: Final = 64 * KIB  # the greatest of UDP is 65,507
ROOM_BYTES: Final = 16 * DATAGRAM_BYTES_MAX
_SO_MEMINFO: Final = 55  # Linux: nine uint32, the last is the number of datagrams dropped
_MEMINFO: Final = struct.Struct("=9I")
_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - what the operator asked for


class Datagrams:
    """One UDP socket. Lives on the loop."""

    def __init__(self, take: Callable[[memoryview], None], receive_buffer_bytes: int) -> None:
        """take: called with datagrams, a line feed behind each. The memory is used again after it returns.

        receive_buffer_bytes: asked of the kernel; it gives what ``net.core.rmem_max`` allows.
        """
        self._take = take
        self._receive_buffer_bytes = receive_buffer_bytes
        self._room = memoryview(bytearray(ROOM_BYTES))
        self._socket: socket.socket | None = None
        self._received = 0
        self._dropped_before = 0

    def open(self, listen: Listen, path: str) -> Listen:
        """Receive; returns the address. path: of the setting. Raises: SourceFailed where it cannot be had."""
        try:
            self._socket = _bound(listen)
        except OSError as error:
            raise SourceFailed(f"cannot receive on {listen} ({path}): {error}") from error
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        host, port = self._socket.getsockname()[:2]
        return Listen(host, port)

    def close(self) -> None:
        """Take the datagrams that have arrived, and receive no more."""
        if self._socket is None:
            return
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._socket)
        self._dropped_before = self._dropped()
        self._socket.close()
        self._socket = None

    def facts(self) -> Mapping[str, int]:
        """Counts since the start."""
        return {"datagrams": self._received, "datagrams_dropped": self._dropped()}

    def _dropped(self) -> int:
        if self._socket is None:
            return self._dropped_before
        info = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return self._dropped_before + int(_MEMINFO.unpack(info)[-1])

    def _read(self) -> bool:
        """Take what is there, as far as there is room; False where nothing was."""
        if self._socket is None:
            return False
        at = 0
        while at + DATAGRAM_BYTES_MAX < ROOM_BYTES:
            try:
                size = self._socket.recv_into(self._room[at : at + DATAGRAM_BYTES_MAX])
            except OSError:  # nothing more is there; or an ICMP error of a packet that nobody sent
                break
            self._received += 1
            at += size
            self._room[at] = 10
            at += 1
        if at:
            self._take(self._room[:at])
        return at > 0


def _bound(listen: Listen) -> socket.socket:
    """A bound socket; of every interface for both families where the system has them."""
    if listen.host == ANY and not socket.has_dualstack_ipv6():
        listen = Listen(_ANY_IPV4, listen.port)
    family, kind, protocol, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_DGRAM)[0]
    found = socket.socket(family, kind, protocol)
    try:
        if listen.host == ANY:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found
