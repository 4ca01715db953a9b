"""A file that cannot be read is named, with the directory that a relative path begins in."""

from pathlib import Path

import pytest

from nissa.config.unreadable import unreadable


def test_the_working_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a relative path alone."""
    monkeypatch.chdir(tmp_path)
    error = FileNotFoundError(2, "No such file or directory")
    text = "rules.yaml: cannot be read: No such file or directory"
    assert str(unreadable(Path("rules.yaml"), error)) == f"{text} (looked for in the working directory {tmp_path})"
    assert str(unreadable(Path("/etc/rules.yaml"), error)) == f"/etc/{text}"
