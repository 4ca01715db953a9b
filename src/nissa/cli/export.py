"""nissa export: samples out of a directory, in a form that other tools read."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command

EVERYTHING = '{__name__=~".+"}'


def export(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    match: Annotated[
        list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated. Default: everything.")
    ] = None,
    start: Annotated[str, typer.Option(help="First moment: RFC 3339 or Unix seconds, inclusive.", metavar="TIME")] = "",
    end: Annotated[str, typer.Option(help="Last moment, inclusive.", metavar="TIME")] = "",
    form: Annotated[str, typer.Option("--format", help="jsonl, csv, parquet or arrow.", metavar="FORM")] = "jsonl",
    resolution: Annotated[
        str, typer.Option(help="raw, a tier such as 5m, or auto: the coarsest that serves --step.", metavar="TIER")
    ] = "raw",
    step: Annotated[str, typer.Option(help="For auto: how far apart points are wanted.", metavar="DURATION")] = "",
    quantiles: Annotated[
        str, typer.Option(help="Of each window, apart by commas. Default: 0.5,0.95,0.99.", metavar="LIST")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.", metavar="FILE")
    ] = None,
) -> None:
    """Write samples of a data directory as JSON lines, CSV, Parquet or Arrow. The daemon may be running.

    The file appears under its name when it is complete. JSON lines are VictoriaMetrics' form:
    {"metric":{...},"timestamps":[ms,...],"values":[...]}; NaN is null, a staleness marker is "StaleNaN".
    With --resolution they hold windows: {"metric":{...},"resolution":"5m","timestamps":[starts],"count":[...],...}

    Blocks in quarantine are named on standard error, and the exit code is 1; all the rest is written.

    \b
    Examples:
      nissa export                                                   everything in ./nissa-data
      nissa export --match 'up{job="api"}' --start 2026-01-01T00:00:00Z
      nissa export /var/lib/nissa --format parquet --output day.parquet
      nissa export --format csv --match 'http_requests_total' | head
      nissa export --resolution 1h --quantiles 0.5,0.999 --match 'request_seconds'
    """
    selectors = match or [EVERYTHING]
    windows = (resolution, step, quantiles)
    run_command("nissa export", lambda: _export(directory, selectors, (start, end), form, windows, output))


def _export(
    directory: Path,
    match: list[str],
    span: tuple[str, str],
    form: str,
    windows: tuple[str, str, str],
    output: Path | None,
) -> None:
    import nissa  # loads numpy and the reader, which --help does without
    from nissa.model.errors import Damaged
    from nissa.query.resolution import read_wanted
    from nissa.store.quarantine import Quarantined

    wanted = read_wanted(*windows)
    missing: set[str] = set()

    def note(damage: Damaged) -> None:
        """What is in quarantine is left out and told; damage that is met on the way ends the export."""
        if not isinstance(damage, Quarantined):
            raise damage
        missing.add(str(damage))

    with nissa.open(existing(directory)) as reader:
        _write(lambda file: reader.export(file, match, *span, form=form, wanted=wanted, on_damage=note), output)
    for what in sorted(missing):
        print(f"nissa export: {what}", file=sys.stderr)
    if missing:
        sys.exit(OUTSIDE)


def _write(write: Callable[[IO[bytes]], object], output: Path | None) -> None:
    """Into ``output``, which appears when it is complete, or to standard output."""
    if output is None:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    unfinished = output.with_name(output.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            write(file)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
