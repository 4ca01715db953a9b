"""nissa rebuild: rebuilds the catalogue from the files of a directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import existing, run_command

if TYPE_CHECKING:
    from nissa.ingest.rebuild import Rebuilt


def rebuild(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Also if the catalogue can be opened: it is renamed, not deleted.")
    ] = False,
) -> None:
    """Rebuild catalogue.sqlite from blocks, series segments and the journal. The daemon must be stopped.

    For a directory whose catalogue is missing, empty or damaged, or of which only blocks/ and series/ were restored.
    Every block is read and verified against its footer. Undamaged tables of the old catalogue are copied; what else
    only the catalogue had, such as pins, is lost and printed. The old file becomes catalogue.sqlite.replaced. Exit code
    0: there is a catalogue again. Run nissa verify afterwards.


    \b
    Examples:
      nissa rebuild                        the catalogue of ./nissa-data
      nissa rebuild --replace /data/nissa  the catalogue there is older than the files
    """
    run_command("nissa rebuild", lambda: _rebuild(directory, replace=replace))


def _rebuild(directory: Path, *, replace: bool) -> None:
    # Loaded here: the readers are not for --help.
    from nissa.ingest.rebuild import rebuild_directory
    from nissa.service.clock import wall_ms

    _print(rebuild_directory(existing(directory), wall_ms, replace=replace))


def _print(made: "Rebuilt") -> None:
    for path in made.claimed:
        print(f"{path}: restored; an earlier start had set it aside")
    for path, why in sorted(made.left_out.items()):
        print(f"{path}: left out: {why}")
    for path, damage in sorted(made.damaged.items()):
        print(f"{path}: damaged: {damage}")
    for path in made.missing:
        print(f"{path}: missing, although the manifest lists it")
    for path in made.silent:
        print(f"{path}: written by an earlier version, which did not record LSNs")
    if made.lost_series:
        print(f"labels of {made.lost_series} series are lost; queries return their samples as nissa_lost_series")
    for what in made.lost:
        print(f"not recoverable without the old catalogue: {what}")
    if made.aside:
        print(f"the old catalogue was moved to {made.aside}")
    blocks, series = f"{made.blocks} blocks with {made.rows} rows", f"{made.series} series in {made.segments} segments"
    print(
        f"rebuilt: {blocks}, {series}, up to LSN {made.checkpoint_lsn}; the next start replays the journal from there"
    )
