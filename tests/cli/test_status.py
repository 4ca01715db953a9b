"""nissa status on a text of the API; the command on a running daemon is a journey (tests/journeys/test_terminal.py)."""

from typer.testing import CliRunner

from nissa.cli.main import app
from nissa.cli.status import alert_text, rate_text


def test_a_daemon_that_is_not_there() -> None:
    """Exit code 2, and one line on standard error; as JSON, an object that says so."""
    for arguments, place in ((["status"], "stderr"), (["status", "--json"], "stdout")):
        found = CliRunner().invoke(app, [*arguments, "--api", "http://127.0.0.1:9"])
        assert found.exit_code == 2
        assert "no answer from http://127.0.0.1:9" in getattr(found, place)


def test_rates_and_alerts_as_text() -> None:
    """An unknown rate is no zero; texts of senders change no terminal."""
    assert [rate_text(rate) for rate in (None, 0, 0.0123, 9.96, 12_345.6)] == ["?", "0", "0.012", "10", "12,346"]
    alert = {"labels": {"alertname": "A\x1b[2J", "b": "1"}, "activeAt": "2026-11-30T06:24:43.000Z"}
    assert alert_text(alert) == "A\\x1b[2J {b=1} since 2026-11-30T06:24:43Z"
