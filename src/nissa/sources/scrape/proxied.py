"""Asks targets through a proxy, with aiohttp: absolute addresses for HTTP, CONNECT for HTTPS."""

import os
from collections.abc import Mapping
from typing import Final

import aiohttp

from nissa.model.errors import SourceFailed
from nissa.sources.scrape.connections import IDLE_S_MAX, Place, Reply

_HEADERS: Final = ("Content-Type", "Content-Encoding", "Location")


class ProxiedSession:
    """Connections to proxies, of one loop."""

    def __init__(self) -> None:
        """Bodies stay compressed, and the environment says nothing of proxies."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S_MAX, ttl_dns_cache=30),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding",),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def ask(self, url: str, headers: Mapping[str, str], place: Place, proxy: str, bytes_max: int) -> Reply:
        """The answer to GET ``url``.

        place: of ``url``, for TLS. proxy: its URL. bytes_max: of the body, as received. Raises: SourceFailed.
        """
        name = place.server_name
        try:
            async with self._session.get(
                url, headers=headers, ssl=place.tls or True, server_hostname=name, allow_redirects=False, proxy=proxy
            ) as answer:
                found = {name.lower().encode(): answer.headers[name] for name in _HEADERS if name in answer.headers}
                body = await _body(answer, bytes_max) if answer.status == 200 else b""
                return Reply(answer.status, answer.reason or "", found, body)
        except aiohttp.ClientError as error:
            raise SourceFailed(_reason(error)) from error


async def _body(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    if answer.content_length is not None and answer.content_length > bytes_max:
        raise SourceFailed(f"the answer has {answer.content_length} bytes, over the limit of {bytes_max}")
    parts = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > bytes_max:
            raise SourceFailed(f"the answer has more than {bytes_max} bytes, the limit")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate is not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"no connection to {error.host}:{error.port}: {os.strerror(number) if number else error.os_error}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers HTTP status {error.status} {error.message}"
    return f"{type(error).__name__}: {error}".removesuffix(": ")
