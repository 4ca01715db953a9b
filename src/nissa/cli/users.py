"""nissa users: adds, lists, changes and removes users of the API."""

from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import run_command
from nissa.cli.own_database import ConfigFile, DataDirectory, note_command, own_database
from nissa.cli.text_table import print_table, utc

app = typer.Typer(
    no_args_is_help=True,
    help="Add, list, change and remove users of the API (api.access.enabled). The daemon may be running.",
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="Name of the user.", metavar="USER")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="Read the password from FILE; without it, ask for it.", metavar="FILE")
]


@app.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.", metavar="ROLE")] = "viewer",
    password_file: PasswordFile = None,
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Add a user. The password has at least 10 characters.

    \b
    Examples:
      nissa users add ann --role admin
      nissa users add wall --password-file /run/secrets/wall
    """
    run_command("nissa users add", lambda: _add(name, role, password_file, config, data_dir))


@app.command("list")
def list_users(
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show all users with their roles."""
    run_command("nissa users list", lambda: _list(config, data_dir, as_json))


@app.command("change")
def change(
    name: Name,
    role: Annotated[str, typer.Option(help="Another role.", metavar="ROLE")] = "",
    password: Annotated[bool, typer.Option("--password", help="Ask for another password.")] = False,
    password_file: PasswordFile = None,
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Give a user another role or password. All sessions of the user end."""
    run_command("nissa users change", lambda: _change(name, role, password, password_file, (config, data_dir)))


@app.command("remove")
def drop_user(name: Name, config: ConfigFile = None, data_dir: DataDirectory = None) -> None:
    """Remove a user. All sessions of the user end within 2 seconds."""
    run_command("nissa users remove", lambda: _remove(name, config, data_dir))


def _add(name: str, role: str, password_file: Path | None, config: Path | None, data_dir: Path | None) -> None:
    from nissa.access.roles import read_role
    from nissa.access.users import add_user
    from nissa.service.clock import wall_ms

    wanted = read_role(role)
    with own_database(config, data_dir) as database:
        add_user(database, name, _read_password(password_file), wanted, wall_ms())
        note_command(database, "user.add", name, None, {"role": role})
    print(f"user {name} added: {role}")


def _list(config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    from nissa.access.users import users

    with own_database(config, data_dir) as database:
        rows = [[user.name, user.role.word, utc(user.created_ms, to_the_second=True)] for user in users(database)]
    print_table("users", ("user", "role", "created"), rows, as_json=as_json)


def _change(
    name: str, role: str, password: bool, password_file: Path | None, place: tuple[Path | None, Path | None]
) -> None:
    from nissa.access.roles import read_role
    from nissa.access.users import change_user, users
    from nissa.model.errors import BadQuery

    wanted = read_role(role) if role else None
    if wanted is None and not password and password_file is None:
        raise BadQuery("nothing to change: expected --role, --password or --password-file")
    with own_database(*place) as database:
        before = [{"role": user.role.word} for user in users(database) if user.name == name]
        text = _read_password(password_file) if password or password_file is not None else ""
        change_user(database, name, password=text, role=wanted)
        after = {"role": role or before[0]["role"], "password_changed": bool(text)}
        note_command(database, "user.change", name, before[0], after)
    print(f"user {name} changed")


def _remove(name: str, config: Path | None, data_dir: Path | None) -> None:
    from nissa.access.users import remove_user

    with own_database(config, data_dir) as database:
        remove_user(database, name)
        note_command(database, "user.remove", name, {"user": name}, None)
    print(f"user {name} removed")


def _read_password(file: Path | None) -> str:
    if file is None:
        text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return text
    from nissa.files.secret_file import SecretFile

    return SecretFile(str(file), "--password-file").text
