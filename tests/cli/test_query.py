"""nissa query: tables, plots and JSON of a directory."""

import json
from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_an_instant_is_a_table(directory: Path) -> None:
    """One row per series with its labels and value, at the newest sample where no time is given."""
    told = RUNNER.invoke(app, ["query", "count by (job) (temperature)", str(directory)])
    assert told.exit_code == 0
    assert '{job="nissa"}' in told.stdout
    assert told.stdout.splitlines()[2].split()[-1] == "2"
    assert RUNNER.invoke(app, ["query", "1 + 1", str(directory)]).stdout == "2\n"
    assert RUNNER.invoke(app, ["query", '"text"', str(directory)]).stdout == "text\n"


def test_a_range_is_a_plot(directory: Path) -> None:
    """Steps from start to end are drawn, with a legend of series."""
    newest = float(RUNNER.invoke(app, ["query", "max(timestamp(temperature))", str(directory)]).stdout.split()[-1])
    span = ["--start", str(newest - 60), "--end", str(newest), "--step", "10s"]
    told = RUNNER.invoke(app, ["query", "temperature", str(directory), *span]).stdout
    assert 'room="kitchen"' in told
    assert any(0x2800 < ord(letter) < 0x2900 for letter in told)
    assert RUNNER.invoke(app, ["query", "nothing", str(directory), *span]).stdout == "no series\n"
    assert RUNNER.invoke(app, ["query", "vector(7)", str(directory), "--start", "-1h"]).stdout.endswith("{}  7\n")


def test_json_is_that_of_the_api(directory: Path) -> None:
    """--json prints the data of the HTTP API."""
    told = json.loads(RUNNER.invoke(app, ["query", "temperature", str(directory), "--json"]).stdout)
    assert told["resultType"] == "vector"
    assert len(told["result"]) == 2


def test_faults_are_told_in_a_line(directory: Path) -> None:
    """A bad expression is the operator's fault, with its place; notes go to standard error."""
    told = RUNNER.invoke(app, ["query", "sum(", str(directory)])
    assert told.exit_code == 2
    assert "1:5: parse error" in told.stderr
    noted = RUNNER.invoke(app, ["query", "rate(temperature[5m])", str(directory)])
    assert "PromQL info: metric might not be a counter" in noted.stderr
    assert RUNNER.invoke(app, ["query", "x", str(directory), "--end", "1"]).exit_code == 2
