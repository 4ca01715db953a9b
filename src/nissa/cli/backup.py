"""nissa backup: copies a data directory, as it is at this moment, to a folder or an object store."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command


def backup(
    destination: Annotated[
        str, typer.Argument(help="A folder, or s3://, gs://, az:// and bucket/prefix.", metavar="DESTINATION")
    ],
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    keep: Annotated[
        int, typer.Option("--keep", help="Then delete all backups but the last N; 0 keeps all.", metavar="N", min=0)
    ] = 0,
    listed: Annotated[bool, typer.Option("--list", help="Only list the backups that are there.")] = False,
) -> None:
    """Back up a data directory, also while the daemon runs.

    The backup has everything acknowledged before it began: blocks, journal, catalogue, cursors of sinks, dead letters,
    and database.sqlite with alerts and users (not a PostgreSQL database: use pg_dump). Only files that are not there
    yet are copied. Its manifest is written last, so an interrupted backup does not exist. Object stores need the extra
    nissa[objects] and take credentials from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).

    Exit code 0: done. 1: done, but damaged files were left out (each is a line) or older backups were
    not deleted; or not done.

    \b
    Examples:
      nissa backup /backup/nissa                          of ./nissa-data
      nissa backup /backup/nissa /var/lib/nissa --keep 7  and delete all but the last 7
      nissa backup s3://backups/nissa /var/lib/nissa
      nissa backup --list /backup/nissa
    """
    run_command("nissa backup", lambda: _list(destination) if listed else _backup(destination, directory, keep))


def _backup(url: str, directory: Path, keep: int) -> None:
    from nissa import __version__  # loaded here: obstore, SQLite and the readers are not for --help
    from nissa.backup.backup import make_backup
    from nissa.files.destinations import destination_of, is_inside
    from nissa.model.errors import ConfigInvalid
    from nissa.service.clock import wall_ms
    from nissa.service.descriptors import room_for_connections

    if is_inside(url, existing(directory)):
        raise ConfigInvalid("destination", f"{url} is in the data directory {directory}; name a place outside of it")
    room_for_connections()  # many files are open at a time
    destination = destination_of(url, "destination", private=True)
    made = make_backup(directory, destination, wall_ms(), __version__, keep)
    manifest = made.manifest
    for path, damage in sorted(manifest.damaged.items()):
        print(f"{path}: not in the backup: {damage}")
    for one in made.deleted:
        print(f"deleted backup {one}")
    if made.kept_for:
        print(f"no older backup was deleted: {made.kept_for}; delete that file to give its backup up")
    print(
        f"backup {manifest.id}: {len(manifest.files)} files, {manifest.bytes} bytes, "
        f"of which {made.copied_files} files, {made.copied_bytes} bytes were copied"
    )
    if manifest.damaged or made.kept_for:
        sys.exit(OUTSIDE)


def _list(url: str) -> None:
    from nissa.backup.manifest import backup_ids, read_backup
    from nissa.cli.text_table import print_table
    from nissa.files.destinations import SCHEMES, destination_of
    from nissa.model.errors import Damaged, UnknownFormat

    destination = destination_of(url, "destination")
    if not url.startswith(SCHEMES):
        existing(Path(url))
    found, faults = [], []
    for backup in backup_ids(destination):
        try:
            found.append(read_backup(destination, backup))
        except (Damaged, UnknownFormat) as error:
            faults.append(str(error))
    rows = [(one.id, len(one.files), one.bytes, len(one.damaged), one.nissa) for one in found]
    print_table("backups", ("backup", "files", "bytes", "damaged", "version"), rows, as_json=False)
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(OUTSIDE)
