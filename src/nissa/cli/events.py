"""nissa events: events out of a directory or a daemon, and those that come."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import utc

FOLLOWED = 10  # events shown before those that come


def events(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    api: Annotated[str, typer.Option(help="Ask a daemon instead: http://HOST:PORT of its API.", metavar="URL")] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only of this source; may be repeated.")] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(help="Only of this level: unspecified, info, warning, error, critical; may be repeated."),
    ] = None,
    text: Annotated[str, typer.Option("--text", "-q", help="Only with this in description or event id.")] = "",
    start: Annotated[str, typer.Option(help="First moment: RFC 3339 or Unix seconds, inclusive.", metavar="TIME")] = "",
    end: Annotated[str, typer.Option(help="Last moment, inclusive.", metavar="TIME")] = "",
    last: Annotated[int, typer.Option(help="Only the newest N; 0: all.", min=0, max=10_000, metavar="N")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show events in order of time. The daemon may be running.

    --follow begins with the newest 10, or --last. An event that comes up to 10 seconds late is shown when it comes.
    Following a busy daemon is cheaper by --api, as a directory is read anew every second.

    \b
    Examples:
      nissa events --level error --level critical             what went wrong
      nissa events --last 50 -q grafted                       the newest 50 that say so
      nissa events --follow --api http://127.0.0.1:9471       as they come
      nissa events --json | jq .attributes
    """
    wanted = {"source": source or [], "level": level or [], "q": [text] if text else []}
    run_command("nissa events", lambda: _events(directory, api, wanted, (start, end), last, follow, as_json))


def _events(
    directory: Path,
    api: str,
    wanted: dict[str, list[str]],
    span: tuple[str, str],
    last: int,
    follow: bool,
    as_json: bool,
) -> None:
    # Loaded here: numpy and the reader are not for --help.
    from nissa.cli.event_pages import Daemon, Directory, Pages, all_events, following, newest
    from nissa.model.errors import BadQuery
    from nissa.query.times import read_range
    from nissa.service.clock import wall_ms

    if follow and any(span):
        raise BadQuery("--start and --end are not for --follow")
    pages: Pages = Daemon(api, wanted) if api else Directory(existing(directory), wanted)
    rows: Iterable[dict[str, Any]]
    if follow:
        rows = following(pages, last or FOLLOWED, wall_ms, lambda rest_ms: time.sleep(rest_ms / 1000))
    elif last:
        rows = newest(pages, read_range(*span), last)
    else:
        rows = all_events(pages, read_range(*span))
    for row in rows:
        sys.stdout.buffer.write(_line(row, as_json=as_json))
        if follow:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    if pages.damaged:
        print(f"nissa events: damaged and left out: {', '.join(sorted(pages.damaged))}", file=sys.stderr)
        sys.exit(1)


def _line(row: dict[str, Any], *, as_json: bool) -> bytes:
    import orjson

    if as_json:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    texts = [row["level"].upper(), row["source"] or "-", row["event_id"] or "-", row["description"]]
    if row["attributes"]:
        texts.append(orjson.dumps(row["attributes"]).decode())
    return " ".join([utc(row["time_ms"]), *map(_printable, texts)]).encode() + b"\n"


def _printable(text: str) -> str:
    """Text that changes nothing of a terminal, on one line: what a sender wrote is not to be trusted."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
