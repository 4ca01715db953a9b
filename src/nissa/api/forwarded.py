"""The origin of a request behind proxies that are trusted to say so (``api.access.trusted_proxies``).

    X-Forwarded-For: 203.0.113.7, 10.0.0.2     from the right: the first address that is no trusted proxy
    X-Forwarded-Proto: https

From any other address these headers mean nothing, and neither do those that name users.
"""

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

ADDRESSES_MAX = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The networks of trusted proxies."""

    def __init__(self, networks: Sequence[str]) -> None:
        """networks: such as ``10.0.0.0/8``."""
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in networks]

    def trusts(self, scope: AsgiScope) -> bool:
        """True if the other end of the connection is a trusted proxy."""
        return bool(self._networks) and self._is_proxy(address_of(scope))

    def origin(self, scope: AsgiScope) -> AsgiScope:
        """``scope`` of a trusted proxy with the client and scheme that it names."""
        headers = Headers(scope=scope)
        changed = dict(scope)
        named = [text.strip() for line in headers.getlist("x-forwarded-for") for text in line.split(",")]
        for text in reversed(named[-ADDRESSES_MAX:]):
            address = _read(text)
            if address is None:
                break
            changed["client"] = (str(address), 0)
            if not self._is_proxy(address):
                break
        if headers.get("x-forwarded-proto", "").strip().lower() == "https":
            changed["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        return changed

    def _is_proxy(self, address: Address | None) -> bool:
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )


def address_of(scope: AsgiScope) -> Address | None:
    """The address of the client; that of IPv4 where it is mapped to IPv6."""
    client = scope.get("client")
    return _read(client[0]) if client else None


def neighbourhood(scope: AsgiScope) -> str:
    """The client as limits count it: an address, or the /64 of one of IPv6, which one machine has all of."""
    address = address_of(scope)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _read(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
