"""Options for a range of time, as the commands with one take them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


@pytest.mark.parametrize("command", ["export", "events", "files"])
def test_a_range_is_given_in_all_forms(directory: Path, command: str) -> None:
    """--start takes relative times, --since a distance from now; both together are the operator's mistake."""
    assert "relative to now (now-1h)" in " ".join(RUNNER.invoke(app, [command, "--help"]).stdout.split())
    for span in (["--start", "-1h", "--end", "now"], ["--since", "1h30m"], ["--since", "100y"]):
        assert RUNNER.invoke(app, [command, str(directory), *span]).exit_code == 0
    both = RUNNER.invoke(app, [command, str(directory), "--since", "1h", "--start", "-1h"])
    assert (both.exit_code, "either start or since" in both.stderr) == (2, True)


def test_since_leaves_out_what_is_older(directory: Path) -> None:
    """An export of the last hour holds no sample of years ago, one of the last century does."""
    assert RUNNER.invoke(app, ["export", str(directory), "--since", "1h"]).stdout == ""
    assert len(RUNNER.invoke(app, ["export", str(directory), "--since", "100y"]).stdout.splitlines()) == 2


@pytest.mark.parametrize("command", [["query"], ["events"], ["inspect"], ["pin", "list"]])
def test_the_zone_is_said(command: list[str]) -> None:
    """Commands that print times say of which zone they are."""
    assert "UTC" in RUNNER.invoke(app, [*command, "--help"]).stdout
