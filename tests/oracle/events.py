"""Events for tests, and the slow obvious way to page through them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nissa.model.columns import EventBatch, TextColumn

Row = dict[str, Any]


def text_column(values: Sequence[str]) -> TextColumn:
    """Strings as a column."""
    parts = [value.encode() for value in values]
    return TextColumn(np.cumsum([0, *(len(part) for part in parts)]).astype(np.int32), b"".join(parts))


def event_batch(rows: Sequence[Row]) -> EventBatch:
    """Rows as ``EventBatch.row`` gives them, as a batch."""
    pairs = [pair for row in rows for pair in row["attributes"].items()]
    return EventBatch(
        np.array([row["time_ms"] for row in rows], np.int64),
        np.array([row["level"] for row in rows], np.uint8),
        *(text_column([row[name] for row in rows]) for name in ("source", "event_id", "description", "packet_id")),
        np.cumsum([0, *(len(row["attributes"]) for row in rows)]).astype(np.int32),
        text_column([name for name, _ in pairs]),
        text_column([value for _, value in pairs]),
    )


def event_row(time_ms: int, number: int) -> Row:
    """An event that is identified by its number."""
    return {
        "time_ms": time_ms,
        "level": number % 5,
        "source": f"s{number % 3}",
        "event_id": f"Stage-{number % 4}",
        "description": f"number {number} grafted" if number % 2 else f"number {number} CULLED é",
        "packet_id": f"p{number}",
        "attributes": {"number": str(number)} if number % 7 else {},
    }
