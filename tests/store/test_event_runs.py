"""Runs of events: blocks by the row group, the head sorted, damage reported and left out."""

from pathlib import Path

import numpy as np
import pytest

from nissa.catalogue.catalogue import Checkpoint, Seal
from nissa.files.checked_file import FileGone
from nissa.model.errors import Damaged
from nissa.store import event_blocks, event_runs
from nissa.store.event_runs import BlockRun, EventSnapshot, HeadRun, places_of, report_missing_files, times_of
from nissa.store.quarantine import Quarantined, put_aside
from oracle.directory import ALWAYS, Directory
from oracle.event_blocks import write_events
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
    assert [times_of(piece).tolist() for piece in run.pieces(2, 3, None, backward=True)] == [[2, 5, 7], [1, 2, 2]]
    run.close()


def test_the_head_is_sorted_and_cut() -> None:
    """Events of one millisecond stay in order of arrival over all batches."""
    batches = [event_batch([event_row(at, number)]) for number, at in enumerate((5, 1, 5, 3))]
    run = HeadRun(batches)
    (piece,) = run.pieces(3, 6, None)
    assert piece.column("packet_id").to_pylist() == ["p3", "p0", "p2"]
    assert shown(run, 6, 9) == []
    assert (run.least_ms, run.greatest_ms) == (1, 5)


def test_a_large_head_is_handed_out_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward the same pieces, whatever batches their events are of."""
    monkeypatch.setattr(event_runs, "HEAD_PIECE_ROWS", 3)
    times = [[5, 1], [], [2, 9, 9], [4], [3, 8]]
    numbers = iter(range(100))
    run = HeadRun([event_batch([event_row(at, next(numbers)) for at in part]) for part in times if part])
    pieces = [piece.column("packet_id").to_pylist() for piece in run.pieces(2, 10, None)]
    assert pieces == [["p2", "p6", "p5"], ["p0", "p7", "p3"], ["p4"]]
    assert [p.column("packet_id").to_pylist() for p in run.pieces(2, 10, None, backward=True)] == pieces[::-1]


def test_runs_stand_in_order_of_arrival(tmp_path: Path) -> None:
    """Blocks by their LSNs, the head last; what lies outside the range is not opened."""
    Directory(tmp_path)
    blocks = [
        write_events(tmp_path, number, [event_batch([event_row(at, at)])], lsn, lsn, 1)
        for number, at, lsn in ((1, 10, 8), (2, 11, 3), (3, 99, 9))
    ]
    snapshot = EventSnapshot(tmp_path, tuple(blocks), (event_batch([]), event_batch([event_row(12, 12)])))
    places = places_of(snapshot, 0, 50)
    assert [(place.number, place.least_ms, place.greatest_ms) for place in places] == [
        (0, 11, 11),
        (1, 10, 10),
        (2, 12, 12),
    ]
    for place, time_ms in zip(places, (11, 10, 12), strict=True):
        run = place.open()
        assert shown(run, 0, 50) == [[time_ms]]
        run.close()
    (tmp_path / blocks[0].path).unlink()
    with pytest.raises(FileGone):
        places[1].open()
    assert places_of(snapshot, 13, 50) == places_of(EventSnapshot(tmp_path), *ALWAYS) == []


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
    with pytest.raises(Damaged):
        BlockRun(tmp_path, block)


def test_what_is_in_quarantine_is_told(tmp_path: Path) -> None:
    """Blocks of events in quarantine are reported if in the range; without ``on_damage`` the damage is raised."""
    directory = Directory(tmp_path)
    block = write_events(tmp_path, 1, [event_batch([event_row(at, at) for at in (5, 9)])], 1, 1, 1)
    directory.catalogue.commit_seal(Seal(Checkpoint(1), (block,)))
    snapshot = EventSnapshot(tmp_path, missing=(put_aside(directory.catalogue, block, "hit", 9),))
    told: list[Damaged] = []
    for start_ms, end_ms in ((0, 5), (10, 20), (9, 10)):
        report_missing_files(snapshot, start_ms, end_ms, told.append)
    assert len(told) == 1
    with pytest.raises(Quarantined, match="2 rows of 5 to 9 ms"):
        report_missing_files(snapshot, 0, 99, None)
