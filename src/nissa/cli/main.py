"""nissa: the commands that read, play and examine data. The daemon has a command of its own, nissa-ingest."""

from typing import Annotated

import typer

from nissa.cli import config, events, export, inspect, pin, replay, series, verify

ABOUT = """Read, play and examine what nissa-ingest keeps.

Every command works on a data directory, also while the daemon runs on it. The daemon itself is nissa-ingest."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command("export")(export.export)
app.command("series")(series.series)
app.command("events")(events.events)
app.command("replay")(replay.replay)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)
app.add_typer(pin.app, name="pin")
app.add_typer(config.app, name="config")


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
) -> None:
    """Options of ``nissa`` itself."""


def main() -> None:
    """Entry point of ``nissa``."""
    app()


if __name__ == "__main__":
    main()
