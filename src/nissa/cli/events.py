"""nissa events: prints events of a directory or a daemon, and follows new ones."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from nissa.cli.event_explanation import explain
from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import printable, utc
from nissa.cli.time_options import End, Since, Start

FOLLOWED = 10  # events shown before those that come


class EventsCommand(TyperCommand):
    """``nissa events``, with the command ``explain`` below it: a directory of that name is ./explain."""

    @property
    def commands(self) -> dict[str, Any]:
        """Commands below this one, by name."""
        below = typer.Typer(rich_markup_mode=None, add_completion=False)
        below.command("explain")(explain)
        return {"explain": typer.main.get_command(below)}

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of this command, or of the one below it that the first argument names."""
        if args[:1] == ["explain"]:
            return self.commands["explain"].make_context(f"{info_name} explain", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def events(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    api: Annotated[
        str, typer.Option(help="Read from a running daemon: http://HOST:PORT of its API.", metavar="URL")
    ] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only events of this source; may be repeated.")] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(help="Only events of this level (unspecified, info, warning, error, critical); may be repeated."),
    ] = None,
    text: Annotated[str, typer.Option("--text", "-q", help="Only events whose description or id contains this.")] = "",
    start: Start = "",
    end: End = "",
    since: Since = "",
    last: Annotated[int, typer.Option(help="Only the newest N; 0: all.", min=0, max=10_000, metavar="N")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then print new events until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print events in order of time, with times in UTC. The daemon may be running.

    --follow first prints the newest 10 events, or those of --last. An event whose time is up to 10 seconds in the past
    is printed when it arrives. With --api following is cheaper: without it the directory is read every second.

    \b
    Examples:
      nissa events --level error --level critical             errors
      nissa events --since 30m                                of the last half hour
      nissa events --last 50 -q grafted                       the newest 50 that contain "grafted"
      nissa events --follow --api http://127.0.0.1:9471       as they arrive
      nissa events --json | jq .attributes
    """
    wanted = {"source": source or [], "level": level or [], "q": [text] if text else []}
    run_command("nissa events", lambda: _events(directory, api, wanted, (start, end, since), last, follow, as_json))


def _events(
    directory: Path,
    api: str,
    wanted: dict[str, list[str]],
    span: tuple[str, str, str],
    last: int,
    follow: bool,
    as_json: bool,
) -> None:
    # Loaded here: numpy and the reader are not for --help.
    from nissa.cli.event_pages import Daemon, Directory, Pages, all_events, following, newest
    from nissa.model.errors import BadQuery
    from nissa.query.times import read_range, read_start
    from nissa.service.clock import wall_ms

    if follow and any(span):
        raise BadQuery("--start, --end and --since cannot be combined with --follow")
    start, end, since = span
    interval_ms = read_range(read_start(start, since), end, wall_ms())
    pages: Pages = Daemon(api, wanted) if api else Directory(existing(directory), wanted)
    rows: Iterable[dict[str, Any]]
    if follow:
        rows = following(pages, last or FOLLOWED, wall_ms, lambda rest_ms: time.sleep(rest_ms / 1000))
    elif last:
        rows = newest(pages, interval_ms, last)
    else:
        rows = all_events(pages, interval_ms)
    for row in rows:
        sys.stdout.buffer.write(_line(row, as_json=as_json))
        if follow:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    if pages.damaged:
        print(f"nissa events: damaged files left out: {', '.join(sorted(pages.damaged))}", file=sys.stderr)
        sys.exit(1)


def _line(row: dict[str, Any], *, as_json: bool) -> bytes:
    import orjson

    if as_json:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    texts = [row["level"].upper(), row["source"] or "-", row["event_id"] or "-", row["description"]]
    if row["attributes"]:
        texts.append(orjson.dumps(row["attributes"]).decode())
    return " ".join([utc(row["time_ms"]), *map(printable, texts)]).encode() + b"\n"
