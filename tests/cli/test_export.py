"""nissa export: every form, the range, and a file that appears whole or not at all."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from nissa.catalogue.catalogue import Catalogue
from nissa.cli.main import app
from nissa.store.quarantine import put_aside, rename_damaged

RUNNER = CliRunner()
NOW_MS = 1_732_190_000_000


def test_json_lines_hold_blocks_and_journal(directory: Path) -> None:
    """Sealed and unsealed samples come as one, in VictoriaMetrics' form."""
    result = RUNNER.invoke(app, ["export", str(directory), "--match", 'temperature{room="kitchen"}'])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "metric": {"__name__": "temperature", "job": "nissa", "room": "kitchen"},
        "timestamps": [NOW_MS, NOW_MS + 1000],
        "values": [21.5, 22.5],
    }


def test_the_range_includes_both_ends(directory: Path) -> None:
    """Start and end are moments of samples that are given."""
    moment = str(NOW_MS // 1000 + 1)
    result = RUNNER.invoke(app, ["export", str(directory), "--start", moment, "--end", moment, "--format", "csv"])
    assert [line.rsplit(",", 2)[1:] for line in result.stdout.splitlines()[1:]] == [[str(NOW_MS + 1000), "22.5"]]


def test_a_file_appears_under_its_name_when_whole(directory: Path, tmp_path: Path) -> None:
    """--output writes Parquet that reads back, and leaves nothing unfinished."""
    output = tmp_path / "out.parquet"
    assert RUNNER.invoke(app, ["export", str(directory), "--format", "parquet", "--output", str(output)]).exit_code == 0
    assert sorted(parquet.read_table(output)["value"].to_pylist()) == [9.25, 21.5, 22.5]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.parquet"]


def test_a_dash_is_standard_output(directory: Path) -> None:
    """--output - writes what no --output writes."""
    plain = RUNNER.invoke(app, ["export", str(directory), "--format", "csv"])
    dash = RUNNER.invoke(app, ["export", str(directory), "--format", "csv", "--output", "-"])
    assert dash.exit_code == 0
    assert dash.stdout == plain.stdout != ""


def test_windows_have_the_same_forms(directory: Path, tmp_path: Path) -> None:
    """--resolution with --format parquet writes rows of windows; quantiles say whether they are exact."""
    output = tmp_path / "windows.parquet"
    arguments = ["--resolution", "5m", "--quantiles", "0.5", "--format", "parquet", "--output", str(output)]
    assert RUNNER.invoke(app, ["export", str(directory), *arguments]).exit_code == 0
    rows = [row for row in parquet.read_table(output).to_pylist() if row["name"] == "temperature" and row["count"] == 2]
    assert [(row["resolution"], row["p50"], row["exact"]) for row in rows] == [("5m", 22.0, True)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--match", "{"], "cannot be read"),
        (["--match", "{}"], "at least one non-empty matcher"),
        (["--format", "xml"], "none of"),
        (["--start", "yesterday"], "RFC 3339"),
        (["--start", "2", "--end", "1"], "before start"),
        (["--resolution", "5m", "--quantiles", "1.01"], "'quantiles'"),
        (["--resolution", "7m"], "'resolution'"),
    ],
)
def test_bad_questions_are_the_operators(directory: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    """Exit code 2, one line of why, and no file."""
    output = tmp_path / "never"
    result = RUNNER.invoke(app, ["export", str(directory), "--output", str(output), *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert not output.exists()


def test_a_mistyped_directory_is_not_an_empty_one(tmp_path: Path) -> None:
    """A missing directory is an error."""
    result = RUNNER.invoke(app, ["export", str(tmp_path / "absent")])
    assert result.exit_code == 2
    assert "no such file or directory" in result.stderr


def test_what_is_in_quarantine_is_told(directory: Path, tmp_path: Path) -> None:
    """All the rest is written, the missing block is named on standard error, and the exit code says so."""
    catalogue = Catalogue.open(directory)
    block = catalogue.blocks("raw")[0]
    rename_damaged(directory, [put_aside(catalogue, block, "hit", 9)])
    catalogue.close()
    output = tmp_path / "out.csv"
    result = RUNNER.invoke(app, ["export", str(directory), "--format", "csv", "--output", str(output)])
    assert result.exit_code == 1
    assert "2 rows of" in result.stderr
    assert len(output.read_text().splitlines()) == 2  # the head line, and the sample in the journal
    result = RUNNER.invoke(app, ["export", str(directory), "--end", "1000", "--output", str(output)])
    assert result.exit_code == 0, result.stderr
