"""The second copy of a segment of the series table: one is made again from the other."""

from pathlib import Path

import pytest
from store.test_series_table import SOME, rows_of

from nissa.files.names import copy_path, own_files
from nissa.store.series_copy import copy_file, delete_segment, mend_segment
from nissa.store.series_table import write_series
from oracle.directory import Directory


def test_each_is_written_again_from_the_other(tmp_path: Path) -> None:
    """Damaged, cut short, empty or missing; where neither is sound nothing is touched."""
    Directory(tmp_path)
    segment = write_series(tmp_path, 1, rows_of(SOME))
    places = [tmp_path / segment.path, tmp_path / copy_path(segment.path)]
    whole = places[0].read_bytes()
    assert places[1].read_bytes() == whole
    for place in places:
        for damaged in (whole[:-1] + b"x", whole[:70], b"", None):
            place.unlink() if damaged is None else place.write_bytes(damaged)
            assert mend_segment(tmp_path, segment.path, segment.seal)
            assert [one.read_bytes() for one in places] == [whole, whole]
    for place in places:
        place.write_bytes(b"x")
    assert not mend_segment(tmp_path, segment.path, segment.seal)
    assert [one.read_bytes() for one in places] == [b"x", b"x"]
    delete_segment(tmp_path, segment.path)
    assert own_files(tmp_path) == []


def test_a_copy_that_fails_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    """The target keeps its content, and no partial copy is left."""
    target = tmp_path / "copies" / "a"
    target.parent.mkdir()
    target.write_bytes(b"before")
    with pytest.raises(FileNotFoundError):
        copy_file(tmp_path / "nowhere", target)
    assert [path.read_bytes() for path in target.parent.iterdir()] == [b"before"]
