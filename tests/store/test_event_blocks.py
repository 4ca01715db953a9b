"""Event blocks: events come back as they went, in order of time."""

from pathlib import Path

import numpy as np
import pytest

from nissa.model.columns import EventBatch, TextColumn
from nissa.model.errors import Damaged
from nissa.store.event_blocks import read_events
from oracle.directory import ALWAYS, Directory
from oracle.event_blocks import write_events


def text(values: list[str]) -> TextColumn:
    """Strings as a column."""
    parts = [value.encode() for value in values]
    return TextColumn(np.cumsum([0, *(len(part) for part in parts)]).astype(np.int32), b"".join(parts))


def events_of(times: list[int]) -> EventBatch:
    """Events with as many attributes as their place says."""
    places = range(len(times))
    attributes = [f"{place}-{at}" for place in places for at in range(place)]
    return EventBatch(
        np.array(times, np.int64),
        np.array([place % 5 for place in places], np.uint8),
        text([f"source {place}" for place in places]),
        text([f"id-{place}" for place in places]),
        text([f"déscription {place}" for place in places]),
        text(["" for _ in places]),
        np.cumsum([0, *places]).astype(np.int32),
        text([f"k{one}" for one in attributes]),
        text([f"v{one}" for one in attributes]),
    )


def test_events_come_back_in_order_of_time(tmp_path: Path) -> None:
    """Batches are joined and sorted by time, equal times in order of arrival, every field as it was."""
    Directory(tmp_path)
    batches = [events_of([30, 10, 20]), events_of([]), events_of([10, 5])]
    block = write_events(tmp_path, 1, batches, 3, 9, 77)
    rows = [batch.row(index) for batch in batches for index in range(len(batch))]
    assert read_events(tmp_path, block, *ALWAYS) == sorted(rows, key=lambda row: row["time_ms"])
    assert (block.kind, block.rows, block.min_ms, block.max_ms) == ("events", 5, 5, 30)
    assert (block.first_lsn, block.last_lsn, block.created_ms) == (3, 9, 77)
    assert [row["time_ms"] for row in read_events(tmp_path, block, 10, 30)] == [10, 10, 20]


def test_damage_is_told(tmp_path: Path) -> None:
    """A flipped byte is damage of the file."""
    Directory(tmp_path)
    block = write_events(tmp_path, 1, [events_of([1, 2])], 1, 1, 1)
    path = tmp_path / block.path
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(Damaged, match="CRC-32C"):
        read_events(tmp_path, block, *ALWAYS)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Events that cannot be written leave no file behind."""
    Directory(tmp_path)
    broken = EventBatch(
        *[getattr(events_of([1]), name) for name in EventBatch.__struct_fields__[:-1]], text(["only", "two"])
    )
    with pytest.raises(Exception, match=r".+"):
        write_events(tmp_path, 1, [broken], 1, 1, 1)
    assert list((tmp_path / "blocks").iterdir()) == []
