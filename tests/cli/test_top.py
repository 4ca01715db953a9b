"""The screen of nissa top, drawn from figures."""

import io
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nissa.cli.daemon_figures import Figures
from nissa.cli.main import app
from nissa.cli.top import screen

STATUS: dict[str, Any] = {
    "version": "1",
    "mode": "ready",
    "uptime_ms": 61_000,
    "safeguards": {"mode": {"mode": "normal", "load_percent": {"queue": 1.0}}},
    "series": {"active": 10, "limit": 100},
    "sources": {"statsd": {"up": 1, "state": "up", "error": None}},
    "sinks": {"away": {"state": "failing", "error": "refused\x1b[2J", "backlog_bytes": 2048, "backlog_age_ms": 61_000}},
}
FIGURES = Figures(
    STATUS,
    [{"state": "firing", "labels": {"alertname": "Hot"}, "activeAt": "2026-11-30T06:24:43Z"}],
    {"http/remote_write_1": 1234.0, "http/otlp_logs": 5.0},
    {"too_old": 7.0},
    0.0031,
    asked=True,
)


def drawn(figures: Figures, width: int, **stale: Any) -> list[str]:
    """Lines of a screen without colours."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(screen("http://a:1", figures, width, **stale))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_everything_fits_the_width(width: int) -> None:
    """No line is longer than the terminal, and no text of a sender changes it."""
    lines = drawn(FIGURES, width)
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("too_old") or "too_old" in line for line in lines)


def test_what_is_shown() -> None:
    """Rates of samples and events apart, the p99, refusals by reason, the lag of a sink, the alert."""
    text = "\n".join(drawn(FIGURES, 140))
    for expected in ("1,234", "5", "3.1ms", "too_old", "away", "failing", "2.0 KiB", "1m 1s", "Hot", "Not well"):
        assert expected in text, expected


def test_a_daemon_that_went_away() -> None:
    """The last figures stay, with their age and the reason."""
    text = "\n".join(drawn(FIGURES, 120, away="no answer", age_ms=5_000))
    assert "stale since 5s: no answer" in text
    assert "1,234" in text


def test_figures_of_a_daemon_that_starts() -> None:
    """While it recovers there is a status alone; rates are unknown, not zero."""
    text = "\n".join(drawn(Figures({"mode": "recovering", "recovery": {"percent": 12}}), 80))
    assert "12 %" in text
    assert "?" in text


def test_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """One screen, and the command ends."""
    monkeypatch.setattr("nissa.cli.daemon_figures.ask_figures", lambda _api: FIGURES)
    done = CliRunner().invoke(app, ["top", "--api", "http://a:1"])
    assert done.exit_code == 0
    assert "Received" in done.output
