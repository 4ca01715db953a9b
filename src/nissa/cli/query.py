"""nissa query: a PromQL expression over a data directory, as a table or as a plot."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import print_table, utc
from nissa.cli.time_options import TIME_FORMS

if TYPE_CHECKING:
    from nissa.promql.values import QueryResult

WIDTH_MOST = 160


def query(
    expression: Annotated[str, typer.Argument(help="The expression, in PromQL.", metavar="EXPR")],
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    time: Annotated[str, typer.Option(help=f"Time: {TIME_FORMS}. Default: the newest sample.", metavar="TIME")] = "",
    start: Annotated[str, typer.Option(help="First step of a range, in the same forms.", metavar="TIME")] = "",
    end: Annotated[str, typer.Option(help="Last step of a range. Default with --start: now.", metavar="TIME")] = "",
    step: Annotated[str, typer.Option(help="Interval between steps, such as 30s.", metavar="DURATION")] = "1m",
    resolution: Annotated[
        str,
        typer.Option(
            help="raw, a tier such as 5m, or auto: samples where they are retained, else tiers.", metavar="NAME"
        ),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON of the HTTP API.")] = False,
) -> None:
    """Evaluate a PromQL expression: a table for one time, a plot for a range. The daemon may be running.

    Times are printed in UTC.

    \b
    Examples:
      nissa query 'sum by (job) (rate(http_requests_total[5m]))'
      nissa query 'node_load1' --start -1h
      nissa query 'node_load1' --start 2024-11-21T11:00:00Z --end 2024-11-21T12:00:00Z --step 30s
      nissa query 'rate(http_requests_total[1h])' --start -30d --step 1h
      nissa query 'topk(5, up)' --json
    """
    run_command("nissa query", lambda: _query(expression, directory, time, (start, end, step), resolution, as_json))


def _query(
    expression: str, directory: Path, time: str, span: tuple[str, str, str], resolution: str, as_json: bool
) -> None:
    # Loaded here: numpy and the reader are not for --help.
    import nissa
    from nissa.model.errors import BadQuery
    from nissa.promql.format import answer_json

    start, end, step = span
    if end and not start:
        raise BadQuery("--end needs --start")
    with nissa.open(existing(directory)) as reader:
        answer = (
            reader.answer_range(expression, start, end or "now", step, resolution=resolution)
            if start
            else reader.answer(expression, time or None, resolution=resolution)
        )
    for note in (*answer.warnings, *answer.infos):
        print(note, file=sys.stderr)
    if as_json:
        for piece in answer_json(answer):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    elif start:
        _print_plot(answer)
    else:
        _print_answer(answer)


def _print_answer(answer: "QueryResult") -> None:
    """One row per series, or per sample of a range."""
    from nissa.promql.match import label_set_text
    from nissa.promql.number_text import plain_text
    from nissa.promql.tables import answer_columns

    if answer.kind == "string":
        print(answer.text)
        return
    rows, ts_ms, values, labels = answer_columns(answer)
    if labels is None:
        print(plain_text(float(values[0])) if len(values) else "")
        return
    names = [label_set_text(labels.row(row)) for row in range(len(labels))]
    cells = [
        [names[row], utc(at_ms), plain_text(value)]
        for row, at_ms, value in zip(rows.tolist(), ts_ms.tolist(), values.tolist(), strict=True)
    ]
    print_table(answer.kind, ["series", "time", "value"], cells, as_json=False)


def _print_plot(answer: "QueryResult") -> None:
    from rich.console import Console

    from nissa.cli.plot import plot
    from nissa.promql.match import label_set_text

    vector = answer.vector
    lines = []
    for row in range(0 if vector is None else len(vector)):
        if vector is not None:
            pairs = zip(vector.values[row].tolist(), vector.present[row].tolist(), strict=True)
            lines.append(
                (
                    label_set_text(vector.labels.row(row)).removesuffix("{}") or "{}",
                    [value if there else None for value, there in pairs],
                )
            )
    if not lines:
        print("no series")
        return
    console = Console()
    console.print(plot(lines, answer.at_ms.tolist(), min(console.width, WIDTH_MOST)), end="")
