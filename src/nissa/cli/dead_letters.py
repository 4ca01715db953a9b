"""nissa dead-letters: shows what sinks and channels of notifications have refused, sends it again, or drops it."""

from typing import Annotated, Any, Final

import typer

from nissa.cli.fault import run_command
from nissa.cli.text_table import print_table, printable, utc

TIMEOUT_S: Final = 60.0
ANSWER_BYTES_MAX: Final = 1024 * 1024 * 1024
COLUMNS: Final = ("letter", "first_seen", "attempts", "records", "content", "reason")
NOTIFICATIONS: Final = "notifications"  # no sink may have this name
TEXT_CHARACTERS: Final = 60  # of an event in the list

app = typer.Typer(
    no_args_is_help=True,
    help="Show samples, events and notifications of a running daemon that were refused, send them again, or drop them.",
    rich_markup_mode=None,
)
Api = Annotated[str, typer.Option("--api", help="The API of the daemon.", metavar="URL")]
Name = Annotated[str, typer.Argument(help="Name of the sink, or notifications.", metavar="SINK")]
Letters = Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters; none: all.", metavar="LETTER...")]
DEFAULT_API: Final = "http://127.0.0.1:9471"


@app.command("list")
def list_letters(
    name: Name,
    api: Api = DEFAULT_API,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show the dead letters of a sink, the oldest first; each is one series of a refused request, or one event."""
    run_command("nissa dead-letters list", lambda: _list(api, name, as_json))


@app.command("show")
def show_letter(
    name: Name,
    number: Annotated[int, typer.Argument(help="Number of the dead letter.", metavar="LETTER")],
    api: Api = DEFAULT_API,
) -> None:
    """Show one dead letter with all its samples, or its event."""
    run_command("nissa dead-letters show", lambda: _show(api, name, number))


@app.command("replay")
def replay_letters(name: Name, numbers: Letters = None, api: Api = DEFAULT_API) -> None:
    """Send dead letters again. Those that the sink takes are gone, the others stay."""

    def work() -> None:
        found = _ask(api, name, "/replay", [("letter", str(number)) for number in numbers or ()])
        queued = found.get("queued")
        print(f"{found['delivered']} delivered, {found['left']} left" if queued is None else f"{queued} queued")

    run_command("nissa dead-letters replay", work)


@app.command("drop")
def drop_letters(name: Name, numbers: Letters = None, api: Api = DEFAULT_API) -> None:
    """Forget dead letters. This cannot be undone."""

    def work() -> None:
        found = _ask(api, name, "/drop", [("letter", str(number)) for number in numbers or ()])
        print(f"{found['dropped']} dropped")

    run_command("nissa dead-letters drop", work)


def _list(api: str, name: str, as_json: bool) -> None:
    rows = [
        (
            letter["id"],
            utc(letter["first_seen_ms"], to_the_second=True),
            letter["attempts"],
            len(letter.get("samples", ())) or 1,
            _content(letter),
            letter["reason"],
        )
        for letter in _ask(api, name, "", None)
    ]
    print_table("dead letters", COLUMNS, rows, as_json=as_json)


def _show(api: str, name: str, number: int) -> None:
    import msgspec

    from nissa.model.errors import BadQuery

    letter = next((one for one in _ask(api, name, "", None) if one["id"] == number), None)
    if letter is None:
        raise BadQuery(f"the sink {name} has no dead letter {number}")
    event = letter.get("event")
    print(f"series      {printable(_series(letter['labels']))}" if event is None else f"id          {letter['key']}")
    print(f"reason      {printable(letter['reason'])}")
    print(f"first seen  {utc(letter['first_seen_ms'])}")
    print(f"attempts    {letter['attempts']}")
    if event is not None:
        print(f"event       {printable(msgspec.json.encode(event).decode())}")
        return
    print_table("samples", ("time", "value"), [(utc(at), value) for at, value in letter["samples"]], as_json=False)


def _content(letter: dict[str, Any]) -> str:
    """The series of a letter, or the beginning of its event."""
    event = letter.get("event")
    if event is None:
        return _series(letter["labels"])
    return f"{event.get('source', '')}: {event.get('description', '')[:TEXT_CHARACTERS]}"


def _series(labels: dict[str, str]) -> str:
    from nissa.model.matcher import quoted

    pairs = ", ".join(f"{name}={quoted(value)}" for name, value in labels.items() if name != "__name__")
    return f"{labels.get('__name__', '')}{{{pairs}}}"


def _ask(api: str, name: str, action: str, form: list[tuple[str, str]] | None) -> Any:
    from urllib.parse import quote

    import orjson

    from nissa.cli.daemon_request import ask_daemon

    owner = NOTIFICATIONS if name == NOTIFICATIONS else f"sinks/{quote(name, safe='')}"
    path = f"/api/v1/{owner}/dead_letters{action}"
    return orjson.loads(ask_daemon(api, path, form, TIMEOUT_S, ANSWER_BYTES_MAX))["data"]
