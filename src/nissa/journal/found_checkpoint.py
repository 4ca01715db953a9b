"""Derives the checkpoint from files: the LSN up to which blocks contain the frames of the journal.

    blocks     ▪▪▪▪ 1–40   ▪▪▪▪ 41–80   ▪▪ 81–95        the last seal: was it committed, and is it whole?
    journal                      ├── 61 ──────────► 120

Seals are sequential, so all frames up to the last one of any block are in blocks, except that a crash may have left
only some files of the last seal. The last seal was committed if a merge or the ladder has used it, if the manifest
names one of its files, or if an old catalogue has a later checkpoint. Otherwise, if the journal still has its frames,
its files are left out and the frames are replayed: the checkpoint is 80. If it does not, the files are used: the
checkpoint is 95.

Frames before the first one of the journal were in blocks or had no rows, so the checkpoint is never before the start
of the journal.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from nissa.journal.recovery import RecoveryReport, acknowledged_before, read_journal


class Stamp(msgspec.Struct, frozen=True):
    """A file and the last frame it holds. committed: something is known to have come after its seal."""

    path: str
    last_lsn: int
    committed: bool = False


class FoundCheckpoint(msgspec.Struct, frozen=True):
    """left_out: files of a seal that the journal gives back."""

    lsn: int
    left_out: tuple[str, ...] = ()


def find_checkpoint(journal: Path, stamps: Sequence[Stamp], committed_lsn: int = 0) -> FoundCheckpoint:
    """The checkpoint of these files and this journal. committed_lsn: a checkpoint that is known to have been.

    Raises: UnknownFormat, Damaged, for a journal that cannot be looked through.
    """
    least_lsn = max(acknowledged_before(journal), committed_lsn)
    last_lsn = max((one.last_lsn for one in stamps), default=0)
    last = [one for one in stamps if one.last_lsn == last_lsn]
    if last_lsn <= least_lsn or any(one.committed for one in last):
        return FoundCheckpoint(max(last_lsn, least_lsn))
    before_lsn = max([least_lsn, *(one.last_lsn for one in stamps if one.last_lsn < last_lsn)])
    if _gives_back(journal, before_lsn, last_lsn):
        return FoundCheckpoint(before_lsn, tuple(one.path for one in last))
    return FoundCheckpoint(last_lsn)


def _gives_back(journal: Path, after_lsn: int, last_lsn: int) -> bool:
    """True where the journal has every frame behind ``after_lsn`` up to ``last_lsn``."""
    report = RecoveryReport()
    for _ in read_journal(journal, after_lsn, report):
        pass
    there = report.tail is not None and report.tail.last_lsn >= last_lsn
    return there and not report.rot_ranges and not report.empty_segments
