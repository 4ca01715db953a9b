"""Asks one address over HTTP, as the settings of a client say: credentials, TLS, proxy, and a bound on the answer.

Redirects are followed within the address that was asked (scheme, host, port); one that leads elsewhere is a fault:
Nissa asks no address that its configuration does not name. Passwords and tokens in files are read for each request.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec

from nissa import __version__
from nissa.config.scrape_configs import PORT_BY_SCHEME, HttpClient, TlsConfig
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid, SourceFailed
from nissa.model.frame import Encoding
from nissa.sources.scrape.connections import Connections, Place, Reply

if TYPE_CHECKING:
    from nissa.sources.scrape.proxied import ProxiedSession

REDIRECTS_MAX: Final = 10
REDIRECTS: Final = (301, 302, 303, 307, 308)
ADDRESSES_MAX: Final = 20_000  # that a client has taken apart, of which it remembers the parts
_SAFE: Final = "/%:=&?~+!$,;'@()*[]"  # of a path or query: stay as they are
USER_AGENT: Final = f"Nissa/{__version__}"
_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class TargetAnswer(msgspec.Struct, frozen=True):
    """An answer of status 200. body: as received, compressed by ``encoding``. content_type: empty for none."""

    body: bytes
    encoding: Encoding
    content_type: str


class Session:
    """All connections to targets, of one loop; an asynchronous context manager that closes them."""

    def __init__(self) -> None:
        self.connections = Connections()
        self._proxied: ProxiedSession | None = None

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        self.connections.close()
        if self._proxied is not None:
            await self._proxied.close()

    def proxied(self) -> "ProxiedSession":
        """The session that asks through proxies; its library is loaded where an entry has a proxy."""
        if self._proxied is None:
            from nissa.sources.scrape.proxied import ProxiedSession

            self._proxied = ProxiedSession()
        return self._proxied


def open_session() -> Session:
    """The one session for all targets. The environment says nothing of proxies."""
    return Session()


class Client:
    """Asks addresses with the settings of one entry."""

    def __init__(self, session: Session, config: HttpClient, setting: str) -> None:
        """setting: path of the entry, for messages. Raises: ConfigInvalid for certificates that cannot be loaded."""
        self._session = session
        self._config = config
        is_usual = config.tls_config == TlsConfig()  # certificates of the system are loaded when they are needed
        self._tls = None if is_usual else tls_context(config.tls_config, f"{setting}.tls_config")
        self._addresses: dict[str, _Address] = {}

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float, bytes_max: int) -> TargetAnswer:
        """The answer of status 200. bytes_max: of its body, as received.

        Raises: SourceFailed, saying what was wrong in a sentence without secrets.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(url, headers, bytes_max)
        except TimeoutError:
            raise SourceFailed(f"no answer within {timeout_s:g}s") from None
        except (OSError, ValueError) as error:
            raise SourceFailed(f"{type(error).__name__}: {error}".removesuffix(": ")) from error

    async def _follow(self, url: str, headers: Mapping[str, str], bytes_max: int) -> TargetAnswer:
        for _ in range(REDIRECTS_MAX + 1):
            reply = await self._ask(url, headers, bytes_max)
            location = reply.headers.get(b"location")
            if reply.status in REDIRECTS and location and self._config.follow_redirects:
                url = _within(url, urljoin(url, location))
                continue
            if reply.status != 200:
                raise SourceFailed(f"the target answers HTTP status {reply.status} {reply.reason}".rstrip())
            encoding = _encoding(reply.headers.get(b"content-encoding", ""))
            return TargetAnswer(reply.body, encoding, reply.headers.get(b"content-type", ""))
        raise SourceFailed(f"more than {REDIRECTS_MAX} redirects")

    async def _ask(self, url: str, headers: Mapping[str, str], bytes_max: int) -> Reply:
        address = self._addresses.get(url)
        if address is None:
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
            address = self._addresses[url] = _address(url, self._tls, self._config.tls_config.server_name)
        sent = {"User-Agent": USER_AGENT, **headers, **(self._credentials() or address.credentials)}
        if self._config.proxy_url:
            return await self._session.proxied().ask(
                address.plain_url, sent, address.place, self._config.proxy_url, bytes_max
            )
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        if lines.count("\n") > len(sent) or lines.count("\r") > len(sent):
            raise SourceFailed("a header of the request, such as one with credentials, has a line break")
        request = f"GET {address.path} HTTP/1.1\r\nHost: {address.host}\r\n{lines}\r\n".encode()
        return await self._session.connections.ask(address.place, request, bytes_max)

    def _credentials(self) -> dict[str, str]:
        config = self._config
        basic, authorization = config.basic_auth, config.authorization
        if basic is not None:
            user = _secret(basic.username, basic.username_file)
            password = _secret(basic.password, basic.password_file)
            return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
        if authorization is not None:
            credentials = _secret(authorization.credentials, authorization.credentials_file)
            return {"Authorization": f"{authorization.type.strip()} {credentials}".rstrip()}
        token = _secret(config.bearer_token, config.bearer_token_file)
        return {"Authorization": f"Bearer {token}"} if token else {}


class _Address(msgspec.Struct, frozen=True):
    """Parts of an URL. host: of the header. path: with its query, encoded. credentials: of the URL, as a header.

    plain_url: without credentials.
    """

    place: Place
    host: str
    path: str
    plain_url: str
    credentials: Mapping[str, str]


def _address(url: str, tls: ssl.SSLContext | None, server_name: str) -> _Address:
    parts = urlsplit(url)
    host, port, is_tls = parts.hostname or "", parts.port, parts.scheme == "https"
    if not host:
        raise SourceFailed("the address has no host")
    if not host.isascii():
        host = host.encode("idna").decode()
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    path = quote(parts.path or "/", safe=_SAFE) + ("?" + quote(parts.query, safe=_SAFE) if parts.query else "")
    credentials: dict[str, str] = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    used = (tls or _usual_tls()) if is_tls else None
    place = Place(host, port or PORT_BY_SCHEME[parts.scheme], used, server_name or None)
    return _Address(place, netloc, path, f"{parts.scheme}://{netloc}{path}", credentials)


def _encoding(name: str) -> Encoding:
    if name in ("", "identity"):
        return Encoding.IDENTITY
    if name in ("gzip", "x-gzip"):
        return Encoding.GZIP
    raise SourceFailed(f"the target answers in content encoding {name[:80]!r}: expected gzip or none")


def _within(url: str, other: str) -> str:
    here, there = urlsplit(url), urlsplit(other)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        where = f"{there.scheme}://{there.netloc}"[:200]
        raise SourceFailed(f"redirected to {where}: redirects are followed within the address of the target only")
    return other


def _secret(text: str, path: str) -> str:
    if not path:
        return text
    try:
        return SecretFile(path, "").text
    except ConfigInvalid as error:
        raise SourceFailed(str(error)) from None


def tls_context(config: TlsConfig, setting: str) -> ssl.SSLContext:
    """TLS as an entry has it. Raises: ConfigInvalid for certificates that cannot be loaded."""
    if config == TlsConfig():
        return _usual_tls()
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None, cadata=config.ca or None)
        if config.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.cert or config.cert_file:
            with _as_file(config.cert, config.cert_file) as cert, _as_file(config.key, config.key_file) as key:
                context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        file = next((one for one in (config.ca_file, config.cert_file, config.key_file) if _is_missing(one)), "")
        raise ConfigInvalid(setting, f"{file}: {error}" if file else str(error)) from None
    if config.min_version:
        context.minimum_version = _TLS_VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _TLS_VERSIONS[config.max_version]
    return context


@cache
def _usual_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def _as_file(text: str, path: str) -> Iterator[str]:
    """The name of a file that holds ``text``, or ``path`` where there is none: OpenSSL loads from files only."""
    if not text:
        yield path
        return
    with NamedTemporaryFile("w", prefix="nissa-tls-") as file:  # readable by this user only
        file.write(text)
        file.flush()
        yield file.name


def _is_missing(path: str) -> bool:
    return bool(path) and not Path(path).is_file()
