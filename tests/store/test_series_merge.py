"""Merging segments of the series table: readers see no difference, and files stay few."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from store.test_series_table import Labels, ids_of, labels_of, rows_of

from nissa.catalogue.catalogue import Checkpoint, Seal, SeriesSegment
from nissa.files.names import copy_path, own_files, series_path
from nissa.model.columns import SeriesColumn
from nissa.model.errors import BlocksChanged, Damaged
from nissa.model.slices import Slices, run_whole
from nissa.store import series_merge
from nissa.store.series_merge import NONE, dropped_within, merge_segments, plan_series_drop, plan_series_merge
from nissa.store.series_table import write_series
from nissa.store.verify import verify_directory
from oracle.directory import Directory
from oracle.slices import end_after

FAN_IN = 4


def refuse() -> None:
    """Fail as if the segments were merged elsewhere meanwhile."""
    raise BlocksChanged("elsewhere")


def random_labels(chance: random.Random) -> Labels:
    """Labels of one series: few names, shared and own values, at times empty or none at all."""
    names = sorted(chance.sample(["__name__", "a", "job", "pod", "ü"], chance.randint(0, 5)))
    return [(name, chance.choice(["", "up", "nöde", f"pod-{chance.getrandbits(20)}"])) for name in names]


class Table:
    """A series table that grows by seals, and its twin: a list of label sets."""

    def __init__(self, path: Path) -> None:
        self.directory = Directory(path)
        self.labels: list[Labels] = []
        self.fingerprints: list[list[int]] = []
        self.gone: set[int] = set()

    @property
    def segments(self) -> list[SeriesSegment]:
        return self.directory.catalogue.series_segments()

    def seal(self, labels: list[Labels]) -> None:
        """Commit a seal that met these series."""
        rows = rows_of(labels, len(self.labels))
        catalogue = self.directory.catalogue
        segment = write_series(self.directory.path, catalogue.new_id(), rows)
        self.labels += labels
        self.fingerprints += rows.fingerprints.tolist()
        self.directory.lsn += 1
        catalogue.commit_seal(Seal(Checkpoint(self.directory.lsn, len(self.labels)), (), segment))

    def merge(self, chosen: tuple[SeriesSegment, ...], *gone: int) -> None:
        """Merge these segments."""
        dropped = np.array(sorted(gone), np.uint32)
        self.gone |= {one for one in gone if chosen[0].first_series <= one <= chosen[-1].last_series}
        run_whole(self.merging(chosen, dropped))

    def merging(self, chosen: Sequence[SeriesSegment], dropped: SeriesColumn = NONE) -> Slices[None]:
        """The merge of these segments."""
        catalogue = self.directory.catalogue
        publish = partial(catalogue.replace_series, chosen)
        return merge_segments(self.directory.path, catalogue, chosen, publish, dropped)

    def check(self) -> None:
        """The table agrees with the twin, in the files that the catalogue names."""
        read = [labels_of(self.directory.path, segment) for segment in self.segments]
        kept = [one for one in range(len(self.labels)) if one not in self.gone]
        assert [one for segment in self.segments for one in ids_of(self.directory.path, segment)] == kept
        assert [one for labels, _ in read for one in labels] == [self.labels[one] for one in kept]
        assert [one for _, fingerprints in read for one in fingerprints] == [self.fingerprints[one] for one in kept]
        assert own_files(self.directory.path) == sorted(
            path for segment in self.segments for path in (segment.path, copy_path(segment.path))
        )
        assert verify_directory(self.directory.path).sound


@pytest.mark.parametrize("seed", range(3))
def test_labels_ids_and_fingerprints_do_not_change(tmp_path: Path, seed: int) -> None:
    """Whatever was sealed and merged, the table is that of the twin, also over a reopened catalogue."""
    chance = random.Random(seed)
    table = Table(tmp_path)
    for _ in range(40):
        table.seal([random_labels(chance) for _ in range(chance.choice([1, 2, 9, 80]))])
        while chosen := plan_series_merge(table.segments, FAN_IN):
            table.merge(chosen)
            table.check()
    table.check()
    assert len(table.segments) < 2 * FAN_IN
    table.directory.catalogue.close()
    reopened = Table(tmp_path)
    reopened.labels, reopened.fingerprints = table.labels, table.fingerprints
    reopened.check()


@pytest.mark.parametrize("seed", range(3))
def test_dropped_series_are_left_out(tmp_path: Path, seed: int) -> None:
    """Whatever is merged or written again without some of its series, the others are as they were."""
    chance = random.Random(seed)
    table = Table(tmp_path)
    for _ in range(30):
        table.seal([random_labels(chance) for _ in range(chance.choice([1, 2, 9, 80]))])
        first = chance.randrange(len(table.segments))
        chosen = tuple(table.segments[first : first + chance.choice([1, 1, 3])])
        span = range(chosen[0].first_series, chosen[-1].last_series + 1)
        some = chance.sample(span, chance.choice([0, len(span) // 2, len(span)]))
        for one in chosen:
            expected = [each for each in some if one.first_series <= each <= one.last_series]
            assert dropped_within(one, np.array(sorted(some), np.uint32)) == len(expected)
        table.merge(chosen, *some, *(chance.randrange(len(table.labels)) for _ in range(chance.choice([0, 5]))))
        table.check()
    table.merge(tuple(table.segments), *range(len(table.labels)))
    assert (table.segments, own_files(tmp_path)) == ([], [])


def test_row_groups_are_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are joined until a row group is full, and it is left in between."""
    monkeypatch.setattr(series_merge, "GROUP_ROWS", 5)
    table = Table(tmp_path)
    for count in (2, 2, 4, 1, 1):
        table.seal([random_labels(random.Random(count)) for _ in range(count)])
    assert len(list(table.merging(table.segments))) == 3
    table.check()


def test_what_cannot_be_read_or_is_interrupted_changes_nothing(tmp_path: Path) -> None:
    """A damaged segment, or the engine that closes, ends the merge; the segments stay and no file is left over."""
    table = Table(tmp_path)
    for _ in range(3):
        table.seal([[("job", "x")]])
    before, files = table.segments, own_files(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_merge, "GROUP_ROWS", 1)
        end_after(table.merging(before), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table.directory.catalogue, "replace_series", lambda *_: refuse())
        with pytest.raises(BlocksChanged):
            run_whole(table.merging(before))
    for path in (before[1].path, copy_path(before[1].path)):
        (tmp_path / path).write_bytes((tmp_path / path).read_bytes()[:-1])
    with pytest.raises(Damaged):
        table.merge(tuple(before))
    assert (table.segments, own_files(tmp_path)) == (before, files)


def test_an_unreadable_segment_stays_and_those_behind_it_are_merged() -> None:
    """The unreadable segment is not chosen again; older segments wait with it."""
    segments = [segment(number, 1) for number in range(1, 10)]
    assert [one.id for one in plan_series_merge(segments, FAN_IN, {3})] == [4, 5, 6, 7, 8, 9]
    assert plan_series_merge(segments, FAN_IN, {8}) == ()


def segment(number: int, rows: int) -> SeriesSegment:
    """A segment of so many series."""
    first = 1_000 * number
    return SeriesSegment(number, series_path(number), first, rows, 1, 1, b"", first + rows - 1)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([1, 9, 63], []),  # too few
        ([1, 9, 63, 2], [0, 1, 2, 3]),  # below the cube of the fan-in all are of one size
        ([100, 1, 1, 1], []),
        ([100, 1, 100, 1, 100, 1, 100, 1], [0, 1, 2, 3, 4, 5, 6, 7]),
        ([10**7, 1, 1, 1, 1], [1, 2, 3, 4]),
        ([1, 1, 1, 100, 1, 1, 1, 1], [4, 5, 6, 7]),  # the smallest first, and only neighbours
        ([4 * 1024 * 1024] * 9, []),  # large ones stay
    ],
)
def test_the_plan_takes_neighbours_of_a_size(rows: list[int], chosen: list[int]) -> None:
    """Once enough segments of one size lie at the end, they and newer ones are merged; the smallest size first."""
    segments = [segment(number, count) for number, count in enumerate(rows, 1)]
    assert [one.id - 1 for one in plan_series_merge(segments, FAN_IN)] == chosen


def test_a_directory_of_before_comes_down_to_few_files() -> None:
    """Thousands of small segments are merged some hundreds at a time, and the plan comes to an end."""
    segments = [segment(number, 30) for number in range(1, 2_001)]
    merges = 0
    while chosen := plan_series_merge(segments, 8):
        assert len(chosen) <= series_merge.SEGMENTS_PER_MERGE_MAX
        at = segments.index(chosen[0])
        assert list(chosen) == segments[at : at + len(chosen)]
        segments[at : at + len(chosen)] = [segment(10_000 + merges, sum(one.rows for one in chosen))]
        merges += 1
    assert len(segments) < 24
    assert sum(one.rows for one in segments) == 60_000


@pytest.mark.parametrize(
    ("rows", "gone", "chosen"),
    [
        ([100, 100], [49, 0], []),  # less than half
        ([100, 100], [50, 0], [0]),
        ([100, 100], [0, 50], [0, 1]),  # the rest of the earlier one is merged with it
        ([101, 100], [0, 50], [1]),
        ([10, 60, 40, 100, 9], [0, 0, 0, 100, 0], [0, 1, 2, 3]),
        ([100, 9, 100], [100, 0, 0], [0]),
        ([100, 100, 100], [100, 0, 100], [0, 1, 2]),
    ],
)
def test_the_plan_writes_less_again_than_it_drops(rows: list[int], gone: list[int], chosen: list[int]) -> None:
    """Chosen are segments with half of their series dropped, and smaller ones before them."""
    segments = [segment(number, count) for number, count in enumerate(rows, 1)]
    ids = [range(one.first_series, one.first_series + count) for one, count in zip(segments, gone, strict=True)]
    dropped = np.array([one for span in ids for one in span], np.uint32)
    assert [one.id - 1 for one in plan_series_drop(segments, dropped)] == chosen
    if chosen:
        assert segments[chosen[-1]] not in plan_series_drop(segments, dropped, {chosen[-1] + 1})


@pytest.mark.long
def test_churn_leaves_few_segments() -> None:
    """Whatever is left of many segments comes together, and every series is written again a few times at most."""
    segments, number, written, live = [], 0, 0, 10_000
    for _ in range(300):
        number += 1
        segments.append(SeriesSegment(number, "", number * 100_000, live, 1, 1, b"", number * 100_000 + live - 1))
        while True:
            gone = [
                np.arange(one.first_series + max(one.rows // 100, 1), one.last_series + 1, dtype=np.uint32)
                for one in segments[:-5]
                if one.rows == live
            ]
            chosen = plan_series_drop(segments, np.concatenate([np.empty(0, np.uint32), *gone]))
            if not chosen:
                break
            number += 1
            left = sum(max(one.rows // 100, 1) if one.rows == live else one.rows for one in chosen)
            first, last = chosen[0].first_series, chosen[-1].first_series + left
            at = segments.index(chosen[0])
            segments[at : at + len(chosen)] = [SeriesSegment(number, "", first, left, 1, 1, b"", last)]
            written += left
    assert len(segments) < 20
    assert written < 300 * live
