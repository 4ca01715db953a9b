"""The checkpoint as found from files and journal."""

from pathlib import Path

import pytest
from store.test_garbage import journal_of

from nissa.journal.found_checkpoint import FoundCheckpoint, Stamp, find_checkpoint


def files(*lsns: int, committed: int = 0) -> list[Stamp]:
    """A file for each; one of them is known to be committed."""
    return [Stamp(f"f{lsn}", lsn, lsn == committed) for lsn in lsns]


@pytest.mark.parametrize(
    ("stamps", "trimmed", "known_lsn", "found"),
    [
        (files(4, 6), 4, 0, FoundCheckpoint(4, ("f6",))),  # the journal gives 5 to 8
        (files(4, 6), 0, 0, FoundCheckpoint(4, ("f6",))),
        (files(4, 6, committed=6), 4, 0, FoundCheckpoint(6)),
        (files(4, 6), 4, 6, FoundCheckpoint(6)),
        (files(2, 6), 4, 0, FoundCheckpoint(3, ("f6",))),  # frame 3 had no rows
        (files(6), 6, 0, FoundCheckpoint(6)),
        (files(4, 9), 4, 0, FoundCheckpoint(9)),  # the journal ends before
        (files(), 4, 0, FoundCheckpoint(3)),
        (files(4), 4, 7, FoundCheckpoint(7)),
        (files(), 0, 0, FoundCheckpoint(0)),
    ],
)
def test_where_blocks_end(
    tmp_path: Path, stamps: list[Stamp], trimmed: int, known_lsn: int, found: FoundCheckpoint
) -> None:
    """The last seal counts where it was committed, or the journal does not give it back."""
    journal_of(tmp_path, 8, trimmed)
    assert find_checkpoint(tmp_path / "journal", stamps, known_lsn) == found


def test_a_journal_with_a_hole_or_none(tmp_path: Path) -> None:
    """Files are all there is of frames that the journal has lost."""
    assert find_checkpoint(tmp_path / "journal", files(4, 6)) == FoundCheckpoint(6)
    journal_of(tmp_path, 8, 2)
    segments = sorted((tmp_path / "journal").iterdir())
    segments[1].write_bytes(b"")  # frames 5 and 6
    assert find_checkpoint(tmp_path / "journal", files(4, 6)) == FoundCheckpoint(6)
