"""JSON lines compared with the twin of plain Python: sound ones, cut ones, and values JSON has no number for."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.codec.import_lines import FAULTS_MAX, decode
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig

GOLDEN = Path(__file__).parents[1] / "goldens" / "import.jsonl"
NOW_MS = 1_758_000_000_000
OLDEST_MS, NEWEST_MS = NOW_MS - 100_000, NOW_MS + 1_000
WINDOW = Window(1, 1 << 40, OLDEST_MS, NEWEST_MS)
WORDS: dict[Any, int] = {
    None: 0x7FF8000000000001,
    "StaleNaN": 0x7FF0000000000002,
    "Infinity": 0x7FF0000000000000,
    "-Infinity": 0xFFF0000000000000,
    "NaN:7ff80000000000ab": 0x7FF80000000000AB,
}
VALUES = (
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1) | st.sampled_from(list(WORDS))
)
BAD_VALUES = st.sampled_from(["NaN", "1.5", "NaN:0000000000000001", "nan:7ff80000000000ab", [1.0], {}])
TIMES = st.integers(OLDEST_MS - 2, NEWEST_MS + 2)
BAD_TIMES = st.sampled_from([1.5, "1758000000000", None, 2**63, [1]])
METRICS = st.fixed_dictionaries({"__name__": st.sampled_from(["up", "a_b", ""])}, optional={"job": st.text(max_size=3)})
BAD_METRICS = st.sampled_from([{"__name__": 1}, [], None, "up", {"__name__": "up", "job": None}])


@st.composite
def lines(draw: st.DrawFn) -> str:
    """One line: mostly sound, or with one thing wrong."""
    count = draw(st.integers(0, 4))
    times: list[Any] = draw(st.lists(TIMES, min_size=count, max_size=count))
    values: list[Any] = draw(st.lists(VALUES, min_size=count, max_size=count))
    line: dict[str, Any] = {"metric": draw(METRICS), "timestamps": times, "values": values}
    wrong = draw(st.integers(0, 12))
    if wrong == 0 and values:
        values[draw(st.integers(0, count - 1))] = draw(BAD_VALUES)
    elif wrong == 1 and times:
        times[draw(st.integers(0, count - 1))] = draw(BAD_TIMES)
    elif wrong == 2:
        line["metric"] = draw(BAD_METRICS)
    elif wrong == 3:
        del line[draw(st.sampled_from(sorted(line)))]
    elif wrong == 4:
        values.append(1)
    text = json.dumps(line)
    return text[: draw(st.integers(0, len(text)))] if wrong == 5 else text


def bits_of(value: Any) -> int | None:
    if isinstance(value, int | float):
        return int(struct.unpack("<Q", struct.pack("<d", value))[0])
    return WORDS.get(value) if value is None or isinstance(value, str) else None


def twin(line: str) -> tuple[dict[str, str], list[int], list[int]] | None:
    """Labels, times and bits; None where the line is at fault."""
    try:
        read = json.loads(line)
    except ValueError:
        return None
    if not isinstance(read, dict):
        return None
    metric, times, values = (read.get(name) for name in ("metric", "timestamps", "values"))
    if not isinstance(metric, dict) or not isinstance(times, list) or not isinstance(values, list):
        return None
    if not all(isinstance(value, str) for value in metric.values()) or len(times) != len(values):
        return None
    if not all(isinstance(time, int) and -(2**63) <= time < 2**63 for time in times):
        return None
    bits = [bits_of(value) for value in values]
    return None if None in bits else (metric, times, [one for one in bits if one is not None])


def decoded(rig: Rig, body: bytes, window: Window = WINDOW) -> Decoded:
    return decode(
        Frame(Codec.IMPORT_LINES, Encoding.IDENTITY, Source.IMPORT, NOW_MS, body), body, rig.index, rig.batch, window
    )


@pytest.mark.long
@given(st.lists(lines() | st.just(""), max_size=5))
def test_agrees_with_the_twin(texts: list[str]) -> None:
    """Rows, refusals by reason and the lines at fault are those of the twin."""
    rig, body = Rig(), "\n".join(texts).encode()
    found = decoded(rig, body)
    rows: list[tuple[dict[str, str], int, int]] = []
    refused: dict[str, int] = {}
    faults = []
    for number, text in enumerate(texts, 1):
        line = twin(text)
        if not text.strip():
            continue
        if line is None:
            refused["record_malformed"] = refused.get("record_malformed", 0) + 1
            faults.append((number, "record_malformed"))
            continue
        metric, times, bits = line
        reasons = []
        for ts_ms, one in zip(times, bits, strict=True):
            reason = "name_missing" if not metric["__name__"] else ""
            reason = reason or ("too_old" if ts_ms < OLDEST_MS else "too_new" if ts_ms > NEWEST_MS else "")
            if reason:
                refused[reason] = refused.get(reason, 0) + 1
                reasons.append(reason)
            else:
                rows.append(({name: value for name, value in metric.items() if value}, ts_ms, one))
        if reasons:
            faults.append((number, "too_old" if "too_old" in reasons else reasons[0]))
    series, ts_ms, value = rig.batch.columns()
    columns = zip(series.tolist(), ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True)
    assert [(dict(rig.index.labels(one)), ts, bits) for one, ts, bits in columns] == rows
    total = {**found.refused}
    for reason, count in rig.batch.refused.items():
        total[reason] = total.get(reason, 0) + count
    assert total == refused
    assert [(fault.line, fault.reason) for fault in found.lines] == faults
    for fault in found.lines:
        assert body[fault.offset :].startswith(texts[fault.line - 1].encode())


def test_the_first_lines_at_fault_are_named() -> None:
    """The first faults are named, and all are counted."""
    found = decoded(Rig(), b"{}\n" * (FAULTS_MAX + 10))
    assert len(found.lines) == FAULTS_MAX
    assert found.refused == {"record_malformed": FAULTS_MAX + 10}
    assert "'metric' is missing" in found.lines[0].words
    assert found.lines[0].text == "{}"


@pytest.mark.parametrize("line", [b"\xff", b"[1]", b'{"metric":{},"timestamps":[1],"values":[true]}', b"{" * 5000])
def test_what_is_no_line_is_refused(line: bytes) -> None:
    """Bytes that are not UTF-8, other JSON and deep nesting are refused as one record each."""
    good = b'{"metric":{"__name__":"up"},"timestamps":[%d],"values":[1]}' % NOW_MS
    rig = Rig()
    found = decoded(rig, good + b"\r\n" + line + b"\n" + good)
    assert (found.refused, [fault.line for fault in found.lines]) == ({"record_malformed": 1}, [2])
    assert rig.rows() == [("up", NOW_MS, 1.0)] * 2
    assert math.isfinite(rig.rows()[0][2])


def test_the_golden_lines() -> None:
    """Lines as Nissa (with --stale split) and VictoriaMetrics write them, bit for bit."""
    rig = Rig()
    found = decoded(rig, GOLDEN.read_bytes(), Window(1, 10, 0, 2**62))
    assert (found.lines, found.refused, rig.batch.refused) == ((), {}, {})
    series, ts_ms, value = rig.batch.columns()
    jobs = [dict(rig.index.labels(one))["job"] for one in series.tolist()]
    assert list(zip(jobs, ((ts_ms - NOW_MS) // 1000).tolist(), value.view(np.uint64).tolist(), strict=True)) == [
        ("api", 0, 0x3FF0000000000000),
        ("api", 15, 0x3FE0000000000000),
        ("vm", 0, 0x3FF0000000000000),
        ("vm", 15, 0x7FF8000000000001),
        ("vm", 30, 0x8000000000000000),
        ("api", 30, 0x7FF0000000000002),
        ("api", 45, 0x7FF0000000000000),
        ("api", 60, 0xFFF0000000000000),
        ("api", 75, 0x7FF80000000000AB),
    ]
