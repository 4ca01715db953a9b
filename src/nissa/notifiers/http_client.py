"""Posts to HTTP servers that take notifications: credentials, TLS, proxies; answers as outcomes.

    2xx          taken
    429, 5xx     retried, not before Retry-After
    no answer    retried
    others       refused: the same message would be refused again

Redirects are not followed: credentials go to no address that the configuration does not name. Secrets are read from
their files for every request.
"""

import os
import ssl
from base64 import b64encode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import msgspec

from nissa import __version__
from nissa.config.receivers import HttpConfig
from nissa.config.scrape_configs import TlsConfig
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid
from nissa.model.secrets import hide_in_urls
from nissa.model.units import HOUR_MS, KIB, SECOND_MS
from nissa.notifiers.notifier import NotDelivered

ANSWER_BYTES_MAX: Final = 64 * KIB
SHOWN_CHARACTERS: Final = 200
CONNECTIONS_MAX: Final = 16  # of one channel
KEEPALIVE_S: Final = 60
RETRY_AFTER_MS_MAX: Final = HOUR_MS
USER_AGENT: Final = f"Nissa/{__version__}"
_TLS_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer. body: its beginning, up to 64 KiB."""

    status: int
    body: bytes


class HttpPoster:
    """Connections of one channel. Lives on the loop; ``close`` it."""

    def __init__(self, config: HttpConfig, setting: str) -> None:
        """setting: path of the channel, for messages. Raises: ConfigInvalid for certificates that cannot be loaded."""
        self._config, self._setting = config, setting
        self._tls = client_tls(config.tls_config, f"{setting}.http_config.tls_config")
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """The answer to a body that was taken. Raises: NotDelivered."""
        try:
            credentials = self._credentials()
        except ConfigInvalid as error:
            raise NotDelivered(str(error)) from None
        try:
            async with self._open().post(
                url,
                data=body,
                headers={"Content-Type": "application/json", **credentials, **headers},
                ssl=self._tls,
                server_hostname=self._config.tls_config.server_name or None,
                proxy=self._config.proxy_url or None,
                allow_redirects=False,
            ) as reply:
                answer = HttpAnswer(reply.status, await reply.content.read(ANSWER_BYTES_MAX))
                after = reply.headers.get("Retry-After", "")
                date = reply.headers.get("Date", "")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotDelivered(self._told(error)) from None
        if 200 <= answer.status < 300:
            return answer
        text = " ".join(answer.body.decode("utf-8", "replace").split())[:SHOWN_CHARACTERS]
        reason = f"HTTP status {answer.status}" + (f": {text}" if text.isprintable() and text else "")
        retry = answer.status == 429 or answer.status >= 500
        raise NotDelivered(reason, retry=retry, retry_after_ms=read_retry_after_ms(after, date) if retry else 0)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _told(self, error: Exception) -> str:
        """The reason of a failure, without the address: its path may be a secret."""
        if isinstance(error, aiohttp.InvalidURL | UnicodeError):
            return f"the address of {self._setting} is not that of an HTTP server"
        return _reason(error)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_S),
                timeout=aiohttp.ClientTimeout(),  # the caller's is for the whole attempt
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
            )
        return self._session

    def _credentials(self) -> dict[str, str]:
        config, place = self._config, f"{self._setting}.http_config"
        if config.basic_auth is not None:
            basic = config.basic_auth
            user = secret(basic.username, basic.username_file, f"{place}.basic_auth.username_file")
            password = secret(basic.password, basic.password_file, f"{place}.basic_auth.password_file")
            return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
        if config.authorization is not None:
            found = config.authorization
            token = secret(found.credentials, found.credentials_file, f"{place}.authorization.credentials_file")
            return {"Authorization": f"{found.type} {token}"}
        if config.bearer_token or config.bearer_token_file:
            token = secret(config.bearer_token, config.bearer_token_file, f"{place}.bearer_token_file")
            return {"Authorization": f"Bearer {token}"}
        return {}


def secret(text: str, path: str, setting: str) -> str:
    """A secret that is written down, or stands in a file. Raises: ConfigInvalid where the file cannot be read."""
    return SecretFile(path, setting).text.strip() if path else text


def read_retry_after_ms(text: str, date: str = "") -> int:
    """Milliseconds that a Retry-After header asks for, one hour at most; 0 where it says nothing.

    date: the header ``Date`` of the same answer, from which a Retry-After with a date counts.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(int(text) * SECOND_MS, RETRY_AFTER_MS_MAX)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(date)
        return min(max(int(wait.total_seconds() * SECOND_MS), 0), RETRY_AFTER_MS_MAX)
    except (ValueError, TypeError):
        return 0


def client_tls(config: TlsConfig, setting: str) -> ssl.SSLContext:
    """TLS toward a server. Raises: ConfigInvalid for certificates that cannot be loaded."""
    if config.cert or config.key:
        raise ConfigInvalid(setting, "cert and key are given as cert_file and key_file")
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None, cadata=config.ca or None)
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ValueError) as error:
        raise ConfigInvalid(setting, f"certificates cannot be loaded: {error}") from None
    if config.min_version:
        context.minimum_version = _TLS_VERSIONS[config.min_version]
    if config.max_version:
        context.maximum_version = _TLS_VERSIONS[config.max_version]
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed without an answer"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host {error.host} is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"no connection to {error.host}:{error.port}: {os.strerror(number) if number else error.os_error}"
    return hide_in_urls(f"{type(error).__name__}: {error}".removesuffix(": "))[:SHOWN_CHARACTERS]
