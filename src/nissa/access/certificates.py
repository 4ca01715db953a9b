"""Certificates of a port, read again when their files change: new connections get the new ones, open ones go on.

api.tls       certificate and key of the API
ingest.tls    the same of the ingest port and of OTLP over gRPC; and the authority of senders' certificates
"""

import ssl
from pathlib import Path
from typing import Final

import msgspec
import structlog

from nissa.config.access import IngestTls, Tls
from nissa.model.errors import ConfigInvalid

BYTES_MAX: Final = 1 << 20  # of one file

log = structlog.get_logger()


class Pems(msgspec.Struct, frozen=True):
    """Contents of the files. client_ca: empty where no certificates of senders are asked for."""

    certificate: bytes
    key: bytes
    client_ca: bytes


class Certificates:
    """context: of the server. Each handshake takes the context made last, so none ever sees half of a change."""

    def __init__(self, tls: Tls | IngestTls, setting: str) -> None:
        """tls: settings with both files. setting: the path of ``tls``, such as ``api.tls``.

        Raises: ConfigInvalid where files cannot be read, or do not belong together.
        """
        self._tls, self._setting = tls, setting
        self._stamp = self._changed()
        self.context, self.pems = self._loaded()
        self._newest = self.context
        self.context.sni_callback = self._choose

    @property
    def asks_clients(self) -> bool:
        """True if a sender may show a certificate."""
        return bool(_client_ca(self._tls))

    @property
    def needs_clients(self) -> bool:
        """True if a sender without a certificate is refused in the handshake."""
        return isinstance(self._tls, IngestTls) and self.asks_clients and self._tls.client_certificate_required

    def read_again(self) -> None:
        """Take other certificates where the files have changed; keep those in use where they are wrong."""
        stamp = self._changed()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._newest, self.pems = self._loaded()
        except ConfigInvalid as error:
            log.error("the certificate is not read again: the one in use stays", reason=str(error))
        else:
            log.info("the certificate was read again", file=self._tls.certificate_file)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _files(self) -> dict[str, str]:
        """Setting -> file."""
        files = {"certificate_file": self._tls.certificate_file, "key_file": self._tls.key_file}
        return {**files, "client_ca_file": _client_ca(self._tls)}

    def _changed(self) -> list[tuple[int, int] | None]:
        """Times of change and inodes of the files."""
        found: list[tuple[int, int] | None] = []
        for file in self._files().values():
            try:
                status = Path(file).stat()
                found.append((status.st_mtime_ns, status.st_ino))
            except OSError:
                found.append(None)
        return found

    def _loaded(self) -> tuple[ssl.SSLContext, Pems]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._tls.certificate_file, self._tls.key_file, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            files = f"{self._tls.certificate_file}, {self._tls.key_file}"
            raise self._invalid("certificate_file", files, error) from None
        if self.asks_clients:
            try:
                context.load_verify_locations(_client_ca(self._tls))
            except (OSError, ssl.SSLError, ValueError) as error:
                raise self._invalid("client_ca_file", _client_ca(self._tls), error) from None
            context.verify_mode = ssl.CERT_REQUIRED if self.needs_clients else ssl.CERT_OPTIONAL
        contents = {name: self._content(name, file) if file else b"" for name, file in self._files().items()}
        return context, Pems(contents["certificate_file"], contents["key_file"], contents["client_ca_file"])

    def _content(self, name: str, file: str) -> bytes:
        try:
            with Path(file).open("rb") as opened:
                return opened.read(BYTES_MAX)
        except OSError as error:
            raise self._invalid(name, file, error) from None

    def _invalid(self, name: str, file: str, error: Exception) -> ConfigInvalid:
        return ConfigInvalid(f"{self._setting}.{name}", f"{file}: {getattr(error, 'reason', None) or error}"[:300])


def _client_ca(tls: Tls | IngestTls) -> str:
    return tls.client_ca_file if isinstance(tls, IngestTls) else ""
