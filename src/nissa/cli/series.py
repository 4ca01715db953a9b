"""nissa series: the series of a directory, or the metric names and labels that have the most."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import print_table


def series(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    match: Annotated[
        list[str] | None, typer.Option(help="Selector, as in PromQL; may be repeated. Default: everything.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Print only their number.")] = False,
    top: Annotated[
        int, typer.Option(help="Instead: the N metric names and labels with the most series.", min=0, metavar="N")
    ] = 0,
    limit: Annotated[int, typer.Option(help="Maximum number of series; 0: all.", min=0, metavar="N")] = 0,
) -> None:
    """List the series of a data directory, one JSON object of labels per line. The daemon may be running.

    \b
    Examples:
      nissa series --match '{job="api"}'       labels of every series of a job
      nissa series --count                     how many series there are
      nissa series --top 10                    metric names and labels with the most series
    """
    run_command("nissa series", lambda: _series(directory, match or [], count, top, limit))


def _series(directory: Path, match: list[str], count: bool, top: int, limit: int) -> None:
    # Loaded here: numpy and the reader are not for --help.
    import orjson

    import nissa
    from nissa.model.selector import read_selectors
    from nissa.query.series_answers import SeriesRequest, matched_series
    from nissa.query.tsdb_status import tsdb_status

    selectors = read_selectors(match)
    with nissa.open(existing(directory)) as reader:
        if top:
            _print_top(tsdb_status(reader.index, top, reader.status()))
            return
        found = matched_series(reader, SeriesRequest(selectors=selectors))
        if count:
            print(len(found))
            return
        for one in (found[:limit] if limit else found).tolist():
            sys.stdout.buffer.write(orjson.dumps(dict(reader.index.labels(one)), option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


def _print_top(status: dict[str, Any]) -> None:
    titles = {
        "seriesCountByMetricName": "series by metric name",
        "labelValueCountByLabelName": "values by label name",
        "seriesCountByLabelValuePair": "series by label pair",
    }
    for key, title in titles.items():
        print_table(title, ["name", "count"], [[row["name"], row["value"]] for row in status[key]], as_json=False)
