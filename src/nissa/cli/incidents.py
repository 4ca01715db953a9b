"""nissa incidents: lists incidents of a daemon, opens one, and takes it through its life."""

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
    help="List incidents of a running daemon; open, assign, acknowledge, resolve, reopen, merge or comment on one.",
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


@app.command("open")
def open_by_hand(
    title: Annotated[str, typer.Argument(help="What is wrong, in one line.", metavar="TITLE")],
    service: Annotated[str, typer.Option(help="Service that is in trouble.", metavar="NAME")] = "",
    severity: Annotated[
        str, typer.Option(help="critical, error, warning or info; error by default.", metavar="WORD")
    ] = "",
    urgency: Annotated[
        str, typer.Option(help="high, medium or low; by default that of the severity.", metavar="WORD")
    ] = "",
    responder: Annotated[str, typer.Option(help="Who looks after it.", metavar="NAME")] = "",
    key: Annotated[
        str, typer.Option(help="While an incident has it, no second one opens; by default the title.", metavar="KEY")
    ] = "",
    api: Api = DEFAULT_API,
) -> None:
    """Open an incident by hand, or name the one that has its key already."""
    form = {"title": title, "service": service, "severity": severity, "urgency": urgency, "responder": responder}
    run_command("nissa incidents open", lambda: _open(api, {**form, "key": key}))


@app.command("assign")
def assign_number(
    number: Number,
    user: Annotated[str, typer.Argument(help="Who looks after it; an empty name: nobody.", metavar="USER")],
    api: Api = DEFAULT_API,
) -> None:
    """Name the responder of an incident that goes on. It still escalates until it is acknowledged."""
    run_command("nissa incidents assign", lambda: _assign(api, number, user))


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


@app.command("merge")
def merge_numbers(
    number: Number,
    into: Annotated[int, typer.Option(help="Number of the incident that goes on.", metavar="NUMBER")],
    api: Api = DEFAULT_API,
) -> None:
    """Merge an incident into another one, which takes over its alerts and its key."""
    run_command("nissa incidents merge", lambda: _merge(api, number, into))


@app.command("comment")
def comment_number(
    number: Number,
    comment: Annotated[str, typer.Argument(help="Comment for the timeline.", metavar="TEXT")],
    api: Api = DEFAULT_API,
) -> None:
    """Add a comment to the timeline, in whatever state the incident is."""
    run_command("nissa incidents comment", lambda: _comment(api, number, comment))


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


def _open(api: str, fields: dict[str, str]) -> None:
    found = _posted(api, "", {name: value for name, value in fields.items() if value or name == "title"})
    already = "" if found["new"] else ": it has the same key"
    print(f"incident {found['id']} is {found['state']}{already}")


def _change(api: str, number: int, action: str, comment: str) -> None:
    found = _posted(api, f"/{number}/{action}", {"comment": comment} if comment else {})
    print(f"incident {found['id']} is {found['state']}")


def _assign(api: str, number: int, user: str) -> None:
    found = _posted(api, f"/{number}", {"responder": user})
    print(f"incident {found['id']} is {found['state']}; responder: {found['responder'] or 'nobody'}")


def _merge(api: str, number: int, into: int) -> None:
    found = _posted(api, f"/{number}/merge", {"into": str(into)})
    print(f"incident {found['id']} is {found['state']} into {found['merged_into']}")


def _comment(api: str, number: int, comment: str) -> None:
    found = _posted(api, f"/{number}/comment", {"comment": comment})
    print(f"incident {found['id']} has the comment")


def _posted(api: str, path: str, form: dict[str, str]) -> dict[str, Any]:
    import orjson

    from nissa.cli.daemon_request import ask_daemon

    answer = ask_daemon(api, f"/api/v1/incidents{path}", form, TIMEOUT_S, ANSWER_BYTES_MAX)
    data: dict[str, Any] = orjson.loads(answer)["data"]
    return data


def _postmortem(api: str, number: int) -> None:
    from nissa.cli.daemon_request import ask_daemon

    path = f"/api/v1/incidents/{number}/postmortem"
    print(ask_daemon(api, path, None, TIMEOUT_S, ANSWER_BYTES_MAX).decode(), end="")
