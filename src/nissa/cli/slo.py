"""nissa slo: checks files of objectives, and prints the rules that watch them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import run_command

if TYPE_CHECKING:
    from nissa.slo.objective import Objective

app = typer.Typer(
    no_args_is_help=True, help="Check files of objectives, and print the rules that watch them.", rich_markup_mode=None
)
Files = Annotated[list[Path], typer.Argument(help="Files of objectives.", metavar="FILE...")]


@app.command("check")
def check_objectives(files: Files) -> None:
    """Read files of Nissa's own form or of OpenSLO v1, and name the first fault with its place."""
    run_command("nissa slo check", lambda: _check(files))


@app.command("rules")
def print_rules(
    files: Files,
    share: Annotated[
        float, typer.Option("--burn-alert-threshold", help="Share of a budget within 24 hours that alerts; 0: none.")
    ] = 0.4,
) -> None:
    """Print the rules that watch the objectives of files, as a rule file of Prometheus."""
    run_command("nissa slo rules", lambda: _rules(files, share))


def _read(files: list[Path]) -> list["Objective"]:
    from nissa.config.slo import SloSettings
    from nissa.promql.parse import check_expression
    from nissa.slo.objective_file import read_objective_file

    window_ms = SloSettings().window_ms
    return [one for file in files for one in read_objective_file(file, window_ms, check_expression)]


def _check(files: list[Path]) -> None:
    for objective in _read(files):
        print(f"{objective.file}: {objective.name}: {objective.target_percent:g} %")


def _rules(files: list[Path], share: float) -> None:
    import yaml

    from nissa.slo.burn_rules import burn_rule_groups, written_groups

    groups = [group for objective in _read(files) for group in burn_rule_groups(objective, share)]
    print(yaml.safe_dump(written_groups(groups), sort_keys=False, width=120), end="")
