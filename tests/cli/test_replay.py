"""nissa replay: the same capture gives the same content, however often."""

from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def exported(directory: Path) -> str:
    """Everything in a directory."""
    return RUNNER.invoke(app, ["export", str(directory)]).stdout


def capture_of(directory: Path) -> Path:
    """The journal's segments, which are captures."""
    return max((directory / "journal").glob("*.journal"))


def test_a_capture_played_twice_into_directories_gives_the_same(directory: Path, tmp_path: Path) -> None:
    """The capture's own times are the clock, so an old capture is taken whole, and twice is the same as once."""
    capture = capture_of(directory)
    for name in ("first", "second", "second"):
        result = RUNNER.invoke(app, ["replay", str(capture), "--to", str(tmp_path / name), "--full-speed"])
        assert result.exit_code == 0, result.stderr
    assert exported(tmp_path / "first") == exported(tmp_path / "second")
    assert exported(tmp_path / "first") == exported(directory)


def test_the_sum_is_told(directory: Path, tmp_path: Path) -> None:
    """Frames, bytes and samples on one line."""
    result = RUNNER.invoke(app, ["replay", str(capture_of(directory)), "--to", str(tmp_path / "x"), "--full-speed"])
    assert result.stdout.startswith("frames=3 bytes=")
    assert " samples=3 " in result.stdout


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    """Bytes of another kind end with exit code 1 and their first bytes."""
    path = tmp_path / "x"
    path.write_bytes(b"something else")
    result = RUNNER.invoke(app, ["replay", str(path), "--to", str(tmp_path / "y")])
    assert result.exit_code == 1
    assert "neither a journal segment" in result.stderr
