"""Addresses to listen on, as operators write them: ``127.0.0.1:9470``, ``localhost:0``, ``[::1]:9470``.

``:9470`` and ``[::]:9470`` are every interface, of IPv4 and IPv6; ``0.0.0.0:9470`` is every one of IPv4 alone.
"""

import re

import msgspec

from nissa.model.errors import ConfigInvalid

PORT_MAX = 65_535
ANY = "::"

_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})))?:(?P<port>[0-9]{1,5})"
)


class Listen(msgspec.Struct, frozen=True):
    """host: name or number, without brackets; port: 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str, path: str) -> Listen:
    """Host and port of ``text``; no host (``:9470``) means every interface of both families.

    Raises: ConfigInvalid at ``path``.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigInvalid(path, f"expected HOST:PORT, such as 127.0.0.1:9470 or [::1]:9470, got {text[:120]!r}")
    port = int(match["port"])
    if port > PORT_MAX:
        raise ConfigInvalid(path, f"expected a port of 0 to {PORT_MAX}, got {port}")
    return Listen(match["six"] or match["host"] or ANY, port)
