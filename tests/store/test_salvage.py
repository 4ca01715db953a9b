"""Salvage: sound row groups of a damaged block come into a new one; nothing is made of what has none."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from store.test_event_blocks import text

from nissa.files.names import own_files
from nissa.model.columns import EventBatch
from nissa.model.slices import run_whole
from nissa.store import event_blocks
from nissa.store.event_blocks import read_events
from nissa.store.salvage import save_sound_rows
from oracle.directory import ALWAYS, Directory
from oracle.event_blocks import write_events
from oracle.slices import end_after

ROWS = [(series, at, 0) for series in range(3) for at in range(100_000)]


def nothing() -> None:
    """Nobody waits."""


def test_nothing_is_made_of_what_cannot_be_opened(tmp_path: Path) -> None:
    """A damaged footer, another size, a file that is gone, and a block all of whose rows are hit."""
    directory = Directory(tmp_path)
    block = directory.seal(ROWS[:10]).blocks[0]
    path = tmp_path / block.path
    sound = path.read_bytes()
    for data in (sound[:-9] + b"?" + sound[-8:], sound[:-1], b"??" + sound[2:]):
        path.write_bytes(data)
        assert run_whole(save_sound_rows(tmp_path, directory.catalogue, block)) is None
    path.unlink()
    assert run_whole(save_sound_rows(tmp_path, directory.catalogue, block)) is None
    assert own_files(tmp_path) == []


def test_an_end_in_the_midst_leaves_no_file(tmp_path: Path) -> None:
    """Ended between two slices, it leaves the damaged block as it was."""
    directory = Directory(tmp_path)
    block = directory.seal(ROWS).blocks[0]
    with (tmp_path / block.path).open("r+b") as file:
        file.seek(9)
        file.write(b"?")
    end_after(save_sound_rows(tmp_path, directory.catalogue, block), 1)
    assert own_files(tmp_path) == [block.path]
    purged = msgspec.structs.replace(block, tombstone=5)
    saved = run_whole(save_sound_rows(tmp_path, directory.catalogue, purged))
    assert saved is not None
    assert 100_000 < saved.rows < 300_000
    assert saved.tombstone == 5


def test_sound_events_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of undamaged row groups are saved in their order, with the block's frames and age."""
    monkeypatch.setattr(event_blocks, "GROUP_ROWS", 2_000)
    rng, count = random.Random(3), 8_000
    noise = text([rng.randbytes(32).hex() for _ in range(count)])  # more than the footer is read with
    times, none = np.arange(count), text([""] * count)
    batch = EventBatch(times, times.astype(np.uint8), none, noise, none, none, times[:1].repeat(count + 1), none, none)
    batch = msgspec.structs.replace(batch, attribute_offsets=batch.attribute_offsets.astype(np.int32))
    directory = Directory(tmp_path)
    block = write_events(tmp_path, directory.catalogue.new_id(), [batch], 3, 4, 5)
    before = read_events(tmp_path, block, *ALWAYS)
    with (tmp_path / block.path).open("r+b") as file:
        file.seek(9)
        file.write(b"?")
    saved = run_whole(save_sound_rows(tmp_path, directory.catalogue, block))
    assert saved is not None
    assert read_events(tmp_path, saved, *ALWAYS) == before[2_000:]
    assert (saved.kind, saved.first_lsn, saved.last_lsn, saved.created_ms) == ("events", 3, 4, 5)
