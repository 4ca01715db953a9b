"""nissa audit: verifies, exports and prunes the audit log."""

from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import run_command
from nissa.cli.own_database import ConfigFile, DataDirectory, command_change, own_database
from nissa.cli.time_options import TIME_FORMS

app = typer.Typer(
    no_args_is_help=True,
    help="Verify, export or prune the audit log: who changed what, when, from where. The daemon may be running.",
    rich_markup_mode=None,
)


@app.command("verify")
def verify(
    expect: Annotated[
        str, typer.Option(help="Number and hash of an entry printed before, which must still be there.")
    ] = "",
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Check the chain of hashes. Exit code 1: an entry was altered, removed or put in between.

    Prints the number of entries and the last hash. Entries removed from the end leave a chain that holds: keep what
    is printed elsewhere, and give it as --expect the next time.

    \b
    Examples:
      nissa audit verify
      nissa audit verify --expect 120:9f86d081884c7d65…
    """
    run_command("nissa audit verify", lambda: _verify(expect, config, data_dir))


@app.command("export")
def export(config: ConfigFile = None, data_dir: DataDirectory = None) -> None:
    """Print all entries, the oldest first, one JSON object per line."""
    run_command("nissa audit export", lambda: _export(config, data_dir))


@app.command("prune")
def prune(
    before: Annotated[str, typer.Option(help=f"Remove entries older than this: {TIME_FORMS}.", metavar="TIME")],
    config: ConfigFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Remove old entries. The chain goes on from a checkpoint, and the pruning is an entry of its own.

    Export the log first: what is removed is gone. Nothing is removed where the chain does not hold.

    \b
    Examples:
      nissa audit export > audit.jsonl
      nissa audit prune --before now-365d
    """
    run_command("nissa audit prune", lambda: _prune(before, config, data_dir))


def _verify(expect: str, config: ConfigFile, data_dir: DataDirectory) -> None:
    from nissa.access.audit import check_entry, checkpoint, verify

    with own_database(config, data_dir) as database:
        number, last = verify(database)
        pruned, _ = checkpoint(database)
        if expect:
            check_entry(database, expect)
    print(f"ok: {number - pruned} entries {f'behind {pruned} pruned ones ' if pruned else ''}{number}:{last}")


def _prune(before: str, config: Path | None, data_dir: Path | None) -> None:
    from nissa.access.audit import prune
    from nissa.query.times import read_time
    from nissa.service.clock import wall_ms

    now_ms = wall_ms()
    before_ms = read_time(before, "--before", now_ms)
    with own_database(config, data_dir) as database:
        removed = prune(database, before_ms, command_change("", now_ms))
    print(f"{removed} entries removed")


def _export(config: ConfigFile, data_dir: DataDirectory) -> None:
    import orjson

    from nissa.access.audit import oldest_first, shown_entry

    with own_database(config, data_dir) as database:
        for row in oldest_first(database):
            print(orjson.dumps(shown_entry(row)).decode())
