"""Certificates made by openssl: self-signed ones, and those of an authority."""

import subprocess
from pathlib import Path

from nissa.config.access import Tls

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def self_signed(folder: Path, name: str) -> Tls:
    """A certificate for 127.0.0.1, over the one that was there; it is an authority too."""
    folder.mkdir(exist_ok=True)
    tls = Tls(str(folder / "certificate.pem"), str(folder / "key.pem"))
    command = ["openssl", "req", "-x509", *CURVE, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", tls.certificate_file, "-keyout", tls.key_file], check=True, capture_output=True)
    return tls


def signed_by(authority: Tls, folder: Path, name: str) -> Tls:
    """A certificate for 127.0.0.1 that an authority has signed."""
    folder.mkdir(exist_ok=True)
    tls = Tls(str(folder / "certificate.pem"), str(folder / "key.pem"))
    command = ["openssl", "req", "-x509", *CURVE, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-CA", authority.certificate_file, "-CAkey", authority.key_file]
    subprocess.run([*command, "-out", tls.certificate_file, "-keyout", tls.key_file], check=True, capture_output=True)
    return tls
