"""nissa verify: every checksum of a directory read, and the catalogue compared with the files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command


def verify(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
) -> None:
    """Read everything and compare: journal frames, blocks, series, the catalogue against the files. Changes nothing.

    Exit code 0: all good. 1: something is damaged or missing; each finding is a line with its file. The daemon may be
    running; what it writes meanwhile is left out.

    \b
    Examples:
      nissa verify                         check ./nissa-data
      nissa verify /backup/nissa && echo good
    """
    run_command("nissa verify", lambda: _verify(existing(directory)))


def _verify(directory: Path) -> None:
    # Loaded here: the readers are not for --help.
    from nissa.store.recovery import RecoveryReport, read_journal
    from nissa.store.verify import verify_directory

    journal = RecoveryReport()
    for _ in read_journal(directory / "journal", 0, journal):
        pass
    findings = [*verify_directory(directory)]
    findings += [f"journal: acknowledged frames {first} to {last} are gone" for first, last in journal.rot_ranges]
    if journal.damaged_headers:
        findings.append(f"journal: {journal.damaged_headers} segments with a damaged header")
    if journal.unreadable_bytes:
        findings.append(f"journal: {journal.unreadable_bytes} bytes the disk refuses to read")
    for finding in findings:
        print(finding)
    print(f"{'damaged' if findings else 'ok'}: {journal.segments} journal segments, {journal.frames} frames checked")
    if findings:
        sys.exit(OUTSIDE)
