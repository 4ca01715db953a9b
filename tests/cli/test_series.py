"""nissa series: list, count, top."""

import json
from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_series_are_listed_as_json(directory: Path) -> None:
    """Each series is an object of labels on a line; a selector narrows the list."""
    everything = RUNNER.invoke(app, ["series", str(directory)]).stdout.splitlines()
    assert {json.loads(line)["room"] for line in everything} == {"kitchen", "cellar"}
    one = RUNNER.invoke(app, ["series", str(directory), "--match", '{room=~"cel.*"}']).stdout
    assert json.loads(one) == {"__name__": "temperature", "job": "nissa", "room": "cellar"}


def test_count_and_limit(directory: Path) -> None:
    """--count is a number; --limit cuts the list."""
    assert RUNNER.invoke(app, ["series", str(directory), "--count"]).stdout == "2\n"
    assert len(RUNNER.invoke(app, ["series", str(directory), "--limit", "1"]).stdout.splitlines()) == 1


def test_top_names_the_biggest_users(directory: Path) -> None:
    """--top shows metric names and labels by how many series they have."""
    told = RUNNER.invoke(app, ["series", str(directory), "--top", "3"]).stdout
    assert "series by metric name (1)" in told
    assert "temperature" in told
