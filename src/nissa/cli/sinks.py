"""nissa sinks: shows the sinks of a daemon, and pauses, resumes, skips or forgets one."""

from typing import Annotated, Any, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.text_table import print_table

TIMEOUT_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
COLUMNS: Final = ("sink", "state", "delivered", "dead", "backlog_frames", "backlog_bytes", "lost_frames", "error")

app = typer.Typer(
    no_args_is_help=True,
    help="Show the sinks of a running daemon, and pause, resume, skip or forget one.",
    rich_markup_mode=None,
)
Api = Annotated[str, typer.Option("--api", help="The API of the daemon.", metavar="URL")]
Name = Annotated[str, typer.Argument(help="Name of the sink.", metavar="SINK")]
DEFAULT_API: Final = "http://127.0.0.1:9471"


@app.command("list")
def list_sinks(
    api: Api = DEFAULT_API,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show all sinks: state, samples delivered and refused, backlog, last error."""
    run_command("nissa sinks list", lambda: _list(api, as_json))


@app.command("pause")
def pause_sink(name: Name, api: Api = DEFAULT_API) -> None:
    """Send nothing more to a sink until it is resumed, also after a restart. Its backlog grows meanwhile."""
    run_command("nissa sinks pause", lambda: _change(api, name, "pause"))


@app.command("resume")
def resume_sink(name: Name, api: Api = DEFAULT_API) -> None:
    """Send to a paused sink again; to one that fails or is blocked at once."""
    run_command("nissa sinks resume", lambda: _change(api, name, "resume"))


@app.command("skip")
def skip_sink(name: Name, api: Api = DEFAULT_API) -> None:
    """Give up the backlog of a sink: it gets what arrives from now on. What it misses counts as lost."""
    run_command("nissa sinks skip", lambda: print(f"{_change(api, name, 'skip')['lost_frames']} frames given up"))


@app.command("forget")
def forget_sink(name: Name, api: Api = DEFAULT_API) -> None:
    """Keep no journal any more for a sink that is not configured. If it comes back, it is a new one."""
    run_command("nissa sinks forget", lambda: _change(api, name, "forget"))


def _list(api: str, as_json: bool) -> None:
    import orjson

    from nissa.cli.daemon_request import ask_daemon

    found = orjson.loads(ask_daemon(api, "/api/v1/sinks", None, TIMEOUT_S, ANSWER_BYTES_MAX))["data"]
    rows = [
        [name, *(facts.get(column, "") for column in COLUMNS[1:-1]), facts["error"] or ""]
        for name, facts in found.items()
    ]
    print_table("sinks", COLUMNS, rows, as_json=as_json)


def _change(api: str, name: str, action: str) -> dict[str, Any]:
    from urllib.parse import quote

    import orjson

    from nissa.cli.daemon_request import ask_daemon

    path = f"/api/v1/sinks/{quote(name, safe='')}/{action}"
    found: dict[str, Any] = orjson.loads(ask_daemon(api, path, {}, TIMEOUT_S, ANSWER_BYTES_MAX))["data"]
    return found
