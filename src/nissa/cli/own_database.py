"""Opens the database of a data directory for commands that manage users, tokens and the audit log."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from nissa.model.errors import BadQuery

if TYPE_CHECKING:
    from nissa.access.audit import Change
    from nissa.database.database import Database

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file of the daemon.", metavar="FILE")]
DataDirectory = Annotated[Path | None, typer.Option("--data-dir", help="Data directory of the daemon.", metavar="DIR")]


@contextmanager
def own_database(config: Path | None, data_dir: Path | None) -> "Iterator[Database]":
    """The database of the daemon with these settings, which may be running. Raises: ConfigInvalid, BadQuery."""
    from nissa.config.load import load_config  # here, as SQLAlchemy: not for --help
    from nissa.database.database import open_database

    overrides = {} if data_dir is None else {"storage.data_dir": str(data_dir)}
    settings = load_config(config, os.environ, overrides)
    directory = Path(settings.storage.data_dir)
    if not directory.exists():
        raise BadQuery(f"{directory}: no such data directory (storage.data_dir); name it with --data-dir or --config")
    database = open_database(settings.database, directory)
    try:
        yield database
    finally:
        database.close()


def note_command(database: "Database", action: str, target: str, before: Any, after: Any) -> None:
    """Append a change by this command to the audit log."""
    from nissa.access.audit import append
    from nissa.service.clock import wall_ms

    append(
        database, msgspec.structs.replace(command_change(action, wall_ms()), target=target, before=before, after=after)
    )


def command_change(action: str, now_ms: int) -> "Change":
    """A change by the account that runs this command."""
    from nissa.access.audit import Change

    return Change(now_ms, _operator(), "command", "", action)


def _operator() -> str:
    """The account that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
