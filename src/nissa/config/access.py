"""Settings of who may use the API: access control, trusted proxies, rate limits by role."""

import ipaddress
import re
from typing import Annotated, Final

import msgspec

from nissa.config.listen import Listen
from nissa.config.oidc import Oidc, check_oidc
from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS

ENABLED: Final = "api.access.enabled"
ROLES: Final = ("viewer", "operator", "admin")

_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """enabled: requests need a user or a token. session_ttl_ms: of a login.

    trusted_proxies: networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` count. proxy_user_header: header in
    which they name the user; empty: none. proxy_role_header: header with the role, else proxy_role.
    away_ttl_ms: while the database is away, of what it said last about a token or session.
    login_failures_per_minute_max: of one user name from one address.
    """

    enabled: bool = False
    session_ttl_ms: Annotated[int, duration(MINUTE_MS, 90 * DAY_MS)] = 8 * HOUR_MS
    away_ttl_ms: Annotated[int, duration(0, DAY_MS)] = 5 * MINUTE_MS
    sessions_max: Annotated[int, count(1, 1_000_000)] = 1_000
    login_failures_per_minute_max: Annotated[int, count(1, 10_000)] = 5
    trusted_proxies: tuple[str, ...] = ()
    proxy_user_header: str = ""
    proxy_role_header: str = ""
    proxy_role: str = "viewer"
    oidc: Oidc = Oidc()


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form; the certificate with those of its chain. Empty: no TLS. handshakes_max: under way at once."""

    certificate_file: str = ""
    key_file: str = ""
    handshakes_max: Annotated[int, count(1, 10_000)] = 64


class IngestTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same of the ingest port. client_ca_file: authorities of senders' certificates; empty: none are asked for.

    client_certificate_required: False: a sender without a certificate needs a token where ``tokens_required``.
    """

    certificate_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    client_certificate_required: bool = True
    handshakes_max: Annotated[int, count(1, 10_000)] = 256


class RequestRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests per minute of one user by the scope of their route; 0: any number."""

    control_per_minute: Annotated[int, count(0, 1_000_000)] = 20
    query_per_minute: Annotated[int, count(0, 1_000_000)] = 3_000
    stream_per_minute: Annotated[int, count(0, 1_000_000)] = 60


class LoopbackRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same of one address, while access control is off."""

    control_per_minute: Annotated[int, count(0, 1_000_000)] = 20
    query_per_minute: Annotated[int, count(0, 1_000_000)] = 0
    stream_per_minute: Annotated[int, count(0, 1_000_000)] = 0


class RatesByRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """loopback: of requests while access control is off, by address."""

    viewer: RequestRates = RequestRates()
    operator: RequestRates = RequestRates()
    admin: RequestRates = RequestRates()
    loopback: LoopbackRates = LoopbackRates()


def check_access(access: Access, api: Listen) -> None:
    """Raise ConfigInvalid for settings that would let anybody in. api: where the API listens."""
    if not access.enabled and not is_loopback(api.host):
        what = f"api.listen is {api}, which other machines reach: set {ENABLED} to true, or listen on 127.0.0.1"
        raise ConfigInvalid(ENABLED, what)
    for number, text in enumerate(access.trusted_proxies):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            path = f"api.access.trusted_proxies[{number}]"
            raise ConfigInvalid(path, f"expected an address or network such as 10.0.0.0/8, got {text[:80]!r}") from None
    for name in ("proxy_user_header", "proxy_role_header"):
        header = getattr(access, name)
        if header and _HEADER.fullmatch(header) is None:
            raise ConfigInvalid(f"api.access.{name}", f"expected the name of a header, got {header[:80]!r}")
    if access.proxy_user_header and not access.trusted_proxies:
        what = "is set, but api.access.trusted_proxies is empty: anybody could send it"
        raise ConfigInvalid("api.access.proxy_user_header", what)
    if access.proxy_role not in ROLES:
        raise ConfigInvalid("api.access.proxy_role", f"expected {', '.join(ROLES)}, got {access.proxy_role[:40]!r}")
    check_oidc(access.oidc, ROLES, enabled=access.enabled)


def check_tls(tls: Tls | IngestTls, setting: str) -> None:
    """Raise ConfigInvalid where files that belong together are not all named. setting: the path of ``tls``."""
    if bool(tls.certificate_file) != bool(tls.key_file):
        missing = "certificate_file" if tls.key_file else "key_file"
        raise ConfigInvalid(f"{setting}.{missing}", "is missing: a certificate and its key belong together")
    if isinstance(tls, IngestTls) and tls.client_ca_file and not tls.certificate_file:
        raise ConfigInvalid(f"{setting}.certificate_file", "is missing: senders show certificates over TLS only")


def is_loopback(host: str) -> bool:
    """True if only this machine reaches an address. host: name or number."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
