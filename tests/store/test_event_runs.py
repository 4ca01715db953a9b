"""Runs of events: blocks by the row group, the head sorted, damage told and left out."""

from pathlib import Path

import numpy as np
import pytest

from nissa.model.errors import Damaged
from nissa.store import event_blocks
from nissa.store.checked_file import FileGone
from nissa.store.event_blocks import write_events
from nissa.store.event_runs import BlockRun, EventSnapshot, HeadRun, open_runs, times_of
from oracle.directory import ALWAYS, Directory
from oracle.events import event_batch, event_row


def shown(run: BlockRun | HeadRun, start_ms: int, end_ms: int) -> list[list[int]]:
    """Times by piece."""
    return [times_of(piece).tolist() for piece in run.pieces(start_ms, end_ms, None)]


def test_a_block_is_read_by_the_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only row groups that overlap the range are read."""
    monkeypatch.setattr(event_blocks, "GROUP_ROWS", 3)
    Directory(tmp_path)
    batch = event_batch([event_row(at, at) for at in (5, 1, 2, 2, 2, 9, 7)])
    run = BlockRun(tmp_path, write_events(tmp_path, 1, [batch], 1, 1, 1))
    assert shown(run, *ALWAYS) == [[1, 2, 2], [2, 5, 7], [9]]
    assert shown(run, 3, 9) == [[2, 5, 7]]
    assert shown(run, 2, 3) == [[1, 2, 2], [2, 5, 7]]
    assert shown(run, 10, 12) == []
    run.close()


def test_the_head_is_sorted_and_cut() -> None:
    """Events of one millisecond stay in order of arrival over all batches."""
    batches = [event_batch([event_row(at, number)]) for number, at in enumerate((5, 1, 5, 3))]
    run = HeadRun(batches)
    (piece,) = run.pieces(3, 6, None)
    assert piece.column("packet_id").to_pylist() == ["p3", "p0", "p2"]
    assert shown(run, 6, 9) == []


def test_runs_stand_in_order_of_arrival(tmp_path: Path) -> None:
    """Blocks by their LSNs, the head last; what lies outside the range is not opened."""
    Directory(tmp_path)
    blocks = [
        write_events(tmp_path, number, [event_batch([event_row(at, at)])], lsn, lsn, 1)
        for number, at, lsn in ((1, 10, 8), (2, 11, 3), (3, 99, 9))
    ]
    snapshot = EventSnapshot(tmp_path, tuple(blocks), (event_batch([]), event_batch([event_row(12, 12)])))
    runs = list(open_runs(snapshot, 0, 50, None))
    assert [shown(run, 0, 50) for run in runs] == [[[11]], [[10]], [[12]]]
    for run in runs:
        run.close()
    (tmp_path / blocks[0].path).unlink()
    with pytest.raises(FileGone):
        list(open_runs(snapshot, 0, 50, None))
    assert list(open_runs(EventSnapshot(tmp_path), *ALWAYS, None)) == []


def test_damage_is_told_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged row group leaves the others; a damaged footer leaves out the block."""
    monkeypatch.setattr(event_blocks, "GROUP_ROWS", 2_000)
    Directory(tmp_path)
    noise = np.random.default_rng(1)
    rows = [{**event_row(at, at), "description": noise.bytes(60).hex()} for at in range(6_000)]
    block = write_events(tmp_path, 1, [event_batch(rows)], 1, 1, 1)
    path = tmp_path / block.path
    sound = path.read_bytes()
    path.write_bytes(bytes([*sound[:100], sound[100] ^ 1, *sound[101:]]))
    run = BlockRun(tmp_path, block)
    with pytest.raises(Damaged, match="CRC-32C"):
        shown(run, *ALWAYS)
    told: list[Damaged] = []
    pieces = list(run.pieces(*ALWAYS, told.append))
    assert [times_of(piece)[0] for piece in pieces] == [2_000, 4_000]
    assert [damage.path for damage in told] == [str(path)]
    run.close()
    path.write_bytes(bytes([*sound[:-20], sound[-20] ^ 1, *sound[-19:]]))
    snapshot = EventSnapshot(tmp_path, (block,))
    with pytest.raises(Damaged):
        list(open_runs(snapshot, *ALWAYS, None))
    assert list(open_runs(snapshot, *ALWAYS, told.append)) == []
    assert len(told) == 2
