"""Makes requests to one sink over HTTP, with its credentials, TLS and headers.

Redirects are not followed: credentials go to no address that the configuration does not name. Of an answer at most
64 KiB are read, unless the caller needs more. Passwords and tokens are read from their files for every request, so that
new ones take effect.
"""

import asyncio
import os
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import aiohttp
import msgspec

from nissa import __version__
from nissa.config.sinks import ElasticsearchSink, HttpSink, SinkTls
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid
from nissa.model.units import KIB, SECOND_MS

ANSWER_BYTES_MAX: Final = 64 * KIB
HEADER_BYTES_MAX: Final = 16 * KIB  # one header of an answer
SHOWN_CHARACTERS: Final = 300  # of an answer, in a message
KEEPALIVE_S: Final = 60
DNS_TTL_S: Final = 30
USER_AGENT: Final = f"Nissa/{__version__}"


class SinkUnreachable(Exception):
    """No answer: no connection, none in time, or not one that can be read. blocked: a retry soon will not help."""

    def __init__(self, reason: str, *, blocked: bool = False) -> None:
        super().__init__(reason)
        self.blocked = blocked


class SinkAnswer(msgspec.Struct, frozen=True):
    """An answer, whatever its status. headers: names in lower case. content: its body, or the beginning of a long one.

    whole: False where the body goes on.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    whole: bool = True

    @property
    def text(self) -> str:
        """The beginning of the body, on one line."""
        text = self.content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")
        return "".join(one if one.isprintable() else " " for one in text).strip()[:SHOWN_CHARACTERS]

    def __str__(self) -> str:
        if 300 <= self.status < 400:
            place = "".join(one for one in self.headers.get("location", "") if one.isprintable())[:SHOWN_CHARACTERS]
            return f"the sink redirects to {place!r} with HTTP status {self.status}; redirects are not followed"
        return f"the sink answers HTTP status {self.status}" + (f": {self.text}" if self.text else "")


class SinkClient:
    """The connections to one sink. Lives on the loop; ``close`` it."""

    def __init__(self, config: HttpSink, setting: str) -> None:
        """setting: path of the sink in the configuration, for messages."""
        self._config, self._setting = config, setting
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True

    async def post(self, body: bytes, headers: Mapping[str, str]) -> SinkAnswer:
        """Send one body to the address of the sink. Raises: SinkUnreachable."""
        return await self.request("POST", self._config.url, body, headers)

    async def request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], answer_bytes_max: int = ANSWER_BYTES_MAX
    ) -> SinkAnswer:
        """Make one request to an address below that of the sink. Raises: SinkUnreachable."""
        try:
            credentials = self._credentials()
            session = self._open()
        except ConfigInvalid as error:
            raise SinkUnreachable(str(error), blocked=True) from None
        timeout_s = self._config.timeout_ms / SECOND_MS
        try:
            async with (
                asyncio.timeout(timeout_s),
                session.request(
                    method,
                    url,
                    data=body or None,
                    headers={**self._config.headers, **headers, **credentials},
                    ssl=self._tls,
                    server_hostname=self._config.tls.server_name or None,
                    allow_redirects=False,
                ) as reply,
            ):
                found = {name.lower(): value for name, value in reply.headers.items()}
                return SinkAnswer(reply.status, found, *await _content(reply, answer_bytes_max))
        except TimeoutError:
            raise SinkUnreachable(f"no answer within {timeout_s:g}s ({self._setting}.timeout)") from None
        except aiohttp.ClientConnectorCertificateError as error:
            reason = f"the certificate is not accepted: {error.certificate_error} ({self._setting}.tls)"
            raise SinkUnreachable(reason, blocked=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SinkUnreachable(_reason(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._tls = _tls_context(self._config.tls, f"{self._setting}.tls")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=DNS_TTL_S
                ),
                timeout=aiohttp.ClientTimeout(),  # one for all: asyncio.timeout
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                skip_auto_headers=("Accept-Encoding",),
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
            )
        return self._session

    def _credentials(self) -> dict[str, str]:
        config = self._config
        if config.basic_auth.username:
            password = SecretFile(config.basic_auth.password_file, f"{self._setting}.basic_auth.password_file").text
            word = b64encode(f"{config.basic_auth.username}:{password}".encode()).decode()
            return {"Authorization": f"Basic {word}"}
        if isinstance(config, ElasticsearchSink) and config.api_key_file:
            return {"Authorization": f"ApiKey {SecretFile(config.api_key_file, f'{self._setting}.api_key_file').text}"}
        if config.bearer_token_file:
            token = SecretFile(config.bearer_token_file, f"{self._setting}.bearer_token_file").text
            return {"Authorization": f"Bearer {token}"}
        return {}


async def _content(reply: aiohttp.ClientResponse, bytes_max: int) -> tuple[bytes, bool]:
    """A body, and whether this is all of it. A connection with more of it than is read is not used again."""
    parts: list[bytes] = []
    size = 0
    async for part in reply.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            reply.close()
            return b"".join(parts)[:bytes_max], False
    return b"".join(parts), True


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host {error.host} is not known"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"no TLS with {error.host}:{error.port}: {error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is not HTTP: {' '.join(error.message.split())}"[:SHOWN_CHARACTERS]
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed without an answer"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"no connection to {error.host}:{error.port}: {os.strerror(number) if number else error.os_error}"
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:SHOWN_CHARACTERS]


def _tls_context(config: SinkTls, setting: str) -> ssl.SSLContext | bool:
    """TLS of a sink. Raises: ConfigInvalid for certificates that cannot be loaded."""
    if config == SinkTls():
        return True
    with _loading(f"{setting}.ca_file", config.ca_file):
        context = ssl.create_default_context(cafile=config.ca_file or None)
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.cert_file:
        with _loading(f"{setting}.cert_file", config.cert_file):
            context.load_cert_chain(config.cert_file, config.key_file)
    return context


@contextmanager
def _loading(setting: str, file: str) -> Iterator[None]:
    """Name the setting and the file in errors of the block. Raises: ConfigInvalid."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigInvalid(setting, f"{file}: {getattr(error, 'strerror', None) or error}") from None
