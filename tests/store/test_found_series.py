"""Series segments without a catalogue: whichever copy is sound counts, and each id once."""

from pathlib import Path

import pytest
from store.test_series_table import SOME, rows_of

from nissa.catalogue.catalogue import Catalogue, SeriesSegment
from nissa.files.names import copy_path, series_path
from nissa.store.found_series import FoundSegment, counted, find_segments
from nissa.store.series_table import write_series


def written(path: Path) -> SeriesSegment:
    """A segment and its copy."""
    Catalogue.open(path).close()
    return write_series(path, 3, rows_of(SOME), 7)


@pytest.mark.parametrize("hurt", [0, 1])
@pytest.mark.parametrize("how", ["gone", "empty", "flipped"])
def test_one_of_two_is_enough(tmp_path: Path, hurt: int, how: str) -> None:
    """Missing, cut or with a flipped bit in a page: the other one is taken, and the damage is named."""
    segment = written(tmp_path)
    place = tmp_path / (segment.path, copy_path(segment.path))[hurt]
    data = bytearray(place.read_bytes())
    data[len(data) // 4] ^= 1
    place.write_bytes(data if how == "flipped" else b"")
    if how == "gone":
        place.unlink()
    (found,) = find_segments(tmp_path)
    assert (found.row, found.last_lsn) == (segment, 7)
    assert bool(found.damage) == (hurt == 0)
    place.write_bytes(b"")
    (tmp_path / (copy_path(segment.path), segment.path)[hurt]).unlink()
    (found,) = find_segments(tmp_path)
    assert found.row is None
    assert found.damage


def test_a_sound_segment(tmp_path: Path) -> None:
    """A sound segment is found with the row it was written with."""
    segment = written(tmp_path)
    assert find_segments(tmp_path) == [FoundSegment(segment.path, segment, "", 7)]


def found(number: int, first: int, last: int, sources: tuple[int, ...] = ()) -> FoundSegment:
    """A segment of these ids."""
    row = SeriesSegment(number, series_path(number), first, last - first + 1, 1, 1, b"", last)
    return FoundSegment(row.path, row, sources=sources)


def test_each_id_counts_once() -> None:
    """Segments merged into another, by its sources or its ids, are left out; all others are in order of series."""
    segments = [found(1, 0, 9), found(2, 10, 19), found(3, 20, 29), found(4, 0, 19, (1, 2)), FoundSegment("s", None)]
    assert [row.id for row in counted(segments)] == [4, 3]
    assert [row.id for row in counted([found(1, 0, 9), found(5, 0, 19), found(6, 40, 49, (9,))])] == [5, 6]
    assert [row.id for row in counted([found(7, 30, 39), found(8, 0, 9)])] == [8, 7]
