"""nissa incidents: lists incidents of a daemon, and acknowledges, resolves or reopens one."""

from typing import Annotated, Any, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.sinks import DEFAULT_API, Api
from nissa.cli.text_table import print_table

TIMEOUT_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
COLUMNS: Final = ("id", "state", "severity", "service", "responder", "title")

app = typer.Typer(
    no_args_is_help=True,
    help="List incidents of a running daemon, and acknowledge, resolve or reopen one.",
    rich_markup_mode=None,
)
Number = Annotated[int, typer.Argument(help="Number of the incident.", metavar="NUMBER")]
Comment = Annotated[str, typer.Option(help="Comment for the timeline.", metavar="TEXT")]


@app.command("list")
def list_incidents(
    api: Api = DEFAULT_API,
    state: Annotated[list[str] | None, typer.Option(help="Only of this state; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show incidents, the newest first."""
    run_command("nissa incidents list", lambda: _list(api, state or [], limit, as_json))


@app.command("acknowledge")
def acknowledge_number(number: Number, comment: Comment = "", api: Api = DEFAULT_API) -> None:
    """Acknowledge an open incident: it escalates no further."""
    run_command("nissa incidents acknowledge", lambda: _change(api, number, "acknowledge", comment))


@app.command("resolve")
def resolve_number(number: Number, comment: Comment = "", api: Api = DEFAULT_API) -> None:
    """Resolve an incident."""
    run_command("nissa incidents resolve", lambda: _change(api, number, "resolve", comment))


@app.command("reopen")
def reopen_number(number: Number, comment: Comment = "", api: Api = DEFAULT_API) -> None:
    """Open a resolved incident again."""
    run_command("nissa incidents reopen", lambda: _change(api, number, "reopen", comment))


@app.command("postmortem")
def print_postmortem(number: Number, api: Api = DEFAULT_API) -> None:
    """Print the post-mortem of an incident as Markdown."""
    run_command("nissa incidents postmortem", lambda: _postmortem(api, number))


def _list(api: str, states: list[str], limit: int, as_json: bool) -> None:
    from urllib.parse import urlencode

    import orjson

    from nissa.cli.daemon_request import ask_daemon

    asked = urlencode([("limit", limit), *(("incident_state", state) for state in states)])
    answer = ask_daemon(api, f"/api/v1/incidents?{asked}", None, TIMEOUT_S, ANSWER_BYTES_MAX)
    found: list[dict[str, Any]] = orjson.loads(answer)["data"]["incidents"]
    print_table("incidents", COLUMNS, [[one[column] for column in COLUMNS] for one in found], as_json=as_json)


def _change(api: str, number: int, action: str, comment: str) -> None:
    import orjson

    from nissa.cli.daemon_request import ask_daemon

    path, body = f"/api/v1/incidents/{number}/{action}", {"comment": comment} if comment else {}
    found = orjson.loads(ask_daemon(api, path, body, TIMEOUT_S, ANSWER_BYTES_MAX))["data"]
    print(f"incident {found['id']} is {found['state']}")


def _postmortem(api: str, number: int) -> None:
    from nissa.cli.daemon_request import ask_daemon

    path = f"/api/v1/incidents/{number}/postmortem"
    print(ask_daemon(api, path, None, TIMEOUT_S, ANSWER_BYTES_MAX).decode(), end="")
