"""nissa export: writes samples of a directory in formats that other tools read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command
from nissa.cli.output import write_output
from nissa.cli.time_options import End, Since, Start

EVERYTHING = '{__name__=~".+"}'


def export(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    match: Annotated[
        list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated. Default: everything.")
    ] = None,
    start: Start = "",
    end: End = "",
    since: Since = "",
    form: Annotated[str, typer.Option("--format", help="jsonl, csv, parquet or arrow.", metavar="FORM")] = "jsonl",
    resolution: Annotated[
        str,
        typer.Option(help="raw, a tier such as 5m, or auto: the coarsest whose windows divide --step.", metavar="TIER"),
    ] = "raw",
    step: Annotated[str, typer.Option(help="For --resolution auto: distance of points.", metavar="DURATION")] = "",
    quantiles: Annotated[
        str, typer.Option(help="Quantiles of windows, separated by commas. Default: 0.5,0.95,0.99.", metavar="LIST")
    ] = "",
    stale: Annotated[
        str, typer.Option(help="NaN, staleness markers and infinities in jsonl: drop, null or split.", metavar="WORD")
    ] = "drop",
    output: Annotated[
        Path | None, typer.Option(help="File to write; - is standard output, the default.", metavar="FILE")
    ] = None,
) -> None:
    """Write samples of a data directory as JSON lines, CSV, Parquet or Arrow. The daemon may be running.

    The output file gets its name when it is complete; a FIFO or device is written to directly. JSON lines have the form
    of VictoriaMetrics: {"metric":{...},"timestamps":[ms,...],"values":[...]}. JSON numbers cannot be NaN, staleness
    markers or infinities: --stale drop leaves such values out, null writes them as null, split writes them as words in
    separate lines, which readers that do not know the words skip. With --resolution lines contain windows:
    {"metric":{...},"resolution":"5m","timestamps":[starts],"count":[...],...}

    If blocks are in quarantine, the others are exported, standard error names those missing, and the exit code is 1.


    \b
    Examples:
      nissa export                                                   everything in ./nissa-data
      nissa export --match 'up{job="api"}' --start 2026-01-01T00:00:00Z
      nissa export --since 1h30m --match '{job="api"}'
      nissa export /var/lib/nissa --format parquet --output day.parquet
      nissa export --format csv --match 'http_requests_total' | head
      nissa export | curl -T - http://victoria:8428/api/v1/import
      nissa export --resolution 1h --quantiles 0.5,0.999 --match 'request_seconds'
    """
    selectors = match or [EVERYTHING]
    windows = (resolution, step, quantiles)
    forms = (form, stale)
    run_command("nissa export", lambda: _export(directory, selectors, (start, end, since), forms, windows, output))


def _export(
    directory: Path,
    match: list[str],
    span: tuple[str, str, str],
    forms: tuple[str, str],
    windows: tuple[str, str, str],
    output: Path | None,
) -> None:
    import nissa  # loads numpy and the reader, which --help does without
    from nissa.model.errors import Damaged
    from nissa.query.resolution import read_selected
    from nissa.query.times import read_start
    from nissa.store.quarantine import Quarantined

    wanted, (form, stale) = read_selected(*windows), forms
    start, end, since = span
    first = read_start(start, since)
    missing: set[str] = set()

    def note(damage: Damaged) -> None:
        """Leaves out and reports quarantined blocks; damage found on the way ends the export."""
        if not isinstance(damage, Quarantined):
            raise damage
        missing.add(str(damage))

    with nissa.open(existing(directory)) as reader:
        write_output(
            lambda file: reader.export(file, match, first, end, form=form, wanted=wanted, stale=stale, on_damage=note),
            output,
        )
    for what in sorted(missing):
        print(f"nissa export: {what}", file=sys.stderr)
    if missing:
        sys.exit(OUTSIDE)
