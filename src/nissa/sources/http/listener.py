"""Listening sockets. An address for all interfaces serves both IPv4 and IPv6 if the system has both."""

import errno
import socket

from nissa.config.listen import ANY, Listen

_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - what the operator asked for
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_listener(listen: Listen, backlog: int) -> socket.socket:
    """A bound, non-blocking socket that accepts. Raises: OSError for an address that cannot be had."""
    listener = _open_any(listen.port, backlog) if listen.host == ANY else _open_one(listen, backlog)
    listener.setblocking(False)
    return listener


def open_listeners(listen: Listen, backlog: int) -> list[socket.socket]:
    """Sockets as ``open_listener`` opens one, for every address of a name. Blocks. Raises: OSError."""
    found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
    opened: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            opened.append(socket.create_server((str(address[0]), int(address[1])), family=family, backlog=backlog))
            opened[-1].setblocking(False)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _open_any(port: int, backlog: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server((ANY, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:  # the kernel knows IPv6, no interface has it
                raise
    return socket.create_server((_ANY_IPV4, port), backlog=backlog)


def _open_one(listen: Listen, backlog: int) -> socket.socket:
    found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
    families = {family for family, *_ in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    return socket.create_server((listen.host, listen.port), family=family, backlog=backlog)
