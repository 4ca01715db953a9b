"""Windows as answers: lines and tables say what the slow twin says, and counters add up."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nissa
from nissa.model.columns import SampleBatch
from nissa.model.errors import BadQuery
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.query import windows
from nissa.query.export_form import ExportForm
from nissa.query.resolution import WindowSelection, read_selected
from nissa.query.window_tables import export_windows
from oracle.backend_twin import BackendTwin
from oracle.engine import NOW_MS, Rig, config_of
from oracle.ladder import wider, windows_of

START_MS = NOW_MS // DAY_MS * DAY_MS
EVER = (-(2**63), 2**63 - 1)
NAMES = ("timestamps", "count", "sum", "min", "max", "mean", "stddev", "first", "last", "increase")


def bits(value: float) -> int:
    """A value as its bits."""
    return int(np.float64(value).view(np.uint64))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Three hours of a counter that is reset and a gauge with NaN: two hours written, the third in memory."""
    rig = Rig(tmp_path_factory.mktemp("windows") / "data", config_of(acceptance={"past_ms": 3 * DAY_MS}))
    rig.now_ms = START_MS + 2 * HOUR_MS + MINUTE_MS
    for first in (0, 2 * HOUR_MS + 30 * SECOND_MS):
        times = range(START_MS + first, START_MS + first + 2 * HOUR_MS, 10_000)
        rig.keep([("total", ts_ms, bits((ts_ms // 10_000) % 500 * 2.0)) for ts_ms in times])
        rig.keep([("level", ts_ms, bits(math.nan if ts_ms % 70_000 == 0 else ts_ms % 9_990)) for ts_ms in times])
        if not first:
            rig.keep([("total", rig.now_ms, bits(1.0))])
            rig.engine.flush()
            rig.now_ms += 3 * HOUR_MS
    yield rig
    rig.engine.close()


def lines(
    rig: Rig, wanted: WindowSelection, selector: str = '{__name__=~".+"}', span: tuple[int, int] = EVER
) -> list[Any]:
    """An export of the engine, read back."""
    chunks = export_windows(rig.engine, read_selectors(selector), span, ExportForm.JSONL, wanted)
    return [json.loads(line) for line in b"".join(chunks).splitlines()]


def expected(rig: Rig, name: str, interval_ms: int) -> list[tuple[int, dict[str, float]]]:
    """Rows of the slow twin."""
    samples = [(0, ts_ms, value) for (one, ts_ms), value in rig.rows.items() if one == name]
    rows = windows_of(samples, MINUTE_MS)
    for wide_ms in (5 * MINUTE_MS, HOUR_MS):
        rows = wider(rows, wide_ms) if wide_ms <= interval_ms else rows
    return [(start_ms, row) for (_, start_ms), row in sorted(rows.items())]


@pytest.mark.parametrize(("resolution", "interval_ms"), [("1m", MINUTE_MS), ("5m", 5 * MINUTE_MS), ("1h", HOUR_MS)])
def test_lines_say_what_windows_hold(rig: Rig, resolution: str, interval_ms: int) -> None:
    """One line per series; columns in their order, sums and moments those of the twin, NaN counted apart."""
    found = {line["metric"]["__name__"]: line for line in lines(rig, WindowSelection(resolution))}
    assert set(found) == {"total", "level"}
    for name, line in found.items():
        rows = expected(rig, name, interval_ms)
        keys = ["metric", "resolution", *NAMES, *(["p50", "p95", "p99", "exact"] if resolution != "1m" else [])]
        assert [key for key in line if key != "nans"] == keys
        assert line["resolution"] == resolution
        assert line["timestamps"] == [start_ms for start_ms, _ in rows]
        for at, (_, row) in enumerate(rows):
            for key in ("count", "sum", "min", "max", "first", "last"):
                assert line[key][at] == row[key]
            assert line["mean"][at] == row["sum"] / row["count"]
            assert line["stddev"][at] == math.sqrt(row["m2"] / row["count"])
            assert line.get("nans", [0] * len(rows))[at] == row["nans"]
    assert "nans" in found["level"]
    assert "nans" not in found["total"]


def test_increases_of_a_counter_add_up(rig: Rig) -> None:
    """Over all windows they are what the counter went up, resets included; a range begins with the step into it."""
    values = [value for (name, _), value in sorted(rig.rows.items()) if name == "total"]
    numbers = np.array(values, np.uint64).view(np.float64)
    steps = np.where(numbers[1:] >= numbers[:-1], np.diff(numbers), numbers[1:])
    for resolution in ("1m", "5m", "1h", "1d"):
        (line,) = lines(rig, WindowSelection(resolution), "total")
        assert sum(line["increase"]) == pytest.approx(steps.sum())
    (whole,) = lines(rig, WindowSelection("1m"), "total")
    (part,) = lines(rig, WindowSelection("1m"), "total", (START_MS + HOUR_MS, START_MS + HOUR_MS + 10 * MINUTE_MS))
    assert part["increase"] == whole["increase"][60:70]
    assert part["timestamps"] == whole["timestamps"][60:70]


@pytest.mark.parametrize("resolution", ["1m", "5m", "1h", "1d"])
def test_increases_of_ranges_side_by_side_add_up(resolution: str) -> None:
    """A counter sampled every quarter of an hour, asked for hour by hour, and resampled after almost two hours."""
    minutes = [*range(0, 300, 15), 404, 430]
    ts_ms = np.array([START_MS + minute * MINUTE_MS for minute in minutes])
    batch = SampleBatch(np.zeros(len(minutes), np.uint32), ts_ms, np.arange(len(minutes)) * 10.0)
    backend = BackendTwin([{"__name__": "total"}], batch)
    found = 0.0
    for hour in range(24):
        if resolution == "1d" and hour:
            break
        span = (START_MS + hour * HOUR_MS, START_MS + (hour + 1) * HOUR_MS)
        chunks = export_windows(backend, read_selectors("total"), span, ExportForm.JSONL, WindowSelection(resolution))
        found += sum(sum(json.loads(line)["increase"]) for line in b"".join(chunks).splitlines())
    assert found == batch.value[-1]


@pytest.mark.parametrize(("resolution", "interval_ms"), [("1m", MINUTE_MS), ("5m", 5 * MINUTE_MS)])
@pytest.mark.parametrize("offset_ms", [0, 1, 59_999, 299_999])
def test_a_range_begins_with_the_step_over_the_longest_gap(resolution: str, interval_ms: int, offset_ms: int) -> None:
    """Almost the idle time before the first window of the range, wherever in their windows both samples lie."""
    first_ms = START_MS + 10 * interval_ms + offset_ms
    times = np.array([first_ms, first_ms + 2 * HOUR_MS - 1])
    backend = BackendTwin([{"__name__": "total"}], SampleBatch(np.zeros(2, np.uint32), times, np.array([1.0, 8.0])))
    chunks = export_windows(
        backend,
        read_selectors("total"),
        (int(times[1]), int(times[1]) + 1),
        ExportForm.JSONL,
        WindowSelection(resolution),
    )
    (line,) = (json.loads(line) for line in b"".join(chunks).splitlines())
    assert line["increase"] == [7.0]


def test_quantiles_are_those_of_the_samples(rig: Rig) -> None:
    """While all samples are there, and the answer says so; those that were asked for."""
    (line,) = lines(rig, read_selected("1h", "", "0,0.25,0.999"), "total")
    assert [key for key in line if key.startswith("p")] == ["p0", "p25", "p99.9"]
    assert line["exact"] == [True] * len(line["timestamps"])
    for start_ms, p25 in zip(line["timestamps"], line["p25"], strict=True):
        inside = [v for (name, ts_ms), v in rig.rows.items() if name == "total" and 0 <= ts_ms - start_ms < HOUR_MS]
        numbers = np.array(inside, np.uint64).view(np.float64)
        assert p25 == pytest.approx(np.quantile(numbers, 0.25), rel=1e-15)


def test_quantiles_over_the_budget_are_close(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantiles are within 1.1 % of the number of that rank, and estimates are marked."""
    monkeypatch.setattr(windows, "EXACT_SAMPLES_MAX", 400)
    (line,) = lines(rig, read_selected("1h", "", "0.25"), "total")
    assert line["exact"] == [True] + [False] * (len(line["timestamps"]) - 1)
    for start_ms, p25 in zip(line["timestamps"], line["p25"], strict=True):
        inside = [v for (name, ts_ms), v in rig.rows.items() if name == "total" and 0 <= ts_ms - start_ms < HOUR_MS]
        numbers = np.array(inside, np.uint64).view(np.float64)
        lower, higher = (np.quantile(numbers, 0.25, method=method) for method in ("lower", "higher"))
        assert lower * 0.989 <= p25 <= higher * 1.011


def test_auto_takes_the_tier_of_the_step(rig: Rig) -> None:
    """The same lines as by name; samples where the step is shorter than any window."""
    assert lines(rig, read_selected("auto", "1h")) == lines(rig, read_selected("1h"))
    (line,) = lines(rig, read_selected("auto", "5s"), "total", (START_MS, START_MS + MINUTE_MS))
    assert line["timestamps"] == list(range(START_MS, START_MS + MINUTE_MS, 10_000))
    assert set(line) == {"metric", "timestamps", "values"}


def test_a_directory_says_the_same(rig: Rig, tmp_path: Path) -> None:
    """Read beside the daemon: the export as bytes, the table as columns, labels as columns of their own."""
    with nissa.open(rig.path) as reader:
        sink = io.BytesIO()
        reader.export(sink, '{__name__=~".+"}', wanted=read_selected("5m"))
        assert [json.loads(line) for line in sink.getvalue().splitlines()] == lines(rig, read_selected("5m"))
        table = reader.samples("total", resolution="5m", quantiles=[0.9], label_columns=["job"])
        (line,) = lines(rig, read_selected("5m", "", "0.9"), "total")
        columns = ["name", "labels", "job", "timestamp", "resolution", "count", "nans", *NAMES[2:], "p90", "exact"]
        assert table.column_names == columns
        for name in (*NAMES[1:], "p90", "exact"):
            assert table[name].to_pylist() == line[name]
        assert reader.samples("nothing", resolution="5m").num_rows == 0
        with pytest.raises(BadQuery, match="'resolution'"):
            reader.samples("total", resolution="3m")
