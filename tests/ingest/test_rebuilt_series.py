"""The series table made again: signed as it was where the key is known, else anew, with names for lost labels."""

import os
from pathlib import Path

import numpy as np
from ingest.test_restored_series import filled

from nissa.catalogue.catalogue import SeriesSegment
from nissa.ingest.frozen_head import series_rows
from nissa.ingest.rebuilt_series import RebuiltSeries, rebuild_series
from nissa.ingest.restored_series import LOST_NAME, enter_labels, read_lost
from nissa.store.series_table import read_series, write_series
from oracle.bodies import Rig, series
from oracle.directory import Directory

NEW = os.urandom(32)
ALL = np.arange(9, dtype=np.uint32)


def rebuilt(
    directory: Directory,
    segments: list[SeriesSegment],
    met: "np.ndarray[tuple[int], np.dtype[np.uint32]]",
    known: bytes,
) -> tuple[RebuiltSeries, bytes]:
    """Rebuild the series table from the segments."""
    number = directory.catalogue.new_id()
    return rebuild_series(directory.path, segments, met, (known, NEW), number)


def index_of(directory: Directory, found: RebuiltSeries, secret: bytes) -> Rig:
    """A new index of the segments; every fingerprint must be that of its labels."""
    rig = Rig(secret)
    for segment in found.segments:
        for labels in read_series(directory.path, segment):
            enter_labels(rig.index, labels)
    return rig


def test_a_known_key_leaves_segments_as_they_are(tmp_path: Path) -> None:
    """Nothing is written."""
    directory = Directory(tmp_path)
    segments = filled(directory)
    found, secret = rebuilt(directory, segments, ALL, directory.catalogue.secret)
    assert (found.segments, found.written, secret) == (tuple(segments), None, directory.catalogue.secret)
    assert found.ids.tolist() == ALL.tolist()


def test_without_the_key_all_are_signed_anew(tmp_path: Path) -> None:
    """No key, or that of another directory: one segment under the new one; series that are sent are known by it."""
    directory = Directory(tmp_path)
    segments = filled(directory)
    for known in (b"", bytes(32)):
        found, secret = rebuilt(directory, segments, ALL, known)
        assert secret == NEW
        assert [found.written] == list(found.segments)
        rig = index_of(directory, found, NEW)
        rig.decode(series([("__name__", "m1"), ("at", "2")]))
        assert rig.index.series_count == 9
        assert rig.index.labels(8) == [("__name__", "m2"), ("at", "2")]


def test_lost_labels_have_names(tmp_path: Path) -> None:
    """Between segments, within one, and behind all; ids that no block has rows of need none."""
    directory = Directory(tmp_path)
    first, _, third = filled(directory)
    met = np.array([1, 4, 5, 8, 11], np.uint32)
    found, secret = rebuilt(directory, [first, third], met, directory.catalogue.secret)
    assert (found.lost.tolist(), secret) == ([4, 5, 11], directory.catalogue.secret)
    index = index_of(directory, found, secret).index
    assert [dict(index.labels(at))["__name__"] for at in (0, 4, 5, 6, 11)] == [
        "m0",
        LOST_NAME,
        LOST_NAME,
        "m2",
        LOST_NAME,
    ]
    assert found.ids.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 11]
    (gapless,) = found.segments
    again, _ = rebuilt(directory, [gapless], np.array([3], np.uint32), secret)
    assert again.ids.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11]


def test_no_series_make_no_segment(tmp_path: Path) -> None:
    """A directory of events."""
    found, _ = rebuilt(Directory(tmp_path), [], np.empty(0, np.uint32), b"")
    assert (found.segments, len(found.ids)) == ((), 0)


def test_labels_that_stand_twice(tmp_path: Path) -> None:
    """Of two ids with rows in blocks and equal labels both are answered, and the later one takes new samples."""
    directory = Directory(tmp_path)
    segments = filled(directory, 1)
    rig = Rig(directory.catalogue.secret)
    rig.decode(b"".join(series([("__name__", name), ("at", "0")]) for name in ("x", "x1", "x2", "m0")))
    segments.append(write_series(tmp_path, directory.catalogue.new_id(), series_rows(rig.index, 3, 1)))
    assert read_lost(directory.catalogue) == []
    found, _ = rebuilt(directory, segments, np.array([0, 3], np.uint32), b"")
    assert found.twice == [(0, 0)]
    assert found.ids.tolist() == [0, 1, 2, 3]
    found, _ = rebuilt(directory, segments, np.array([3], np.uint32), b"")
    assert found.twice == []  # the earlier one was dropped, and came again
    assert found.ids.tolist() == [1, 2, 3]
