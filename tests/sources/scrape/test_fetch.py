"""Asking a target over HTTP: credentials, redirects, limits, and faults in words."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nissa.config.scrape_configs import Authorization, BasicAuth, HttpClient, TlsConfig
from nissa.model.errors import ConfigInvalid, SourceFailed
from nissa.model.frame import Encoding
from nissa.sources.scrape.fetch import Client, TargetAnswer, open_session, tls_context
from oracle.scrape_target import TEXT, Target, scrape_target


def asked(url: str, config: HttpClient | None = None, timeout_s: float = 60, bytes_max: int = 1 << 20) -> TargetAnswer:
    """The answer to one request."""

    async def scenario() -> TargetAnswer:
        async with open_session() as session:
            client = Client(session, config or HttpClient(), "scrape_configs[0]")
            return await client.get(url, {"Accept-Encoding": "gzip"}, timeout_s, bytes_max)

    return asyncio.run(scenario())


def of(target: Target, path: str = "/metrics") -> str:
    return f"http://{target.address}{path}"


def test_answers() -> None:
    """A body comes as it was sent, compressed where the target compressed it."""
    with scrape_target() as target:
        assert asked(of(target)) == TargetAnswer(b"up_since 1\n", Encoding.IDENTITY, TEXT)
        target.zipped = True
        answer = asked(of(target))
        assert (answer.encoding, answer.body[:2]) == (Encoding.GZIP, b"\x1f\x8b")
        assert target.requests[0][1]["User-Agent"].startswith("Nissa/")
        assert target.requests[0][1]["Accept-Encoding"] == "gzip"


def test_credentials(tmp_path: Path) -> None:
    """Each way of authorisation sends its header; files are read again for each request."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    configs = [
        HttpClient(basic_auth=BasicAuth("user", password_file=str(secret))),
        HttpClient(authorization=Authorization(credentials="token")),
        HttpClient(authorization=Authorization("Custom", credentials_file=str(secret))),
        HttpClient(bearer_token_file=str(secret)),
        HttpClient(),
    ]
    with scrape_target() as target:
        for config in configs:
            asked(of(target), config)
        sent = [headers.get("Authorization") for _, headers in target.requests]
        secret.unlink()
        with pytest.raises(SourceFailed, match="No such file"):
            asked(of(target), configs[0])
    assert sent == ["Basic dXNlcjpzM2NyZXQ=", "Bearer token", "Custom s3cret", "Bearer s3cret", None]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ((401, {}, b""), "the target answers HTTP status 401 Unauthorized"),
        ((500, {}, b"secret detail"), "the target answers HTTP status 500 Internal Server Error"),
        ((302, {"Location": "http://10.0.0.1/x"}, b""), "redirected to http://10.0.0.1: redirects are followed within"),
        ((302, {"Location": "/metrics"}, b""), "more than 10 redirects"),
        ((200, {"Content-Encoding": "br"}, b"x"), "content encoding 'br': expected gzip or none"),
        ((200, {}, b"x" * 2_000), "the answer has 2000 bytes, over the limit of 1000"),
        ((200, {"Content-Length": "9", "Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n"), "the answer is not HTTP"),
    ],
)
def test_faults(page: tuple[int, dict[str, str], bytes], message: str) -> None:
    """Each fault of a target has its message."""
    with scrape_target() as target:
        target.pages["/metrics"] = page
        with pytest.raises(SourceFailed, match=message):
            asked(of(target), bytes_max=1_000)


def test_redirects_within_the_address() -> None:
    """Redirects are followed, unless the settings say otherwise."""
    with scrape_target() as target:
        target.pages["/moved"] = (307, {"Location": "/metrics"}, b"")
        assert asked(of(target, "/moved")).body == b"up_since 1\n"
        with pytest.raises(SourceFailed, match="HTTP status 307"):
            asked(of(target, "/moved"), HttpClient(follow_redirects=False))


def test_a_target_that_does_not_answer() -> None:
    """The time-out holds, and a closed port and an unknown host are named."""
    with scrape_target() as target:
        target.go.clear()
        with pytest.raises(SourceFailed, match=r"no answer within 0\.2s"):
            asked(of(target), timeout_s=0.2)
        target.go.set()
        address = target.address
    with pytest.raises(SourceFailed, match=f"no connection to {address}: Connection refused"):
        asked(f"http://{address}/metrics")
    with pytest.raises(SourceFailed, match=r"nowhere\.invalid"):
        asked("http://nowhere.invalid/metrics")


def test_credentials_in_the_address() -> None:
    """Credentials of the address are sent as basic authorisation, unless the settings have other ones."""
    with scrape_target() as target:
        url = f"http://me:p%40ss@{target.address}/metrics"
        asked(url)
        asked(url, HttpClient(bearer_token="token"))
        sent = [headers.get("Authorization") for _, headers in target.requests]
    assert sent == ["Basic bWU6cEBzcw==", "Bearer token"]


def test_an_endless_answer() -> None:
    """A body without length is read up to the limit and no further."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async def scenario() -> Any:
        server = await asyncio.start_server(endless, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_session() as session:
            client = Client(session, HttpClient(), "")
            return await client.get(f"http://127.0.0.1:{port}/", {}, 30, 1 << 20)

    with pytest.raises(SourceFailed, match="more than 1048576 bytes"):
        asyncio.run(scenario())


def test_tls_settings(tmp_path: Path) -> None:
    """Files that cannot be loaded are refused with their place; versions and checks are as they are set."""
    with pytest.raises(ConfigInvalid, match=r"scrape_configs\[0\].tls_config: .*nowhere.pem"):
        tls_context(TlsConfig(ca_file=str(tmp_path / "nowhere.pem")), "scrape_configs[0].tls_config")
    with pytest.raises(ConfigInvalid, match="tls_config"):
        tls_context(TlsConfig(ca="no certificate"), "tls_config")
    loose = tls_context(TlsConfig(insecure_skip_verify=True, min_version="TLS12", max_version="TLS13"), "")
    assert isinstance(loose, ssl.SSLContext)
    assert (loose.verify_mode, loose.check_hostname) == (ssl.CERT_NONE, False)
    assert (loose.minimum_version, loose.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert tls_context(TlsConfig(), "").verify_mode == ssl.CERT_REQUIRED


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_target_over_tls(tmp_path: Path) -> None:
    """An unknown certificate is refused, and one named by ca_file is accepted."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=target.test"]
    command += ["-addext", "subjectAltName=DNS:target.test", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(cert, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\na 1\n")
        await writer.drain()
        writer.close()

    async def scenario(config: TlsConfig) -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
        port = server.sockets[0].getsockname()[1]
        async with server, open_session() as session:
            client = Client(session, HttpClient(tls_config=config), "")
            return (await client.get(f"https://127.0.0.1:{port}/", {}, 10, 1 << 20)).body

    assert asyncio.run(scenario(TlsConfig(ca_file=str(cert), server_name="target.test"))) == b"a 1\n"
    assert asyncio.run(scenario(TlsConfig(insecure_skip_verify=True))) == b"a 1\n"
    for refused in (TlsConfig(), TlsConfig(ca_file=str(cert))):
        with pytest.raises(SourceFailed, match="certificate"):
            asyncio.run(scenario(refused))
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_verify_locations(cert)
    texts = TlsConfig(ca=cert.read_text(), cert=cert.read_text(), key=key.read_text(), server_name="target.test")
    assert asyncio.run(scenario(texts)) == b"a 1\n"
    mixed = TlsConfig(ca=cert.read_text(), cert=cert.read_text(), key_file=str(key), server_name="target.test")
    assert asyncio.run(scenario(mixed)) == b"a 1\n"
    with pytest.raises(SourceFailed):
        asyncio.run(scenario(TlsConfig(ca_file=str(cert), server_name="target.test")))
