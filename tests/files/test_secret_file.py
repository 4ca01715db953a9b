"""Secrets in files."""

from pathlib import Path

import pytest

from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid


def test_a_secret_is_read_again(tmp_path: Path) -> None:
    """Without the newline at its end; again when the file changes; a file that has gone changes nothing."""
    path = tmp_path / "secret"
    path.write_text("first\n")
    secret = SecretFile(str(path), "sources.oona.secret_file")
    assert (secret.value, secret.text, secret.read_again()) == (b"first", "first", False)
    path.write_text("second")
    assert (secret.read_again(), secret.value) == (True, b"second")
    path.unlink()
    assert (secret.read_again(), secret.value) == (False, b"second")
    assert SecretFile("", "x").value == b""


def test_no_secret(tmp_path: Path) -> None:
    """A file that is missing or empty is refused with the name of the setting."""
    with pytest.raises(ConfigInvalid, match=r"sources.oona.secret_file: .*No such file"):
        SecretFile(str(tmp_path / "none"), "sources.oona.secret_file")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigInvalid, match="expected 1 to 4096 bytes"):
        SecretFile(str(tmp_path / "empty"), "sources.oona.secret_file")
