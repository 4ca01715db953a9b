"""nissa verify: verifies all checksums of a directory, and compares the catalogue with the files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command

if TYPE_CHECKING:
    from nissa.journal.recovery import RecoveryReport
    from nissa.model.ladder import RetentionPolicy


def verify(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    tiers: Annotated[
        bool, typer.Option("--tiers", help="Also recompute every tier of the ladder from the one below.")
    ] = False,
) -> None:
    """Read and check all data: journal frames, blocks, series, and the catalogue against the files. Changes nothing.

    Exit code 0: no faults. 1: something is damaged or missing; each fault is a line with its file. The daemon may be
    running; files it writes meanwhile are not checked.

    \b
    Examples:
      nissa verify                         check ./nissa-data
      nissa verify --tiers                 also compare every window with its samples
      nissa verify /backup/nissa && echo good
    """
    run_command("nissa verify", lambda: _verify(existing(directory), tiers=tiers))


def _verify(directory: Path, *, tiers: bool) -> None:
    if not print_findings(directory, tiers=tiers):
        sys.exit(OUTSIDE)


def print_findings(directory: Path, *, tiers: bool = False) -> bool:
    """Print the faults of a data directory, and a summary; True if there is none. tiers: recompute them too."""
    # Loaded here: the readers are not for --help.
    from nissa.catalogue.catalogue import Catalogue
    from nissa.journal.recovery import RecoveryReport, read_journal
    from nissa.store.verify import verify_directory

    report, journal = verify_directory(directory), RecoveryReport()
    catalogue = Catalogue.open(directory, readonly=True)
    checkpoint_lsn = catalogue.checkpoint().lsn
    catalogue.close()
    for _ in read_journal(directory / "journal", checkpoint_lsn, journal):
        pass
    findings = [f"{file.path}: {file.damage}" for file in report.files if file.damage]
    findings += [f"catalogue: {fault}" for fault in report.catalogue]
    findings += [f"{row.file}: {row.rows} rows in quarantine: {row.damage}" for row in report.quarantine]
    findings += _journal_findings(journal)
    if tiers and not findings:
        findings += _tier_findings(directory)
    for finding in findings:
        print(finding)
    for path in report.orphans:
        print(f"{path}: orphaned, not in the catalogue: a start deletes it, or sets it aside if commits may be lost")
    rows = sum(file.rows for file in report.files)
    checked = (
        f"{len(report.files)} files with {rows} rows, {journal.segments} journal segments with {journal.frames} frames"
    )
    print(f"{'damaged' if findings else 'ok'}: {checked} behind the checkpoint")
    return not findings


def _tier_findings(directory: Path) -> list[str]:
    """Windows that differ from those recomputed from the tier below."""
    from nissa.rollup.verify import verify_tiers

    findings: list[str] = []
    for report in verify_tiers(directory, keeping=_keeping_of(directory)):
        print(f"{report.name}: {report.windows} windows recomputed, {report.count} differences")
        findings += report.differences
        if report.count > len(report.differences):
            findings.append(f"{report.name}: and {report.count - len(report.differences)} more")
    return findings


def _keeping_of(directory: Path) -> "RetentionPolicy | None":
    """The policies the windows were written under; the series are only read where there are any."""
    from nissa.catalogue.catalogue import Catalogue
    from nissa.catalogue.policies import read_epochs
    from nissa.ingest.recover import read_directory
    from nissa.series.policies import SeriesPolicies

    catalogue = Catalogue.open(directory, readonly=True)
    epochs = read_epochs(catalogue)
    catalogue.close()
    return SeriesPolicies(read_directory(directory).pipeline.index, epochs) if epochs else None


def _journal_findings(journal: "RecoveryReport") -> list[str]:
    """Damage in the journal; a torn tail does not count, since it was never acknowledged."""
    findings = [f"journal: acknowledged frames {first} to {last} are gone" for first, last in journal.rot_ranges]
    findings += [
        f"journal/{name}: it is empty, and what was acknowledged of it is gone" for name in journal.empty_segments
    ]
    if journal.damaged_headers:
        findings.append(f"journal: {journal.damaged_headers} segments with a damaged header")
    if journal.unreadable_bytes:
        findings.append(f"journal: {journal.unreadable_bytes} bytes the disk refuses to read")
    return findings
