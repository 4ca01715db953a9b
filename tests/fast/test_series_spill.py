"""Spilling the index: nothing but its memory changes, for whoever writes and whoever reads."""

import os
import random
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from nissa._fast.series_restore import seen_minutes_of
from nissa._fast.series_spill import let_go, spill_series
from oracle.bodies import Rig, sample, series
from oracle.series import IndexTwin, Limits, Record

SERIES_MAX = 30_000


def labels_of(number: int) -> list[tuple[str, str]]:
    """Labels of one series: its own text and shared ones."""
    return [("__name__", f"m{number % 7}"), ("job", "node"), ("pod", f"pod-{number}-{'x' * (number % 30)}")]


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 3))])
def test_a_spilled_index_agrees_with_the_twin(seed: int) -> None:
    """Frames, sweeps, limits and spills in any order: ids, refusals, labels and activity are those of the twin."""
    rng = random.Random(seed)
    rig, twin, spills, newest = Rig(), IndexTwin(Limits()), 0, 0
    with tempfile.TemporaryFile(buffering=0) as file:
        for minute in range(1, 60):
            numbers = [rng.randrange(max(newest, 1)) for _ in range(40)]
            fresh = rng.choice((0, 200, 1_500))
            numbers += range(newest, min(newest + fresh, SERIES_MAX))
            newest = min(newest + fresh, SERIES_MAX)
            room = rng.choice((5_000, 5_000, 20))
            records = [Record(labels_of(number), [(60_000, 0)]) for number in numbers]
            assert twin.resolve(records, minute, room) == _decoded(rig, numbers, minute, room)
            assert rig.batch.columns()[0].tolist() == [one.series for one in records if one.series is not None]
            oldest = max(minute - 3, 0)
            assert rig.index.sweep(oldest) == twin.sweep(oldest)
            spills += spill_series(rig.index, file.fileno(), 1)
            if rng.random() < 0.3:
                let_go(rig.index)
            assert seen_minutes_of(rig.index).tolist() == twin.seen
            assert rig.index.active_count == twin.active_count
        assert spills > 3
        assert os.fstat(file.fileno()).st_size > 1_000_000
    assert [tuple(rig.index.labels(one)) for one in range(len(twin.series))] == twin.series
    wanted = rig.index.symbol("m3")
    accept = np.zeros(rig.index.symbol_count, np.uint8)
    accept[wanted] = 1
    expected = [one for one, labels in enumerate(twin.series) if dict(labels)["__name__"] == "m3"]
    assert rig.index.filter([(rig.index.symbol("__name__"), accept, False)]).tolist() == expected


def _decoded(rig: Rig, numbers: list[int], minute: int, room: int) -> int:
    rig.decode(b"".join(series(labels_of(number)) for number in numbers), minute=minute, admit_max=room)
    return int(rig.batch.series_new)


def filled(count: int = 20_000) -> Rig:
    """An index of so many series, all of them idle."""
    rig = Rig()
    for first in range(0, count, 2_000):
        rig.decode(b"".join(series(labels_of(number)) for number in range(first, first + 2_000)), minute=1)
    rig.index.sweep(2)
    return rig


def test_it_leaves_memory() -> None:
    """Most of the index is in the file then; the same again does nothing, nor does it while most series are active."""
    rig = filled()
    before = rig.index.memory_bytes
    with tempfile.TemporaryFile(buffering=0) as file:
        assert not spill_series(rig.index, file.fileno(), 1 << 30)
        assert spill_series(rig.index, file.fileno(), 1)
        assert rig.index.memory_bytes < before / 4
        assert not spill_series(rig.index, file.fileno(), 1)
        size = os.fstat(file.fileno()).st_size
    assert size >= before / 2
    rig = filled(2_000)
    rig.decode(b"".join(series(labels_of(number)) for number in range(2_000)), minute=3)
    with tempfile.TemporaryFile(buffering=0) as file:
        assert not spill_series(rig.index, file.fileno(), 1)


def test_a_file_that_takes_nothing(tmp_path: Path) -> None:
    """The series stay in memory, and are spilled when there is room again."""
    rig = filled()
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as unwritable, tempfile.TemporaryFile(buffering=0) as file:
        assert not spill_series(rig.index, unwritable.fileno(), 1)
        assert rig.index.labels(19_999) == labels_of(19_999)
        assert spill_series(rig.index, file.fileno(), 1)
    assert [rig.index.labels(number) for number in (0, 9_999, 19_999)] == list(map(labels_of, (0, 9_999, 19_999)))


def test_readers_see_the_same_all_along() -> None:
    """Labels read on another thread while the index is spilled and let go are never anything else."""
    rig, wrong, stop = filled(), [], threading.Event()

    def read() -> None:
        rng = random.Random(1)
        while not stop.is_set():
            number = rng.randrange(20_000)
            if rig.index.labels(number) != labels_of(number):
                wrong.append(number)

    reader = threading.Thread(target=read)
    reader.start()
    with tempfile.TemporaryFile(buffering=0) as file:
        for turn in range(200):
            first = 20_000 + 100 * turn
            rig.decode(b"".join(series(labels_of(number)) for number in range(first, first + 100)), minute=turn + 2)
            rig.index.sweep(turn + 2)
            spill_series(rig.index, file.fileno(), 1)
            let_go(rig.index)
    stop.set()
    reader.join()
    assert wrong == []


def test_ids_come_to_an_end() -> None:
    """Behind the last id new series are refused and counted; known ones, active or idle, flow on."""
    rig = Rig()
    rig.index = type(rig.index)(b"s" * 32, ids_max=3)
    rig.decode(b"".join(series(labels_of(number)) for number in range(5)), minute=1)
    assert (rig.batch.samples, rig.batch.refused, rig.batch.series_new) == (3, {"series_limit": 2}, 3)
    rig.index.sweep(2)
    rig.decode(series(labels_of(4)) + series(labels_of(1), sample()), minute=2)
    assert (rig.batch.samples, rig.batch.refused) == (1, {"series_limit": 1})
    assert rig.index.series_count == 3
