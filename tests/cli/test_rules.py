"""nissa rules check: what it prints, and its exit codes."""

from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_a_bad_file_is_invalid_input(tmp_path: Path) -> None:
    """Exit code 2, after the other files were read too; 0 where all are sound."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]")
    bad.write_text("groups: [{name: g, rules: [{alert: A, expr: up ==}]}]")
    found = RUNNER.invoke(app, ["rules", "check", str(bad), str(good)])
    assert found.exit_code == 2
    assert "bad.yaml, line 1: groups[0].rules[0].expr: " in found.stderr
    assert f"{good}: 1 rules found" in found.stdout
    assert RUNNER.invoke(app, ["rules", "check", str(good)]).exit_code == 0
