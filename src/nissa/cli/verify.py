"""nissa verify: every checksum of a directory read, and the catalogue compared with the files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nissa.cli.fault import OUTSIDE, existing, run_command

if TYPE_CHECKING:
    from nissa.model.ladder import Keeping
    from nissa.store.recovery import RecoveryReport


def verify(
    directory: Annotated[Path, typer.Argument(help="The data directory.", metavar="DIR")] = Path("nissa-data"),
    tiers: Annotated[
        bool, typer.Option("--tiers", help="Also compute every tier of the ladder again from the one below.")
    ] = False,
) -> None:
    """Read everything and compare: journal frames, blocks, series, the catalogue against the files. Changes nothing.

    Exit code 0: all good. 1: something is damaged or missing; each finding is a line with its file. The daemon may be
    running; what it writes meanwhile is left out.

    \b
    Examples:
      nissa verify                         check ./nissa-data
      nissa verify --tiers                 and whether every window says what its samples say
      nissa verify /backup/nissa && echo good
    """
    run_command("nissa verify", lambda: _verify(existing(directory), tiers=tiers))


def _verify(directory: Path, *, tiers: bool) -> None:
    # Loaded here: the readers are not for --help.
    from nissa.store.catalogue import Catalogue
    from nissa.store.recovery import RecoveryReport, read_journal
    from nissa.store.verify import verify_directory

    report, journal = verify_directory(directory), RecoveryReport()
    catalogue = Catalogue.open(directory, readonly=True)
    checkpoint_lsn = catalogue.checkpoint().lsn
    catalogue.close()
    for _ in read_journal(directory / "journal", checkpoint_lsn, journal):
        pass
    findings = [f"{file.path}: {file.damage}" for file in report.files if file.damage]
    findings += [f"catalogue: {fault}" for fault in report.catalogue]
    findings += [f"{row.path}.damaged: {row.rows} rows in quarantine: {row.damage}" for row in report.quarantine]
    findings += _journal_findings(journal)
    if tiers and not findings:
        findings += _tier_findings(directory)
    for finding in findings:
        print(finding)
    for path in report.orphans:
        print(f"{path}: nobody names it; harmless, deleted at the next start")
    rows = sum(file.rows for file in report.files)
    checked = (
        f"{len(report.files)} files with {rows} rows, {journal.segments} journal segments with {journal.frames} frames"
    )
    print(f"{'damaged' if findings else 'ok'}: {checked} behind the checkpoint")
    if findings:
        sys.exit(OUTSIDE)


def _tier_findings(directory: Path) -> list[str]:
    """Windows that are not what the tier below makes of them."""
    from nissa.rollup.verify import verify_tiers

    findings: list[str] = []
    for report in verify_tiers(directory, keeping=_keeping_of(directory)):
        print(f"{report.name}: {report.windows} windows computed again, {report.count} differences")
        findings += report.differences
        if report.count > len(report.differences):
            findings.append(f"{report.name}: and {report.count - len(report.differences)} more")
    return findings


def _keeping_of(directory: Path) -> "Keeping | None":
    """The policies the windows were written under; the series are only read where there are any."""
    from nissa.ingest.recover import read_directory
    from nissa.series.keeping import SeriesKeeping
    from nissa.store.catalogue import Catalogue
    from nissa.store.policies import read_epochs

    catalogue = Catalogue.open(directory, readonly=True)
    epochs = read_epochs(catalogue)
    catalogue.close()
    return SeriesKeeping(read_directory(directory).pipeline.index, epochs) if epochs else None


def _journal_findings(journal: "RecoveryReport") -> list[str]:
    """What of the journal counts as damage: a torn tail does not, for it was never acknowledged."""
    findings = [f"journal: acknowledged frames {first} to {last} are gone" for first, last in journal.rot_ranges]
    if journal.damaged_headers:
        findings.append(f"journal: {journal.damaged_headers} segments with a damaged header")
    if journal.unreadable_bytes:
        findings.append(f"journal: {journal.unreadable_bytes} bytes the disk refuses to read")
    return findings
