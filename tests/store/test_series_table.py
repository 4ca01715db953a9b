"""The series table: labels come back as they went, and whoever reads the file by hand understands it."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nissa.model.errors import Damaged
from nissa.store.catalogue import SeriesSegment
from nissa.store.checked_file import FileGone
from nissa.store.series_table import SeriesRows, Texts, read_series, write_series
from oracle.directory import Directory

Labels = list[tuple[str, str]]


def rows_of(labels: list[Labels], first: int = 0) -> SeriesRows:
    """Series in the index's form, with a symbol table that also holds symbols of nobody."""
    symbols = ["unused", ""]
    for pairs in labels:
        symbols += [text for pair in pairs for text in pair if text not in symbols]
    texts = [text.encode() for text in symbols]
    starts = np.cumsum([1_000, *(len(pairs) for pairs in labels)]).astype(np.uint64)
    pairs = np.array([[symbols.index(text) for text in pair] for one in labels for pair in one], np.uint32)
    fingerprints = np.arange(2 * len(labels), dtype=np.uint64).reshape(-1, 2) + np.uint64(2**63)
    offsets = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int64)
    return SeriesRows(first, fingerprints, starts, pairs.reshape(-1, 2), offsets, b"".join(texts))


def labels_of(directory: Path, segment: SeriesSegment) -> tuple[list[Labels], list[list[int]]]:
    """All labels and fingerprints of a segment."""
    labels: list[Labels] = []
    fingerprints: list[list[int]] = []
    for piece in read_series(directory, segment):
        assert piece.first_series == segment.first_series + len(labels)
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
    assert (segment.first_series, segment.rows) == (40, 5)


def test_many_series_over_row_groups(tmp_path: Path) -> None:
    """More series than one row group holds go on with their ids from piece to piece."""
    Directory(tmp_path)
    count = 150_000
    rows = SeriesRows(
        7,
        np.arange(2 * count, dtype=np.uint64).reshape(-1, 2),
        np.arange(count + 1, dtype=np.uint64),
        np.stack([np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32) % 3 + 1], axis=1),
        np.array([0, 8, 9, 10, 11], np.int64),
        b"__name__abc",
    )
    segment = write_series(tmp_path, 1, rows)
    pieces = list(read_series(tmp_path, segment))
    assert [(piece.first_series, len(piece)) for piece in pieces] == [(7, 131_072), (131_079, 18_928)]
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
    """Where Parquet gave its dictionary up, labels come back all the same."""
    monkeypatch.setattr("nissa.store.series_table.DICTIONARY_BYTES_MAX", 1_000)
    Directory(tmp_path)
    labels = [[("__name__", f"m{n % 7}"), ("id", f"{n * 7919 % 5_003:040}")] for n in range(9_000)]
    assert labels_of(tmp_path, write_series(tmp_path, 1, rows_of_many(labels)))[0] == labels


def rows_of_many(labels: list[Labels]) -> SeriesRows:
    """As ``rows_of``, each text a symbol of its own."""
    texts = [text.encode() for one in labels for pair in one for text in pair]
    starts = np.cumsum([0, *(len(pairs) for pairs in labels)]).astype(np.uint64)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    pairs = np.arange(len(texts), dtype=np.uint32).reshape(-1, 2)
    return SeriesRows(0, np.zeros((len(labels), 2), np.uint64), starts, pairs, offsets, b"".join(texts))


def test_damage_and_absence(tmp_path: Path) -> None:
    """A flipped byte is damage, a wrong number of rows too, a missing file is gone."""
    Directory(tmp_path)
    segment = write_series(tmp_path, 1, rows_of(SOME))
    path = tmp_path / segment.path
    for wrong in ({"rows": 6}, {"first_series": 1}):
        fields = {name: getattr(segment, name) for name in segment.__struct_fields__}
        with pytest.raises(Damaged, match=r"expected 6|go on from 1"):
            list(read_series(tmp_path, SeriesSegment(**{**fields, **wrong})))
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match="CRC-32C"):
        list(read_series(tmp_path, segment))
    path.unlink()
    with pytest.raises(FileGone):
        list(read_series(tmp_path, segment))
