"""Senders over TLS: certificates of an authority, tokens, and both, over HTTP and gRPC; files that change meanwhile."""

import http.client
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from journeys.rig import running

from nissa.config.access import Tls
from oracle.certificates import self_signed, signed_by
from oracle.ports import free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
    pytest.mark.long,
]
LINE = b"tls_test value=1"
PATIENCE_S = 60


def environment_of(
    server: Tls, authority: Tls | None, *, required: bool = True, tokens: bool = False
) -> dict[str, str]:
    """Settings of a daemon with these certificates."""
    prefix = "NISSA_INGEST__TLS__"
    settings = {f"{prefix}CERTIFICATE_FILE": server.certificate_file, f"{prefix}KEY_FILE": server.key_file}
    if authority is not None:
        settings[f"{prefix}CLIENT_CA_FILE"] = authority.certificate_file
        settings[f"{prefix}CLIENT_CERTIFICATE_REQUIRED"] = str(required).lower()
    return {**settings, "NISSA_INGEST__TOKENS_REQUIRED": str(tokens).lower()}


def sent(url: str, trusted: Tls, shown: Tls | None = None, token: str = "") -> int:
    """Status of one line sent over TLS; 0 where the server refuses the handshake or the connection."""
    context = ssl.create_default_context(cafile=trusted.certificate_file)
    if shown is not None:
        context.load_cert_chain(shown.certificate_file, shown.key_file)
    link = http.client.HTTPSConnection(urlsplit(url).netloc, context=context, timeout=PATIENCE_S)
    try:
        link.request("POST", "/write", LINE, {"Authorization": f"Bearer {token}"} if token else {})
        return link.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return 0
    finally:
        link.close()


def new_token(directory: Path) -> str:
    """A token of senders."""
    command = [sys.executable, "-m", "nissa.cli.main", "tokens", "add", "agents", "--scope", "ingest"]
    done = subprocess.run([*command, "--data-dir", str(directory)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def wait_for(ask: Callable[[], object], expected: object) -> None:
    """Ask until the answer is as expected."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := ask()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_required_certificates(tmp_path: Path) -> None:
    """Only a certificate of the authority gets past the handshake; another authority counts once its file is there,
    and plain HTTP is answered by nobody."""
    authority, other = self_signed(tmp_path / "ca", "ca"), self_signed(tmp_path / "other", "other")
    server, sender = self_signed(tmp_path / "server", "server"), signed_by(authority, tmp_path / "sender", "sender")
    stranger = signed_by(other, tmp_path / "stranger", "stranger")
    with running(tmp_path / "data", environment=environment_of(server, authority)) as daemon:
        assert daemon.ingest_url.startswith("https://")
        assert sent(daemon.ingest_url, server, sender) == 204
        assert sent(daemon.ingest_url, server, stranger) == 0
        assert sent(daemon.ingest_url, server) == 0
        plain = http.client.HTTPConnection(urlsplit(daemon.ingest_url).netloc, timeout=PATIENCE_S)
        plain.request("POST", "/write", LINE)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            plain.getresponse()
        plain.close()
        shutil.copy(other.certificate_file, authority.certificate_file)
        wait_for(lambda: sent(daemon.ingest_url, server, stranger), 204)
        assert sent(daemon.ingest_url, server, sender) == 0


def test_certificates_or_tokens(tmp_path: Path) -> None:
    """A certificate or a token is enough, a sender with neither is refused before the body is read; the handshake
    refuses the certificate of a stranger."""
    authority, server = self_signed(tmp_path / "ca", "ca"), self_signed(tmp_path / "server", "server")
    sender = signed_by(authority, tmp_path / "sender", "sender")
    stranger = signed_by(self_signed(tmp_path / "other", "other"), tmp_path / "stranger", "stranger")
    settings = environment_of(server, authority, required=False, tokens=True)
    with running(tmp_path / "data", environment=settings) as daemon:
        assert sent(daemon.ingest_url, server, sender) == 204
        assert sent(daemon.ingest_url, server) == 401
        assert sent(daemon.ingest_url, server, stranger) == 0
        token = new_token(daemon.directory)
        wait_for(lambda: sent(daemon.ingest_url, server, token=token), 204)


def test_grpc_over_tls(tmp_path: Path) -> None:
    """OTLP over gRPC has the certificates and tokens of the ingest port."""
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed: OTLP over gRPC is not tested")
    authority, server = self_signed(tmp_path / "ca", "ca"), self_signed(tmp_path / "server", "server")
    sender = signed_by(authority, tmp_path / "sender", "sender")
    port = free_port()

    def exported(shown: Tls | None, token: str = "", trusted: Tls = server) -> str:
        """Name of the status of an empty request."""
        files = [trusted.certificate_file, *((shown.key_file, shown.certificate_file) if shown else ())]
        credentials = grpc.ssl_channel_credentials(*(Path(file).read_bytes() for file in files))
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            try:
                export(b"", metadata=(("authorization", f"Bearer {token}"),) if token else (), timeout=PATIENCE_S)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

    listen = {"NISSA_SOURCES__OTLP__GRPC_LISTEN": f'["127.0.0.1:{port}"]'}
    with running(tmp_path / "data", environment={**environment_of(server, authority), **listen}):
        wait_for(lambda: exported(sender), "OK")  # sources start behind the ready line
        assert exported(None) == "UNAVAILABLE"
        old = Path(server.certificate_file).read_bytes()
        renewed = self_signed(tmp_path / "server", "renewed")
        assert Path(renewed.certificate_file).read_bytes() != old
        wait_for(lambda: exported(sender, trusted=renewed), "OK")
    settings = environment_of(server, authority, required=False, tokens=True)
    with running(tmp_path / "second", environment={**settings, **listen}) as daemon:
        wait_for(lambda: exported(None), "UNAUTHENTICATED")
        assert exported(sender) == "UNAUTHENTICATED"  # it is not asked for
        token = new_token(daemon.directory)
        wait_for(lambda: exported(None, token), "OK")
