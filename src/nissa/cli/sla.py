"""nissa sla: lists definitions and checks files of them, verifies the chain of snapshots, and writes reports."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.own_database import ConfigFile, DataDirectory, own_database
from nissa.cli.text_table import print_table, utc

COLUMNS: Final = ("id", "version", "service", "type", "target", "window", "from", "to", "changed by")


class ReportForm(StrEnum):
    """Form of a report."""

    PDF = "pdf"
    CSV = "csv"


app = typer.Typer(
    no_args_is_help=True,
    help="List and check definitions of service level agreements, verify their snapshots, and write reports.",
    rich_markup_mode=None,
)


@app.command("list")
def list_sla(
    service: Annotated[str, typer.Option(help="Only of this service.", metavar="NAME")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Show definitions with all their versions, the oldest first. The daemon may be running.

    A version is in force from one time until another, in UTC; the current one has no end.
    """
    run_command("nissa sla list", lambda: _list(service, as_json, config, data_dir))


@app.command("check")
def check_sla(
    files: Annotated[list[Path], typer.Argument(help="Files of definitions.", metavar="FILE...")],
) -> None:
    """Read files of definitions, and name the first fault with its place."""
    run_command("nissa sla check", lambda: _check(files))


@app.command("verify")
def verify_sla(config: ConfigFile = None, data_dir: DataDirectory = None) -> None:
    """Check the chain of snapshots. The daemon may be running.

    Prints the number of snapshots and the last hash: keep it elsewhere, as removing the newest ones leaves a chain that
    holds. Exit code 1 where a snapshot was altered, removed or put in between.
    """
    run_command("nissa sla verify", lambda: _verify(config, data_dir))


@app.command("report")
def report_sla(
    sla: Annotated[str, typer.Argument(help="Id of the agreement.", metavar="ID")],
    pdf: Annotated[
        Path | None, typer.Option("--pdf", help="PDF that is written; one that exists is replaced.", metavar="FILE")
    ] = None,
    form: Annotated[
        ReportForm, typer.Option("--format", help="pdf: written to --pdf; csv: its days, to standard output.")
    ] = ReportForm.PDF,
    font: Annotated[
        str, typer.Option(help="TrueType or OpenType font of the PDF; sla.report_font by default.", metavar="FILE")
    ] = "",
    period: Annotated[
        str, typer.Option(help="Month (2024-11) or quarter (2024-Q4); the last full month by default.")
    ] = "",
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Write the report of a month or quarter as PDF, or its days as CSV. The daemon may be running.

    PDF needs the extra nissa[reports].
    """
    if form is ReportForm.PDF and pdf is not None:
        run_command("nissa sla report", lambda: _report(sla, pdf, font, period, config, data_dir))
    elif form is ReportForm.CSV and pdf is None:
        run_command("nissa sla report", lambda: _report_csv(sla, period, config, data_dir))
    else:
        raise typer.BadParameter("expected either --pdf FILE or --format csv")


def _list(service: str, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    from nissa.tiers.sla_store import SlaStore

    with own_database(config, data_dir) as database:
        stored = SlaStore(database, 1).definitions().values()
    rows = [
        [one.id, one.version, one.service, one.metric_type, one.target, one.time_window]
        + [utc(at_ms, to_the_second=True) if at_ms else "" for at_ms in (one.active_from_ms, one.active_to_ms)]
        + [one.changed_by]
        for versions in stored
        for one in versions
        if not service or versions[-1].service == service
    ]
    print_table("definitions", COLUMNS, rows, as_json=as_json)


def _check(files: list[Path]) -> None:
    from nissa.tiers.sla_file import read_sla_file

    for path in files:
        for one in read_sla_file(path):
            print(f"{path}: {one.id}: {one.metric_type} {one.target:g} in {one.time_window}")


def _verify(config: Path | None, data_dir: Path | None) -> None:
    from nissa.tiers.sla_store import SlaStore

    with own_database(config, data_dir) as database:
        count, last = SlaStore(database, 1).verify()
    print(f"{count} snapshots hold; the last hash is {last or 'none'}")


def _report(sla: str, pdf: Path, font: str, period: str, config: Path | None, data_dir: Path | None) -> None:
    from nissa.config.load import load_config
    from nissa.service.clock import wall_ms
    from nissa.tiers.sla_pdf import stored_report_pdf
    from nissa.tiers.sla_store import SlaStore

    with own_database(config, data_dir) as database:
        font = font or load_config(config, os.environ, {}).sla.report_font
        body = stored_report_pdf(SlaStore(database, 1), sla, period, wall_ms(), font)
    pdf.write_bytes(body)
    print(f"{pdf}: {len(body)} bytes")


def _report_csv(sla: str, period: str, config: Path | None, data_dir: Path | None) -> None:
    from nissa.service.clock import wall_ms
    from nissa.tiers.sla_pdf import period_days
    from nissa.tiers.sla_report import days_csv
    from nissa.tiers.sla_store import NoDefinition, SlaStore

    with own_database(config, data_dir) as database:
        store = SlaStore(database, 1)
        if sla not in store.definitions():
            raise NoDefinition(f"there is no definition {sla[:100]!r}")
        days = store.snapshots([sla], *period_days(period, wall_ms()))
    print(days_csv(days), end="")
