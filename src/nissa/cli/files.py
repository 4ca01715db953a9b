"""nissa files: lists the Parquet files of a directory, for programs that read them themselves."""

from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.time_options import End, Since, Start


def files(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    kind: Annotated[str, typer.Option(help="raw, events, series, or a tier such as 5m.", metavar="KIND")] = "raw",
    match: Annotated[
        list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated. Default: everything.")
    ] = None,
    start: Start = "",
    end: End = "",
    since: Since = "",
) -> None:
    """Print the paths of the Parquet files of one kind, oldest first. The daemon may be running.

    The files together contain every sealed row exactly once; a glob over the directory finds some rows twice while
    blocks are merged. With --match, --start, --end or --since, only files that may contain such rows are printed. A
    merged file is deleted afterwards: a program that finds a file missing lists the files again. DIR/manifest.json has
    the same list.

    \b
    Examples:
      nissa files                                             blocks of samples
      nissa files --kind series                               labels by series id
      nissa files --match 'up{job="api"}' --start 2026-01-01T00:00:00Z
      nissa files --kind 1h | xargs ls -l
    """
    run_command("nissa files", lambda: _files(directory, kind, match or [], (start, end, since)))


def _files(directory: Path, kind: str, match: list[str], span: tuple[str, str, str]) -> None:
    import nissa  # loads numpy and the reader, which --help does without
    from nissa.query.times import read_start

    start, end, since = span
    with nissa.open(existing(directory)) as reader:
        for path in reader.files(kind, match, read_start(start, since), end):
            print(path)
