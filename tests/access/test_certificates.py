"""Certificates of a port: wrong files, authorities of senders. Ports with them: tests/journeys/test_ingest_tls.py."""

import shutil
from pathlib import Path

import pytest

from nissa.access.certificates import Certificates
from nissa.config.access import IngestTls, Tls, check_tls
from nissa.model.errors import ConfigInvalid
from oracle.certificates import self_signed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


def test_wrong_files(tmp_path):
    """A file that is no certificate is refused, naming its setting; a certificate in use stays in use."""
    tls = self_signed(tmp_path, "first")
    certificates = Certificates(tls, "api.tls")
    for text in ("nonsense", ""):
        Path(tls.certificate_file).write_text(text)
        certificates.read_again()
        with pytest.raises(ConfigInvalid, match=r"api\.tls\.certificate_file"):
            Certificates(tls, "api.tls")
    for half, missing in ((Tls("a", ""), "key_file"), (Tls("", "b"), "certificate_file")):
        with pytest.raises(ConfigInvalid, match=rf"api\.tls\.{missing}"):
            check_tls(half, "api.tls")


def test_authorities_of_senders(tmp_path):
    """A file that holds none is refused; senders show certificates over TLS only; required is the default."""
    tls = self_signed(tmp_path, "first")
    files = (tls.certificate_file, tls.key_file)
    assert not Certificates(IngestTls(*files), "ingest.tls").asks_clients
    required = Certificates(IngestTls(*files, tls.certificate_file), "ingest.tls")
    assert (required.asks_clients, required.needs_clients) == (True, True)
    optional = Certificates(IngestTls(*files, tls.certificate_file, client_certificate_required=False), "ingest.tls")
    assert (optional.asks_clients, optional.needs_clients) == (True, False)
    for wrong in (tls.key_file, str(tmp_path / "missing")):
        with pytest.raises(ConfigInvalid, match=r"ingest\.tls\.client_ca_file"):
            Certificates(IngestTls(*files, wrong), "ingest.tls")
    with pytest.raises(ConfigInvalid, match=r"ingest\.tls\.certificate_file"):
        check_tls(IngestTls(client_ca_file="a"), "ingest.tls")
