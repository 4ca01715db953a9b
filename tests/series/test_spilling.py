"""The file that idle series are spilled to has no name, and where there can be none they stay in memory."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nissa._fast import series_spill
from nissa._fast.series import SeriesIndex
from nissa.series import spilling
from nissa.series.spilling import spilling_to
from oracle.series_twin import index_of


def test_nothing_is_left_in_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory stays empty, also while the file is in use, and labels are unchanged."""
    index = index_of([{"__name__": f"m{number}", "pod": "x" * 50} for number in range(5_000)])
    index.sweep(2)
    found = spilling_to(tmp_path, index)
    assert found is not None
    monkeypatch.setattr(spilling, "spill_series", lambda one, fd: series_spill.spill_series(one, fd, 1))
    with capture_logs() as lines:
        found.step()
        found.step()
    assert [(line["series"], line["active"]) for line in lines] == [(5_000, 0)]
    assert list(tmp_path.iterdir()) == []
    assert index.labels(4_999) == [("__name__", "m4999"), ("pod", "x" * 50)]


def test_a_directory_that_takes_no_file(tmp_path: Path) -> None:
    """The failure is logged, and series stay in memory."""
    with capture_logs() as lines:
        assert spilling_to(tmp_path / "gone", SeriesIndex(b"s" * 32)) is None
    assert [line["event"] for line in lines] == ["cannot create the spill file; idle series stay in memory"]
