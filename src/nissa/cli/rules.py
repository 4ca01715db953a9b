"""nissa rules: checks rule files, runs their unit tests, and shows what they would have done in the past."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import OPERATOR, existing, run_command
from nissa.cli.time_options import TIME_FORMS

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

ALERT = "alertname"

app = typer.Typer(
    no_args_is_help=True,
    help="Check rule files, run their unit tests, and show what they would have done.",
    rich_markup_mode=None,
)
Files = Annotated[list[Path], typer.Argument(help="Rule files.", metavar="FILE...")]
TestFiles = Annotated[list[Path], typer.Argument(help="Files of unit tests, in promtool's format.", metavar="FILE...")]


@app.command("check")
def check_rules(files: Files) -> None:
    """Read rule files of Prometheus or of the short form, and name the first fault of each with its line."""
    run_command("nissa rules check", lambda: _check(files))


@app.command("test")
def test_rules(files: TestFiles) -> None:
    """Run unit tests of rules. The format is that of promtool test rules."""
    run_command("nissa rules test", lambda: _test(files))


@app.command("backtest")
def backtest_rules(
    file: Annotated[Path, typer.Argument(help="A rule file.", metavar="FILE")],
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    start: Annotated[str, typer.Option(help=f"First evaluation: {TIME_FORMS}.", metavar="TIME")] = "-1d",
    end: Annotated[str, typer.Option(help="Last evaluation, in the same forms.", metavar="TIME")] = "now",
    interval: Annotated[
        str, typer.Option(help="Interval of groups that name none, such as 30s.", metavar="DURATION")
    ] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show which alerts of a file would have fired in the stored past. Nothing is stored or sent.

    Event alerts are left out, with a message for each.

    \b
    Example:
      nissa rules backtest rules.yaml /var/lib/nissa --start -7d
    """
    run_command("nissa rules backtest", lambda: _backtest(file, directory, (start, end, interval), as_json))


def _backtest(file: Path, directory: Path, span: tuple[str, str, str], as_json: bool) -> None:
    # Loaded here: the reader and the evaluator are not for --help.
    from rich.console import Console
    from rich.progress import Progress

    import nissa
    from nissa.cli.text_table import print_table, utc
    from nissa.promql.parse import check_expression
    from nissa.query.times import read_moment, read_step
    from nissa.rules.rule_file import read_rule_file
    from nissa.service.clock import wall_ms
    from nissa.service.rule_backtest import backtest, firing_spans

    now_ms = wall_ms()
    start_ms, end_ms = (read_moment(text, name, now_ms) for text, name in zip(span, ("--start", "--end"), strict=False))
    interval_ms, groups = read_step(span[2]), read_rule_file(file, check_expression)
    rows: list[list[object]] = []
    with nissa.open(existing(directory)) as reader, Progress(console=Console(stderr=True), transient=True) as bar:
        for group in groups:
            step_ms = group.interval_ms or interval_ms
            task = bar.add_task(group.name, total=(end_ms - start_ms) // step_ms + 1)
            changes = list(backtest(group, reader, (start_ms, end_ms), interval_ms, partial(_advance, bar, task)))
            for rule, error in changes:
                if isinstance(error, str):
                    print(f"{group.name}: {rule}: {error}", file=sys.stderr)
            for rule, fired, until_ms in firing_spans(changes):
                labels = ", ".join(f"{name}={value}" for name, value in sorted(fired.labels.items()) if name != ALERT)
                until = utc(until_ms, to_the_second=True) if until_ms else "still fires"
                rows.append([group.name, rule, labels, utc(fired.at_ms, to_the_second=True), until, f"{fired.value:g}"])
    print_table("firings", ("group", "alert", "labels", "from", "until", "value"), rows, as_json=as_json)


def _advance(bar: "Progress", task: "TaskID", done: int) -> None:
    bar.update(task, completed=done)


def _check(files: list[Path]) -> None:
    from nissa.model.errors import ConfigInvalid
    from nissa.promql.parse import check_expression
    from nissa.rules.rule_file import read_rule_file

    failed = False
    for file in files:
        try:
            groups = read_rule_file(file, check_expression)
        except ConfigInvalid as error:
            print(f"FAILED: {error}", file=sys.stderr)
            failed = True
        else:
            print(f"{file}: {sum(len(group.rules) for group in groups)} rules found")
    if failed:
        raise typer.Exit(OPERATOR)


def _test(files: list[Path]) -> None:
    from nissa.promql.parse import check_expression
    from nissa.rules.unit_test import run_unit_test_file
    from nissa.service.rule_ground import MemoryGround

    failed = False
    for file in files:
        failures = run_unit_test_file(file, check_expression, MemoryGround)
        print(f"{file}: {'FAILED' if failures else 'SUCCESS'}")
        for failure in failures:
            print(f"  {failure}", file=sys.stderr)
        failed |= bool(failures)
    if failed:
        raise typer.Exit(1)
