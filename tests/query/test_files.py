"""Files that may hold wanted rows."""

import numpy as np
import pytest

from nissa.catalogue.manifest import FileEntry
from nissa.model.errors import BadQuery
from nissa.query.files import matched_files

ALWAYS = (-(2**63), 2**63 - 1)
THERE = [
    FileEntry("a", "raw", 1, 1, 0, 9, 0, 5),
    FileEntry("b", "raw", 1, 1, 10, 19, 3, 8),
    FileEntry("c", "events", 1, 1, 0, 9),
    FileEntry("d", "5m", 1, 1, 0, 9, 0, 5),
    FileEntry("e", "5m~30d", 1, 1, 0, 9, 0, 5),
    FileEntry("f", "series", 1, 1),
]


def meant(kind: str, interval_ms: tuple[int, int] = ALWAYS, series: list[int] | None = None) -> str:
    """Their letters."""
    ids = None if series is None else np.array(series, np.uint32)
    return "".join(one.path for one in matched_files(THERE, kind, interval_ms, ids))


def test_files_are_chosen_by_kind_time_and_series() -> None:
    """Windows that a policy keeps are of their tier; series segments are always all needed."""
    assert [meant(kind) for kind in ("raw", "events", "5m", "series", "1h")] == ["ab", "c", "de", "f", ""]
    assert [meant("raw", span) for span in ((0, 10), (9, 11), (20, 30))] == ["a", "ab", ""]
    assert [meant("raw", ALWAYS, ids) for ids in ([], [2], [4], [9], [0, 8])] == ["", "a", "ab", "", "ab"]
    assert meant("series", (20, 30), []) == "f"


def test_other_kinds_are_refused() -> None:
    """The refusal names the known kinds."""
    with pytest.raises(BadQuery, match="raw, events, series and a tier"):
        meant("blocks")
    with pytest.raises(BadQuery, match="no series"):
        meant("events", ALWAYS, [1])
