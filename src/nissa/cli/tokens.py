"""nissa tokens: adds, lists and removes API tokens."""

from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import run_command
from nissa.cli.own_database import ConfigFile, DataDirectory, note_command, own_database
from nissa.cli.text_table import print_table, utc

app = typer.Typer(
    no_args_is_help=True,
    help="Add, list and remove API tokens (api.access.enabled). The daemon may be running.",
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="Name of the token.", metavar="TOKEN")]


@app.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.", metavar="ROLE")] = "viewer",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="query, control, stream or ingest; may be repeated. Default: the first three."),
    ] = None,
    expires: Annotated[str, typer.Option(help="The token ends after this duration, such as 90d.")] = "",
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Add a token and print its secret, which is shown this one time.

    \b
    Examples:
      nissa tokens add grafana --scope query
      nissa tokens add ci --role operator --expires 90d
      nissa tokens add agents --scope ingest
    """
    run_command("nissa tokens add", lambda: _add(name, role, scope or [], expires, (config, data_dir)))


@app.command("list")
def list_tokens(
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show all tokens; never their secrets, which are not stored."""
    run_command("nissa tokens list", lambda: _list(config, data_dir, as_json))


@app.command("remove")
def drop_token(name: Name, config: ConfigFile = None, data_dir: DataDirectory = None) -> None:
    """Remove a token. A running daemon takes it for 2 more seconds at most."""
    run_command("nissa tokens remove", lambda: _remove(name, config, data_dir))


def _add(name: str, role: str, scopes: list[str], expires: str, place: tuple[Path | None, Path | None]) -> None:
    from nissa.access.roles import read_role, read_scopes
    from nissa.access.tokens import ApiToken, add_token
    from nissa.model.errors import BadQuery
    from nissa.model.quantity import Unit, read_quantity
    from nissa.service.clock import wall_ms

    now_ms = wall_ms()
    try:
        expires_ms = now_ms + read_quantity(expires, Unit.DURATION) if expires else 0
    except ValueError as error:
        raise BadQuery(f"--expires: {error}") from None
    token = ApiToken(name, read_role(role), read_scopes(scopes), now_ms, expires_ms)
    with own_database(*place) as database:
        secret = add_token(database, token)
        after = {"role": role, "scopes": list(token.scopes), "expires_ms": expires_ms}
        note_command(database, "token.add", name, None, after)
    print(secret)


def _list(config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    from nissa.access.tokens import tokens

    with own_database(config, data_dir) as database:
        rows = [
            [
                token.name,
                token.role.word,
                ",".join(token.scopes),
                utc(token.created_ms, to_the_second=True),
                utc(token.expires_ms, to_the_second=True) if token.expires_ms else "never",
            ]
            for token in tokens(database)
        ]
    print_table("tokens", ("token", "role", "scopes", "created", "expires"), rows, as_json=as_json)


def _remove(name: str, config: Path | None, data_dir: Path | None) -> None:
    from nissa.access.tokens import remove_token

    with own_database(config, data_dir) as database:
        remove_token(database, name)
        note_command(database, "token.remove", name, {"token": name}, None)
    print(f"token {name} removed")
