"""Space: the floor is the larger of the two, and each state begins where it is said to."""

import os
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from nissa.config.tree import Storage
from nissa.maintenance.space import Space, read_space

STORAGE = msgspec.structs.replace(Storage(), free_bytes_min=10_000, free_percent_min=2)


@pytest.mark.parametrize(("blocks", "floor_bytes"), [(100, 10_000), (1_000, 20_000), (0, 10_000)])
def test_the_larger_floor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, floor_bytes: int
) -> None:
    """Bytes on a small disk, the share of a large one."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_blocks=blocks, f_bavail=7, f_frsize=1_000))
    assert read_space(tmp_path, STORAGE) == Space(7_000, floor_bytes)


def test_states_by_what_is_free() -> None:
    """Closed below the floor, open again a quarter above it, low below twice as much."""
    told = [(one.is_closed, one.may_resume, one.is_low) for one in (Space(free, 100) for free in (99, 100, 125, 200))]
    assert told == [(True, False, True), (False, False, True), (False, True, True), (False, True, False)]


def test_a_disk_that_does_not_say(tmp_path: Path) -> None:
    """A disk whose space cannot be read is taken for full."""
    assert read_space(tmp_path / "gone", STORAGE).is_closed
