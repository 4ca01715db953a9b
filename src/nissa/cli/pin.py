"""nissa pin: time ranges that retention leaves alone, for example for the analysis of an outage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import print_table, utc
from nissa.cli.time_options import TIME_FORMS

if TYPE_CHECKING:
    from nissa.catalogue.catalogue import Catalogue

COLUMNS = ("pin", "from", "to", "set", "name")

app = typer.Typer(
    no_args_is_help=True,
    help="Keep time ranges whatever their age: no block with data in one is dropped. The daemon may be running.",
    rich_markup_mode=None,
)
Directory = Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")]


@app.command("add")
def add(
    start: Annotated[str, typer.Argument(help=f"Start of the range: {TIME_FORMS}.", metavar="START")],
    end: Annotated[str, typer.Argument(help="End of the range, in the same forms.", metavar="END")],
    directory: Directory = Path("nissa-data"),
    name: Annotated[str, typer.Option("--name", help="Name of the pin.", metavar="TEXT")] = "",
) -> None:
    """Pin a time range. Data that was already dropped is not restored.

    \b
    Examples:
      nissa pin add 2026-01-01T08:00:00Z 2026-01-01T10:00:00Z --name "the outage"
      nissa pin add now-2h now --name "the outage of today"
      nissa pin add 1767254400 1767261600 /var/lib/nissa
    """
    run_command("nissa pin add", lambda: _add(directory, start, end, name))


@app.command("list")
def list_pins(
    directory: Directory = Path("nissa-data"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show all pins, with times in UTC."""
    run_command("nissa pin list", lambda: _list(directory, as_json))


@app.command("remove")
def remove(
    number: Annotated[int, typer.Argument(help="The pin's number, as `nissa pin list` shows it.", metavar="PIN")],
    directory: Directory = Path("nissa-data"),
) -> None:
    """Remove a pin. The daemon soon drops expired blocks of its range."""
    run_command("nissa pin remove", lambda: _remove(directory, number))


def _add(directory: Path, start: str, end: str, name: str) -> None:
    # Loaded here: the catalogue is not for --help.
    from nissa.query.times import read_range
    from nissa.service.clock import wall_ms
    from nissa.store.pins import add_pin

    now_ms = wall_ms()
    span = read_range(start, end, now_ms)
    catalogue = _opened(directory)
    try:
        print(f"pin {add_pin(catalogue, name, *span, now_ms).id}")
    finally:
        catalogue.close()


def _list(directory: Path, as_json: bool) -> None:
    from nissa.catalogue.catalogue import Catalogue
    from nissa.store.pins import read_pins

    catalogue = Catalogue.open(existing(directory), readonly=True)
    try:
        rows = [
            (pin.id, utc(pin.start_ms), utc(pin.end_ms), utc(pin.created_ms), pin.name) for pin in read_pins(catalogue)
        ]
    finally:
        catalogue.close()
    print_table("pins", COLUMNS, rows, as_json=as_json)


def _remove(directory: Path, number: int) -> None:
    from nissa.model.errors import BadQuery
    from nissa.store.pins import remove_pin

    catalogue = _opened(directory)
    try:
        if not remove_pin(catalogue, number):
            raise BadQuery(f"there is no pin {number}")
    finally:
        catalogue.close()


def _opened(directory: Path) -> "Catalogue":
    """The catalogue for one change; the daemon, if there is one, looks at pins in every transaction that drops.

    Raises: ConfigInvalid where there is none, Unavailable for a directory of an older version.
    """
    from nissa.catalogue.catalogue import Catalogue
    from nissa.catalogue.schema import FORMAT
    from nissa.model.errors import Unavailable

    reading = Catalogue.open(existing(directory), readonly=True)
    found = reading.format
    reading.close()
    if found != FORMAT:
        raise Unavailable(
            f"{directory}: no pins in catalogue format {found}; start nissa-ingest once to upgrade it to {FORMAT}"
        )
    return Catalogue.open(directory)
