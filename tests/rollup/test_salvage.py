"""Salvage of windows: sound ones are still served, those computed again are right, the rest is counted as lost."""

from pathlib import Path

import numpy as np
import pytest
from rollup.test_compaction import TIER, read, windows_of

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal, TierRow
from nissa.files.names import own_files
from nissa.model.slices import run_whole
from nissa.model.units import MINUTE_MS
from nissa.rollup.salvage import save_sound_windows
from nissa.store.tier_blocks import write_windows
from nissa.store.tombstones import Tombstones, tiers_text
from oracle.slices import end_after

EVERY = [(series, minute * MINUTE_MS) for series in range(4) for minute in range(20_000)]
VALUES = np.random.default_rng(5).random(len(EVERY))  # more than the footer is read with
Written = tuple[Catalogue, BlockRow, BlockRow]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A block of some row groups, hit in its first, and a later one of some of its windows."""
    catalogue = Catalogue.open(tmp_path)
    hit = run_whole(write_windows(tmp_path, catalogue.new_id(), TIER, [windows_of(EVERY, VALUES)], 1, 5))
    later = run_whole(write_windows(tmp_path, catalogue.new_id(), TIER, [windows_of(EVERY[::7], 2.0)], 3, 6))
    assert hit is not None
    assert later is not None
    catalogue.commit_tiers([TierRow(TIER)], (hit, later))
    with (tmp_path / hit.path).open("r+b") as file:
        file.seek(9)
        file.write(b"?")
    return catalogue, hit, later


def nothing() -> None:
    """Nobody waits."""


def test_sound_windows_are_saved(tmp_path: Path, written: Written) -> None:
    """Windows of the later block still win, though the new block has a higher id."""
    catalogue, hit, later = written
    saved, lost = run_whole(save_sound_windows(tmp_path, catalogue, hit))
    assert saved is not None
    assert (saved.created_ms, saved.last_lsn, saved.kind) == (hit.created_ms, 3, hit.kind)
    assert 2_000 < lost < len(EVERY) / 2
    found = read(tmp_path, [saved, later])
    expected = dict(zip(EVERY, VALUES.tolist(), strict=True))
    expected |= dict.fromkeys(EVERY[::7], 2.0)
    sound = {*EVERY[::7], *EVERY[lost:]}
    assert found == [(*row, value) for row, value in expected.items() if row in sound]


def test_deleted_windows_are_not_saved(tmp_path: Path, written: Written) -> None:
    """Deleted windows of the damaged block are not saved; those of the later block were computed after the deletion."""
    catalogue, hit, _ = written
    catalogue.commit_seal(Seal(Checkpoint(1)))
    deletion = Tombstones(catalogue).add(np.array([3], np.uint32), 0, 2**62, 1)
    catalogue.commit_tiers([TierRow(TIER)], completed=[(tiers_text({TIER.name: (0, 2**62)}), deletion.id)])
    saved, _ = run_whole(save_sound_windows(tmp_path, catalogue, hit))
    assert saved is not None
    assert (saved.last_lsn, saved.tombstone) == (3, deletion.id)
    found = [row[:2] for row in read(tmp_path, [saved])]
    assert [row for row in found if row[0] == 3] == [row for row in EVERY[::7] if row[0] == 3]
    assert len([row for row in found if row[0] == 2]) == 20_000


def test_what_a_policy_keeps_stays_of_its_kind(tmp_path: Path, written: Written) -> None:
    """Or it would go at another time."""
    catalogue, *_ = written
    kept = run_whole(
        write_windows(tmp_path, catalogue.new_id(), TIER, [windows_of(EVERY, VALUES)], 1, 5, f"{TIER.name}~30d")
    )
    assert kept is not None
    catalogue.commit_tiers([TierRow(TIER)], (kept,))
    with (tmp_path / kept.path).open("r+b") as file:
        file.seek(9)
        file.write(b"?")
    saved, lost = run_whole(save_sound_windows(tmp_path, catalogue, kept))
    assert saved is not None
    assert saved.kind == f"{TIER.name}~30d"
    assert saved.rows == len(EVERY) - lost


def test_nothing_is_saved_of_what_cannot_be_read(tmp_path: Path, written: Written) -> None:
    """A damaged footer, a missing file, a later block that is damaged too, an unknown tier."""
    catalogue, hit, later = written
    path = tmp_path / later.path
    sound = path.read_bytes()
    path.write_bytes(sound[:9] + b"?" + sound[10:])
    assert run_whole(save_sound_windows(tmp_path, catalogue, hit)) == (None, len(EVERY))
    path.write_bytes(sound)
    with catalogue.transaction("tier") as db:
        db.execute("DELETE FROM tier")
    assert run_whole(save_sound_windows(tmp_path, catalogue, hit)) == (None, len(EVERY))
    (tmp_path / hit.path).write_bytes(b"?" * hit.bytes)
    assert run_whole(save_sound_windows(tmp_path, catalogue, hit)) == (None, len(EVERY))
    (tmp_path / hit.path).unlink()
    assert run_whole(save_sound_windows(tmp_path, catalogue, hit)) == (None, len(EVERY))
    assert own_files(tmp_path) == [later.path]


def test_an_end_in_the_midst_leaves_no_file(tmp_path: Path, written: Written) -> None:
    """Ended between two slices, it leaves both blocks as they were."""
    catalogue, hit, later = written
    end_after(save_sound_windows(tmp_path, catalogue, hit), 1)
    assert own_files(tmp_path) == [hit.path, later.path]
