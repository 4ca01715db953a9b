"""nissa restore: restores a backup into an empty directory, and verifies it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import OUTSIDE, run_command


def restore(
    destination: Annotated[
        str, typer.Argument(help="What was given to nissa backup: a folder or an object store.", metavar="DESTINATION")
    ],
    directory: Annotated[Path, typer.Argument(help="An empty directory, or a new one.", metavar="DIR")],
    backup: Annotated[
        str,
        typer.Option("--backup", help="Which one, as nissa backup --list shows it; default: the last.", metavar="ID"),
    ] = "",
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Complete it without the files that are damaged in the backup.")
    ] = False,
) -> None:
    """Restore a backup into an empty directory, then verify all of it, as nissa verify does.

    If it is interrupted, or the backup is damaged, the daemon refuses the directory until the same command completes
    it. Without a journal file that is damaged, samples are gone that no block has yet: restore another backup, or
    accept that by --salvage.

    Exit code 0: restored, no faults. 1: each fault is a line, or not restored.

    \b
    Examples:
      nissa restore /backup/nissa /var/lib/nissa
      nissa restore /backup/nissa /var/lib/nissa --salvage
      nissa restore s3://backups/nissa ./restored --backup 20260101T080000.250Z
    """
    run_command("nissa restore", lambda: _restore(destination, directory, backup, salvage))


def _restore(url: str, directory: Path, backup: str, salvage: bool) -> None:
    from nissa.backup.restore import restore_backup  # loaded here: obstore and the readers are not for --help
    from nissa.cli.verify import print_findings
    from nissa.files.destinations import destination_of, is_inside
    from nissa.model.errors import BadQuery

    if is_inside(str(directory), Path(url)):
        raise BadQuery(f"{directory} is in the backup {url}; name a place outside of it")
    done = restore_backup(destination_of(url, "destination"), directory, backup, salvage=salvage)
    for path, damage in sorted(done.damaged.items()):
        print(f"{path}: not restored: {damage}")
    if not done.complete:
        print("not complete: restore another backup into another directory, or add --salvage to go without these files")
        sys.exit(OUTSIDE)
    restored = [file.bytes for file in done.manifest.files if file.path not in done.damaged]
    print(f"restored backup {done.manifest.id}: {len(restored)} files, {sum(restored)} bytes")
    if not print_findings(directory) or done.damaged:
        sys.exit(OUTSIDE)
