"""The series index as checkpointed: from segments, from their second copies, or with names for lost series."""

from pathlib import Path

import msgspec
import numpy as np

from nissa._fast.series_restore import fingerprints_of
from nissa.catalogue.catalogue import Checkpoint, Seal, SeriesSegment
from nissa.config.tree import Config
from nissa.files.names import copy_path
from nissa.ingest.frozen_head import pack_minutes, series_rows
from nissa.ingest.restored_series import LOST_NAME, enter_labels, is_lost, lost_labels, restore_index
from nissa.store.series_table import write_series
from oracle.bodies import Rig, series
from oracle.directory import Directory


def filled(directory: Directory, parts: int = 3) -> list[SeriesSegment]:
    """Segments of three series each, under the directory's secret."""
    rig, segments = Rig(directory.catalogue.secret), []
    for part in range(parts):
        rig.decode(b"".join(series([("__name__", f"m{part}"), ("at", str(at))]) for at in range(3)))
        segment = write_series(directory.path, directory.catalogue.new_id(), series_rows(rig.index, 3 * part, 3))
        directory.catalogue.commit_seal(Seal(Checkpoint(part + 1, 3 * part + 3), (), segment))
        segments.append(segment)
    return segments


def test_a_lost_segment_keeps_its_ids(tmp_path: Path) -> None:
    """The others are as they were; the lost ones are named by their ids, and known as lost."""
    directory = Directory(tmp_path)
    segments = filled(directory)
    (tmp_path / segments[0].path).unlink()
    (tmp_path / segments[1].path).unlink()
    (tmp_path / copy_path(segments[1].path)).write_bytes(b"")
    restored = restore_index(tmp_path, directory.catalogue, Config(), spill=False)
    index = restored.index
    assert restored.hurt == [segments[0]]
    assert [one.partition(": ")[0] for one in restored.lost] == ["labels of 3 series up to 5"]
    assert index.labels(0) == [("__name__", "m0"), ("at", "0")]
    assert [index.labels(at) for at in (3, 5)] == [[("__name__", LOST_NAME), ("series", at)] for at in "35"]
    assert index.labels(8) == [("__name__", "m2"), ("at", "2")]
    assert [is_lost(index, segment) for segment in segments] == [False, True, False]


def test_names_for_lost_labels_come_in_pieces() -> None:
    """However many series are lost, each has a name of its own."""
    rig = Rig()
    for labels in lost_labels(np.arange(70_000, dtype=np.uint32)):
        enter_labels(rig.index, labels, signed=False)
    assert rig.index.series_count == 70_000
    assert rig.index.labels(69_999) == [("__name__", LOST_NAME), ("series", "69999")]
    assert len({tuple(one) for one in fingerprints_of(rig.index, 0, 70_000).tolist()}) == 70_000


def test_a_lost_segment_with_gaps_has_names_for_what_is_met(tmp_path: Path) -> None:
    """Ids between its ends that are in no block and not active belong to no series, however many they are."""
    directory = Directory(tmp_path)
    rig = Rig(directory.catalogue.secret)
    rig.decode(b"".join(series([("__name__", "m"), ("at", str(at))]) for at in range(4)))
    ids = np.array([2, 1_000_000, 2_000_000, 9_000_000], np.uint32)
    rows = msgspec.structs.replace(series_rows(rig.index, 0, 4), series=ids)
    segment = write_series(tmp_path, directory.catalogue.new_id(), rows)
    sealed = directory.write([(2, 5, 0), (1_000_000, 5, 0)])
    minutes = pack_minutes((ids[3:], np.array([7], np.uint32)), 0)
    directory.catalogue.commit_seal(Seal(Checkpoint(1, 9_000_001, {}, minutes), sealed.blocks, segment))
    for path in (segment.path, copy_path(segment.path)):
        (tmp_path / path).unlink()
    index = restore_index(tmp_path, directory.catalogue, Config(), spill=False).index
    assert index.filter(()).tolist() == [2, 1_000_000, 9_000_000]
    assert index.active_count == 1
    assert (index.series_count, is_lost(index, segment)) == (9_000_001, True)
