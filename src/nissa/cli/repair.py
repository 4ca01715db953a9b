"""nissa repair: restores damaged files as far as possible, and reports losses."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command

if TYPE_CHECKING:
    from nissa.ingest.repair import Repaired


def repair(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    drop_lost: Annotated[
        bool,
        typer.Option("--drop-lost", help="Stop reporting lost blocks, and labels that no file has."),
    ] = False,
) -> None:
    """Restore damaged files as far as possible, and print what is lost. The daemon must be stopped.

    A series segment is restored from its copy, and a copy from its segment. Undamaged row groups of a damaged block are
    written to a new block; the damaged file is never deleted. A file in quarantine that matches its checksum again,
    because it was restored from a backup, is used again. Exit code 0: nothing is lost. 1: data is lost; each loss is a
    line, and queries report it until --drop-lost.

    \b
    Examples:
      nissa repair                         ./nissa-data
      nissa repair --drop-lost /data/nissa and stop reporting what is lost
    """
    run_command("nissa repair", lambda: _repair(directory, drop_lost=drop_lost))


def _repair(directory: Path, *, drop_lost: bool) -> None:
    # Loaded here: the readers are not for --help.
    from nissa.ingest.repair import repair_directory
    from nissa.service.clock import wall_ms

    done = repair_directory(existing(directory), wall_ms, drop_lost=drop_lost)
    _print(done)
    if done.lost:
        sys.exit(OUTSIDE)


def _print(done: "Repaired") -> None:
    for path in done.mended:
        print(f"{path}: restored from its second copy")
    for path in done.back:
        print(f"{path}: intact; taken out of quarantine")
    for path, damage in sorted(done.aside.items()):
        print(f"{path}: unreadable rows left out, file set aside: {damage}")
    for path in done.dropped:
        print(f"{path}: dropped")
    for path, what in sorted(done.lost.items()):
        print(f"{path}: lost: {what}")
    for path in done.unclaimed:
        print(f"{path}: set aside by an earlier start; nissa rebuild --replace adds it again")
    count = len(done.mended) + len(done.back) + len(done.aside)
    print(f"{'damaged' if done.lost else 'ok'}: {count} files restored or set aside, {len(done.lost)} lost")
