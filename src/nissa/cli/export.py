"""nissa export: samples out of a directory, in a form that other tools read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import existing, run_command

EVERYTHING = '{__name__=~".+"}'


def export(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    match: Annotated[
        list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated. Default: everything.")
    ] = None,
    start: Annotated[str, typer.Option(help="First moment: RFC 3339 or Unix seconds, inclusive.", metavar="TIME")] = "",
    end: Annotated[str, typer.Option(help="Last moment, inclusive.", metavar="TIME")] = "",
    form: Annotated[str, typer.Option("--format", help="jsonl, csv, parquet or arrow.", metavar="FORM")] = "jsonl",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.", metavar="FILE")
    ] = None,
) -> None:
    """Write samples of a data directory as JSON lines, CSV, Parquet or Arrow. The daemon may be running.

    The file appears under its name when it is complete. JSON lines are VictoriaMetrics' form:
    {"metric":{...},"timestamps":[ms,...],"values":[...]}; NaN is null, a staleness marker is "StaleNaN".

    \b
    Examples:
      nissa export                                                   everything in ./nissa-data
      nissa export --match 'up{job="api"}' --start 2026-01-01T00:00:00Z
      nissa export /var/lib/nissa --format parquet --output day.parquet
      nissa export --format csv --match 'http_requests_total' | head
    """
    selectors = match or [EVERYTHING]
    run_command("nissa export", lambda: _export(directory, selectors, (start, end), form, output))


def _export(directory: Path, match: list[str], span: tuple[str, str], form: str, output: Path | None) -> None:
    import nissa  # loads numpy and the reader, which --help does without

    with nissa.open(existing(directory)) as reader:
        if output is None:
            reader.export(sys.stdout.buffer, match, *span, form=form)
            sys.stdout.buffer.flush()
            return
        unfinished = output.with_name(output.name + ".unfinished")
        try:
            with unfinished.open("wb") as file:
                reader.export(file, match, *span, form=form)
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
