"""Answers from tiers beside the same expression over samples: equal, or within the bounds of ``docs/promql.md``."""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.catalogue.catalogue import TierRow
from nissa.model.columns import STALE_BITS, SampleBatch
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.limits import ExecutionFailed
from nissa.promql.memory_source import MemorySource
from nissa.promql.stored import StoredSource
from nissa.promql.values import QueryResult
from nissa.store.read import Snapshot
from oracle.series_twin import index_of
from oracle.tier_answers import rise, risen

START_MS = 1_758_000_000_000 // DAY_MS * DAY_MS
STALE = float(np.uint64(STALE_BITS).view(np.float64))
TIERS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": HOUR_MS}
Samples = list[tuple[int, float]]  # ts_ms, value

# Exactly what samples say, of the windows that stand for a step; approx allows for the order of additions.
EXACT = ("count", "min", "max", "sum", "avg", "present", "first", "last", "stddev", "stdvar")


def sources(*series: Samples, expired: dict[str, int] | None = None) -> tuple[StoredSource, MemorySource]:
    """Series of ``x_total`` numbered by ``i``: samples in a head, folded when they are asked for; and in memory."""
    labels = [{"__name__": "x_total", "i": str(number)} for number in range(len(series))]
    rows = [(number, ts_ms, value) for number, samples in enumerate(series) for ts_ms, value in sorted(samples)]
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.empty(0)] * 3
    batch = SampleBatch(columns[0].astype(np.uint32), columns[1].astype(np.int64), columns[2].astype(np.float64))
    tiers = tuple(map(TierRow, DEFAULT_TIERS))
    snapshot = Snapshot(Path(), heads=(batch,) if rows else (), tiers=tiers, expired=expired or {})
    memory = MemorySource()
    for one, samples in zip(labels, series, strict=True):
        memory.add(one, samples)
    return StoredSource(index_of(labels), snapshot), memory


def by_series(answer: QueryResult) -> dict[str, list[float | None]]:
    """Label ``i`` -> values by step, None where there is none."""
    if answer.vector is None:
        return {}
    found = {}
    for row in range(len(answer.vector)):
        pairs = zip(answer.vector.values[row].tolist(), answer.vector.present[row].tolist(), strict=True)
        found[answer.vector.labels.row(row)["i"]] = [value if there else None for value, there in pairs]
    return found


def alike(left: float | None, right: float | None, tolerance: float = 1e-9) -> bool:
    """Equal but for rounding; NaN and nothing are like themselves."""
    if left is None or right is None:
        return left is right
    return left == right or (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=tolerance)


def wide(range_ms: int, interval_ms: int) -> int:
    """A range in whole windows."""
    return -(-range_ms // interval_ms) * interval_ms


def of_samples(memory: MemorySource, function: str, at_ms: int, range_ms: int, interval_ms: int) -> dict[str, float]:
    """Values required of a tier at a time: those of samples at the last border of windows, over whole windows."""
    text = f"{function}(x_total[{wide(range_ms, interval_ms)}ms])"
    at_ms = at_ms // interval_ms * interval_ms - 1  # ranges are left-open there, half-open at the end here
    return {key: values[0] for key, values in by_series(evaluate_instant(memory, text, at_ms)).items()}  # type: ignore[misc]


@st.composite
def random_series(draw: st.DrawFn) -> Samples:
    """Series of up to three hours with gaps, resets, staleness markers, NaN and infinities."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    step_ms = draw(st.sampled_from([10_000, 15_000, 60_000, 150_000, 420_000]))
    wild = draw(st.sampled_from([0.0, 0.02]))
    gap_ms = draw(st.sampled_from([0, HOUR_MS]))
    value, out = 100.0, []
    for at in range(chance.randrange(step_ms), 3 * HOUR_MS, step_ms):
        value = chance.choice([0.0, value / 2]) if chance.random() < 0.02 else value
        value += chance.choice([0.0, 1.0, 0.1, 7.5])
        if chance.random() < wild:
            out.append((START_MS + at, chance.choice([math.nan, math.inf, -math.inf, STALE])))
        elif chance.random() > 0.1 and not HOUR_MS < at < HOUR_MS + gap_ms:
            out.append((START_MS + at, value))
    return out


@pytest.mark.slow
@given(st.lists(random_series(), min_size=1, max_size=3), st.sampled_from(sorted(TIERS)), st.data())
@settings(max_examples=20, deadline=None)
def test_windows_say_what_their_samples_say(series: list[Samples], tier: str, data: st.DataObject) -> None:
    """Functions over time, at steps on borders and between them: as of the last border, over whole windows."""
    interval_ms = TIERS[tier]
    range_ms = interval_ms * data.draw(st.integers(1, 4))
    begin_ms = START_MS + data.draw(st.integers(0, HOUR_MS))
    step_ms = data.draw(st.sampled_from([MINUTE_MS, 7 * MINUTE_MS, HOUR_MS]))
    stored, memory = sources(*series)
    for name in EXACT:
        text = f"{name}_over_time(x_total[{range_ms}ms])"
        answer = evaluate_range(stored, text, begin_ms, begin_ms + 3 * HOUR_MS, step_ms, resolution=tier)
        found = by_series(answer)
        for step, at_ms in enumerate(answer.at_ms.tolist()):
            wanted = of_samples(memory, f"{name}_over_time", at_ms, range_ms, interval_ms)
            for number, samples in enumerate(series):
                value = found.get(str(number), [None] * len(answer.at_ms))[step]
                if name in ("first", "last") and not all_numbers(samples):
                    continue  # NaN are passed over: see the test of NaN
                tolerance = 1e-6 if name.startswith("std") else 1e-9
                assert alike(value, wanted.get(str(number)), tolerance) or near_zero(name, value, wanted, number), (
                    name,
                    at_ms,
                )


def near_zero(name: str, value: float | None, wanted: dict[str, float], number: int) -> bool:
    """A deviation that is nothing but rounding."""
    other = wanted.get(str(number))
    return name.startswith("std") and value is not None and other is not None and abs(value) + abs(other) < 1e-6


def all_numbers(samples: Samples) -> bool:
    """True if no value is NaN, except staleness markers."""
    return not any(math.isnan(value) for _, value in samples)


def seconds(at_ms: int, range_ms: int, name: str) -> float:
    """The divisor of an increase: the range for rate, else 1."""
    return range_ms / 1000 if name == "rate" else 1.0


@pytest.mark.slow
@given(st.lists(random_series(), min_size=1, max_size=3), st.sampled_from(sorted(TIERS)), st.data())
@settings(max_examples=20, deadline=None)
def test_increases_have_the_step_from_before(series: list[Samples], tier: str, data: st.DataObject) -> None:
    """``increase``, ``rate`` and ``delta`` are the twin's, and within the documented bound of those of samples."""
    interval_ms = TIERS[tier]
    range_ms = interval_ms * data.draw(st.integers(1, 4))
    begin_ms = START_MS + data.draw(st.integers(0, HOUR_MS))
    series = [[one for one in samples if not math.isnan(one[1]) and not math.isinf(one[1])] for samples in series]
    stored, memory = sources(*series)
    for name in ("increase", "rate", "delta"):
        text = f"{name}(x_total[{range_ms}ms])"
        answer = evaluate_range(stored, text, begin_ms, begin_ms + 3 * HOUR_MS, 7 * MINUTE_MS, resolution=tier)
        found = by_series(answer)
        for step, at_ms in enumerate(answer.at_ms.tolist()):
            sampled = of_samples(memory, name, at_ms, range_ms, interval_ms)
            end_ms = at_ms // interval_ms * interval_ms
            for number, samples in enumerate(series):
                value = found.get(str(number), [None] * len(answer.at_ms))[step]
                wanted = rise(samples, end_ms, range_ms, interval_ms, counter=name != "delta")
                over = seconds(at_ms, range_ms, name)
                assert (value is None) == (wanted is None), (name, at_ms)
                if value is not None and wanted is not None:
                    assert math.isclose(value * over, wanted, rel_tol=1e-9, abs_tol=1e-9), (name, at_ms)
                if str(number) in sampled:  # what samples answer, a tier does
                    inside = [one for at, one in samples if end_ms - range_ms <= at < end_ms]
                    bound = bound_of(inside, wanted, name)
                    assert value is not None
                    assert abs(value - sampled[str(number)]) * over <= bound + 1e-9, (name, at_ms)


def bound_of(inside: Sequence[float], wanted: float | None, name: str) -> float:
    """docs/promql.md: what the step adds, and what extrapolation by 1.1 distances at each end does."""
    within = risen(list(inside), counter=name != "delta")
    step = abs((wanted or 0.0) - within)
    return step + 2.2 * abs(within) / (len(inside) - 1)


def test_increases_side_by_side_add_up() -> None:
    """Increases over consecutive hours add up to the whole rise of a counter, resets included."""
    samples = [(START_MS + at, float(at // 1000 % 5000)) for at in range(7_000, 6 * HOUR_MS, 15_000)]
    stored, _ = sources(samples)
    for tier, interval_ms in TIERS.items():
        span = START_MS + interval_ms, START_MS + 6 * HOUR_MS, interval_ms
        answer = evaluate_range(stored, f"increase(x_total[{interval_ms}ms])", *span, resolution=tier)
        found = by_series(answer)["0"]
        assert math.isclose(sum(value or 0 for value in found), risen([one for _, one in samples], counter=True))


@pytest.mark.slow
@given(random_series(), st.data())
@settings(max_examples=30, deadline=None)
def test_quantiles_are_within_the_bound_of_sketches(samples: Samples, data: st.DataObject) -> None:
    """1.1 % of the value, at every quantile and over several windows; above and below 0 and 1 they are infinite."""
    samples = [one for one in samples if not math.isnan(one[1]) and not math.isinf(one[1])]
    stored, memory = sources(samples)
    tier = data.draw(st.sampled_from(["5m", "1h"]))
    range_ms = TIERS[tier] * data.draw(st.integers(1, 3))
    for quantile in (0.0, 0.5, 0.9, 1.0, -1.0, 2.0, math.nan):
        text = f"quantile_over_time({quantile}, x_total[{range_ms}ms])"
        span = START_MS, START_MS + 3 * HOUR_MS, 11 * MINUTE_MS
        answer = evaluate_range(stored, text, *span, resolution=tier)
        found = by_series(answer).get("0", [None] * len(answer.at_ms))
        for step, at_ms in enumerate(answer.at_ms.tolist()):
            text = f"quantile_over_time({quantile}, x_total[{range_ms}ms])"
            at_ms = at_ms // TIERS[tier] * TIERS[tier] - 1
            wanted = by_series(evaluate_instant(memory, text, at_ms)).get("0", [None])[0]
            assert alike(found[step], wanted, 0.011), (quantile, at_ms)


def test_instant_selectors_take_the_last_sample_of_their_windows() -> None:
    """Within the lookback in whole windows; at least one of them, so at 1h it reaches back up to two hours."""
    samples = [(START_MS + at, at / 1000) for at in range(0, 90 * MINUTE_MS, 15_000)]
    stored, _ = sources(samples)
    for tier, at_ms, value, ended_ms in (
        ("1m", 30 * MINUTE_MS + 40_000, 1785.0, 95 * MINUTE_MS),
        ("5m", 32 * MINUTE_MS, 1785.0, 95 * MINUTE_MS),
        ("1h", 70 * MINUTE_MS, 3585.0, 180 * MINUTE_MS),
    ):
        instants = (START_MS + at_ms, START_MS + ended_ms - 1, START_MS + ended_ms)
        answers = [evaluate_instant(stored, "x_total", one, resolution=tier) for one in instants]
        assert by_series(answers[0]) == {"0": [value]}
        assert by_series(answers[1]) == {"0": [5385.0]}
        assert by_series(answers[2]) == {}
        assert answers[0].resolutions == (tier,)
        assert answers[0].infos == (f"PromQL info: answered from windows of {tier} (1:1)",)
        times = by_series(evaluate_instant(stored, "timestamp(x_total)", instants[0], resolution=tier))
        assert times == {"0": [instants[0] // TIERS[tier] * TIERS[tier] / 1000]}


def test_not_a_number_is_passed_over() -> None:
    """Sums of windows with NaN are NaN, as of samples; first and last are of the numbers, unless there are none."""
    samples = [(START_MS + at * 20_000, math.nan if at in (5, 6, 7, 8, 10) else float(at)) for at in range(12)]
    stored, _ = sources(samples)
    whole = START_MS + 4 * MINUTE_MS

    def value_of(text: str, at_ms: int = whole) -> float | None:
        return by_series(evaluate_instant(stored, text, at_ms, resolution="1m"))["0"][0]

    assert math.isnan(value_of("sum_over_time(x_total[4m])") or 0)
    assert math.isnan(value_of("avg_over_time(x_total[4m])") or 0)
    assert value_of("count_over_time(x_total[4m])") == 12
    assert (value_of("min_over_time(x_total[4m])"), value_of("max_over_time(x_total[4m])")) == (0, 11)
    assert value_of("x_total") == 11
    assert value_of("last_over_time(x_total[1m])", START_MS + 2 * MINUTE_MS) == 4
    assert math.isnan(value_of("last_over_time(x_total[1m])", START_MS + 3 * MINUTE_MS) or 0)
    assert value_of("increase(x_total[4m])") == 11


def test_irate_is_the_rate_of_the_last_window() -> None:
    """From the last sample of the window before it to its last one, resets counted."""
    samples = [(START_MS + at * 20_000, at * at if at < 8 else at) for at in range(12)]
    stored, _ = sources([(at, float(value)) for at, value in samples])
    at_ms = START_MS + 3 * MINUTE_MS
    found = by_series(evaluate_instant(stored, "irate(x_total[2m])", at_ms, resolution="1m"))["0"][0]
    assert found == (36 - 25 + 49 - 36 + 8) / 60
    assert not by_series(evaluate_instant(stored, "irate(x_total[1m])", START_MS + MINUTE_MS, resolution="1m"))


def test_ranges_of_part_of_a_window_are_shares_and_said_so() -> None:
    """Sums, counts and increases are scaled to the range; others are of the whole windows; each with a warning."""
    samples = [(START_MS + at, 2.0 * at / 1000) for at in range(0, 3 * HOUR_MS, 60_000)]
    stored, _ = sources(samples)
    at_ms = START_MS + 2 * HOUR_MS
    for name, value, made in (
        ("count_over_time", 15, "answered as a share of"),
        ("increase", 2 * 900, "answered as a share of"),
        ("rate", 2, "answered as"),
        ("max_over_time", 2 * 7140, "answered as"),
    ):
        answer = evaluate_instant(stored, f"{name}(x_total[15m])", at_ms, resolution="1h")
        assert by_series(answer) == {"0": [value]}
        place = f"(1:{len(name) + 2})"
        assert answer.warnings == (f"PromQL warning: a range of 15m is {made} 1h in windows of 1h {place}",)


@pytest.mark.parametrize("name", ["changes", "resets", "deriv", "idelta", "mad_over_time", "ts_of_max_over_time"])
def test_what_windows_cannot_answer_is_refused_or_left_out(name: str) -> None:
    """A tier by its name: an error that says what may; ``auto``: no value where samples have expired, and a warning."""
    samples = [(START_MS + at, float(at % 7)) for at in range(0, 3 * HOUR_MS, 60_000)]
    stored, _ = sources(samples, expired={"raw": START_MS + HOUR_MS})
    text = f"{name}(x_total[10m])"
    with pytest.raises(ExecutionFailed, match=r"1:\d+: .* needs samples: resolution=5m has none, raw or auto may"):
        evaluate_instant(stored, text, START_MS + HOUR_MS, resolution="5m")
    span = START_MS + 30 * MINUTE_MS, START_MS + 2 * HOUR_MS, 10 * MINUTE_MS
    answer = evaluate_range(stored, text, *span)
    there = [value is not None for value in by_series(answer)["0"]]
    assert there == [False] * 4 + [True] * 6  # the step at 70 minutes reads samples later than the 60th
    (warning,) = answer.warnings
    assert "needs samples, which are retained from 2025-09-16T01:00:00.001Z on" in warning
    assert answer.resolutions == ("raw",)
    assert None not in by_series(evaluate_range(stored, text, *span, resolution="raw"))["0"]
