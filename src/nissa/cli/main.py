"""nissa: the commands on a data directory. The command of the daemon is nissa-ingest."""

from typing import Annotated

import typer

from nissa.cli import (
    audit,
    backup,
    config,
    dead_letters,
    delete,
    doctor,
    events,
    export,
    files,
    imports,
    incidents,
    inspect,
    mode,
    pin,
    query,
    rebuild,
    repair,
    replay,
    restore,
    routes,
    rules,
    series,
    sinks,
    size,
    sla,
    slo,
    status,
    tokens,
    top,
    users,
    verify,
)
from nissa.cli.api_login import PasswordFile, UserName
from nissa.cli.api_token import TokenFile
from nissa.cli.standard_streams import end_with, open_missing_streams

ABOUT = """Query, export, check and maintain a data directory of nissa-ingest.

Most commands also work while the daemon runs on the directory. The daemon itself is nissa-ingest."""


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command("status")(status.status)
app.command("top")(top.top)
app.command("query")(query.query)
app.command("export")(export.export)
app.command("series")(series.series)
app.command("events", cls=events.EventsCommand)(events.events)
app.command("files")(files.files)
app.command("delete")(delete.delete)
app.command("mode")(mode.mode)
app.command("import")(imports.imports)
app.command("replay")(replay.replay)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)
app.command("repair")(repair.repair)
app.command("rebuild")(rebuild.rebuild)
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.command("doctor")(doctor.doctor)
app.command("size")(size.size)
app.add_typer(pin.app, name="pin")
app.add_typer(sinks.app, name="sinks")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(incidents.app, name="incidents")
app.add_typer(routes.app, name="routes")
app.add_typer(sla.app, name="sla")
app.add_typer(slo.app, name="slo")
app.add_typer(rules.app, name="rules")
app.add_typer(config.app, name="config")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.add_typer(audit.app, name="audit")


def _print_version(wanted: bool) -> None:
    if wanted:
        from nissa import __version__

        print(f"nissa {__version__}")
        raise typer.Exit


@app.callback(help=ABOUT)
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    token_file: TokenFile = None,
    user: UserName = "",
    password_file: PasswordFile = None,
) -> None:
    """Options of ``nissa`` itself."""


def main() -> None:
    """Entry point of ``nissa``."""
    open_missing_streams()
    end_with(app)


if __name__ == "__main__":
    main()
