"""nissa size: prints cores, memory and disk with their parts, or one JSON object."""

import json

from typer.testing import CliRunner

from nissa.cli.main import app
from nissa.cli.size import in_words

RUNNER = CliRunner()


def test_a_load_is_sized() -> None:
    """By interval or by rate, in words or JSON; the two agree."""
    shown = RUNNER.invoke(app, ["size", "--series", "150000", "--interval", "15s"])
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("10,000 samples/s, 150,000 series")
    found = json.loads(
        RUNNER.invoke(app, ["size", "--series", "150000", "--samples-per-second", "1e4", "--json"]).stdout
    )
    assert f"{in_words(found['disk_bytes'])}" in shown.stdout
    assert found["cores"] == 2.0


def test_settings_and_bad_arguments() -> None:
    """A limit that is too low is printed as a change; an interval that is none exits with 2."""
    shown = RUNNER.invoke(app, ["size", "--series", "3000000"])
    assert "change series.active_max: 4500000 (now 1000000)" in shown.stdout
    for interval in ("15", "0s", "often"):
        refused = RUNNER.invoke(app, ["size", "--series", "1", "--interval", interval])
        assert refused.exit_code == 2
        assert "--interval: expected" in refused.stderr
