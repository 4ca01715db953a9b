"""The series table: labels are read back as written, and the file can be read without Nissa."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nissa.catalogue.catalogue import SeriesSegment
from nissa.files.checked_file import FileGone
from nissa.files.names import copy_path
from nissa.model.errors import Damaged
from nissa.store import series_table
from nissa.store.series_table import SeriesRows, Texts, read_series, rows_of_labels, take_labels, write_series
from oracle.directory import Directory

Labels = list[tuple[str, str]]


def rows_of(labels: list[Labels], first: int = 0, ids: list[int] | None = None) -> SeriesRows:
    """Series in the index's form, from ``first`` on or with given ids; the symbol table has unused symbols too."""
    symbols = ["unused", ""]
    for pairs in labels:
        symbols += [text for pair in pairs for text in pair if text not in symbols]
    texts = [text.encode() for text in symbols]
    starts = np.cumsum([1_000, *(len(pairs) for pairs in labels)]).astype(np.uint64)
    pairs = np.array([[symbols.index(text) for text in pair] for one in labels for pair in one], np.uint32)
    fingerprints = np.arange(2 * len(labels), dtype=np.uint64).reshape(-1, 2) + np.uint64(2**63)
    offsets = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int64)
    series = np.arange(first, first + len(labels), dtype=np.uint32) if ids is None else np.array(ids, np.uint32)
    return SeriesRows(series, fingerprints, starts, pairs.reshape(-1, 2), offsets, b"".join(texts))


def ids_of(directory: Path, segment: SeriesSegment) -> list[int]:
    """All ids of a segment."""
    return [one for piece in read_series(directory, segment) for one in piece.series.tolist()]


def labels_of(directory: Path, segment: SeriesSegment) -> tuple[list[Labels], list[list[int]]]:
    """All labels and fingerprints of a segment."""
    labels: list[Labels] = []
    fingerprints: list[list[int]] = []
    for piece in read_series(directory, segment):
        names, values = texts_of(piece.names), texts_of(piece.values)
        for start, end in zip(piece.starts[:-1].tolist(), piece.starts[1:].tolist(), strict=True):
            labels.append(list(zip(names[start:end], values[start:end], strict=True)))
        fingerprints += piece.fingerprints.tolist()
    return labels, fingerprints


def texts_of(texts: Texts) -> list[str]:
    """The text of each label."""
    bounds, whole = texts.offsets.tolist(), texts.text.tobytes()
    dictionary = [whole[start:end].decode() for start, end in itertools.pairwise(bounds)]
    return [dictionary[place] for place in texts.places.tolist()]


SOME: list[Labels] = [
    [("__name__", "up"), ("instance", "a:9090"), ("job", "node")],
    [("A", "x"), ("__name__", "up"), ("job", "nöde\n\0")],
    [("job", "no name")],
    [],
    [("__name__", "down"), ("empty", ""), ("job", "node")],
]


def test_labels_and_fingerprints_come_back(tmp_path: Path) -> None:
    """Any text, no name, no label at all, an empty value: in order, with their fingerprints."""
    directory = Directory(tmp_path)
    rows = rows_of(SOME, first=40)
    segment = write_series(tmp_path, directory.catalogue.new_id(), rows)
    assert labels_of(tmp_path, segment) == (SOME, rows.fingerprints.tolist())
    assert (segment.first_series, segment.last_series, segment.rows) == (40, 44, 5)
    assert ids_of(tmp_path, segment) == [40, 41, 42, 43, 44]


def test_ids_may_have_gaps(tmp_path: Path) -> None:
    """Ids come back as they went, whatever lies between them; some of the series can be taken."""
    Directory(tmp_path)
    ids = [0, 7, 8, 4_000_000_000, 4_000_000_001]
    segment = write_series(tmp_path, 1, rows_of(SOME, ids=ids))
    assert (segment.first_series, segment.last_series, segment.rows) == (0, 4_000_000_001, 5)
    assert (ids_of(tmp_path, segment), labels_of(tmp_path, segment)[0]) == (ids, SOME)
    (piece,) = read_series(tmp_path, segment)
    for number, chosen in enumerate(([1, 0, 0, 1, 1], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [1] * 5), 2):
        rows = rows_of_labels([take_labels(piece, np.array(chosen, np.bool_))])
        again = write_series(tmp_path, number, rows)
        assert ids_of(tmp_path, again) == [one for one, kept in zip(ids, chosen, strict=True) if kept]
        assert labels_of(tmp_path, again)[0] == [one for one, kept in zip(SOME, chosen, strict=True) if kept]


def test_many_series_over_row_groups(tmp_path: Path) -> None:
    """More series than one row group holds go on with their ids from piece to piece."""
    Directory(tmp_path)
    count = 150_000
    rows = SeriesRows(
        np.arange(7, 7 + count, dtype=np.uint32),
        np.arange(2 * count, dtype=np.uint64).reshape(-1, 2),
        np.arange(count + 1, dtype=np.uint64),
        np.stack([np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32) % 3 + 1], axis=1),
        np.array([0, 8, 9, 10, 11], np.int64),
        b"__name__abc",
    )
    segment = write_series(tmp_path, 1, rows)
    pieces = list(read_series(tmp_path, segment))
    assert [(int(piece.series[0]), len(piece)) for piece in pieces] == [(7, 131_072), (131_079, 18_928)]
    assert "".join(text for piece in pieces for text in texts_of(piece.values)) == ("abc" * count)[:count]


def test_other_readers_see_names_and_maps(tmp_path: Path) -> None:
    """Parquet readers see the id, the name and a map of labels."""
    Directory(tmp_path)
    segment = write_series(tmp_path, 1, rows_of(SOME))
    table = pq.read_table(tmp_path / segment.path)
    assert table.column("series").to_pylist() == [0, 1, 2, 3, 4]
    assert table.column("name").to_pylist() == ["up", "up", "", "", "down"]
    assert table.column("labels").to_pylist() == SOME
    assert str(table.schema.field("labels").type).startswith("map<string, string")


def test_text_that_no_dictionary_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Parquet gave up its dictionary, labels are read back all the same."""
    monkeypatch.setattr("nissa.store.series_table.DICTIONARY_BYTES_MAX", 1_000)
    Directory(tmp_path)
    labels = [[("__name__", f"m{n % 7}"), ("id", f"{n * 7919 % 5_003:040}")] for n in range(9_000)]
    assert labels_of(tmp_path, write_series(tmp_path, 1, rows_of_many(labels)))[0] == labels


def rows_of_many(labels: list[Labels]) -> SeriesRows:
    """As ``rows_of``, with a symbol for each text."""
    texts = [text.encode() for one in labels for pair in one for text in pair]
    starts = np.cumsum([0, *(len(pairs) for pairs in labels)]).astype(np.uint64)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    pairs = np.arange(len(texts), dtype=np.uint32).reshape(-1, 2)
    return SeriesRows(
        np.arange(len(labels), dtype=np.uint32),
        np.zeros((len(labels), 2), np.uint64),
        starts,
        pairs,
        offsets,
        b"".join(texts),
    )


def test_damage_and_absence(tmp_path: Path) -> None:
    """A flipped byte is damage, a wrong number of rows too, a missing file is gone: where its copy is as well."""
    Directory(tmp_path)
    segment = write_series(tmp_path, 1, rows_of(SOME))
    path = tmp_path / segment.path
    for wrong in ({"rows": 6}, {"first_series": 1}, {"last_series": 5}):
        fields = {name: getattr(segment, name) for name in segment.__struct_fields__}
        with pytest.raises(Damaged, match=r"expected 6 up to 4|expected 5 up to 5|are not ascending after 0"):
            list(read_series(tmp_path, SeriesSegment(**{**fields, **wrong})))
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    told: list[Damaged | FileGone] = []
    (piece,) = read_series(tmp_path, segment, told.append)
    assert len(piece) == len(SOME)
    assert "CRC-32C" in str(told[0])
    (tmp_path / copy_path(segment.path)).unlink()
    with pytest.raises(Damaged, match="CRC-32C"):
        list(read_series(tmp_path, segment))
    path.unlink()
    with pytest.raises(FileGone):
        list(read_series(tmp_path, segment))


@pytest.mark.long
def test_the_second_copy_goes_on_where_the_segment_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage in a later row group: each series is given once."""
    monkeypatch.setattr(series_table, "GROUP_ROWS", 2)
    Directory(tmp_path)
    segment = write_series(tmp_path, 1, rows_of(SOME * 3_000))
    path = tmp_path / segment.path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    told: list[Damaged | FileGone] = []
    pieces = list(read_series(tmp_path, segment, told.append))
    assert [int(piece.series[0]) for piece in pieces] == list(range(0, segment.rows, 2))
    assert len(told) == 1
