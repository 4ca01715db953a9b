"""A directory under retention: samples expired, tiers left, and answers are those of all samples ever sent.

Every step must be answered as the oracle says it is from the rung that has its range: samples, or a tier as of the last
border of its windows. The oracle holds all samples in memory.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

import nissa
from nissa.config.tree import Ladder as Settings
from nissa.ingest.engine import Engine
from nissa.model.ladder import SCALARS, Policy, Tier
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.memory_source import MemorySource
from nissa.promql.stored import StoredSource
from nissa.promql.values import QueryResult
from oracle.engine import NOW_MS, Rig, config_of, wait_until
from oracle.tier_answers import rise

TIERS = (
    Tier(MINUTE_MS, 4 * HOUR_MS, SCALARS),
    Tier(5 * MINUTE_MS, 8 * HOUR_MS),
    Tier(HOUR_MS, 30 * DAY_MS),
)
INTERVALS = {tier.name: tier.interval_ms for tier in TIERS}
POLICIES = (Policy("only_samples_total"), Policy("half_total", {"1m": 2 * HOUR_MS, "5m": 4 * HOUR_MS}))
NAMES = ("x_total", "y_total", "level", "only_samples_total", "half_total")
START_MS = -(-NOW_MS // DAY_MS) * DAY_MS
HOURS = 12
EVERY_MS = 30 * SECOND_MS


class SteadyRig(Rig):
    """A rig both of whose clocks go on together, so that retention trusts them."""

    def _open(self) -> Engine:
        return Engine(self.path, self.config, lambda: self.now_ms, lambda: ("boot", self.now_ms))


class Aged(NamedTuple):
    """A rig and the samples sent to it, by name."""

    rig: Rig
    samples: dict[str, dict[int, float]]

    def live(self, hours: float) -> None:
        """Samples of all series, sealed every 20 minutes; a counter is reset now and then, a gauge has gaps."""
        for _ in range(int(hours * 3)):
            first_ms = self.rig.now_ms
            times = range(first_ms, first_ms + 20 * MINUTE_MS, EVERY_MS)
            looked_ms = self.rig.engine.maintenance.retainer.retained_ms
            self.rig.now_ms += 20 * MINUTE_MS
            for name in NAMES:
                self.send(name, [(at, value_at(name, at)) for at in times if name != "level" or at // 600_000 % 7])
            self.settle()
            wait_until(lambda before_ms=looked_ms: self.rig.engine.maintenance.retainer.retained_ms != before_ms)

    def send(self, name: str, samples: list[tuple[int, float]]) -> None:
        """Send samples to the engine and to the oracle."""
        self.rig.keep([(name, at, int(np.float64(value).view(np.uint64))) for at, value in samples])
        self.samples.setdefault(name, {}).update(samples)

    def settle(self) -> None:
        """Everything is sealed, folded and dropped that can be."""
        self.rig.engine.flush()
        wait_until(lambda: has_caught_up(self.rig))


def has_caught_up(rig: Rig) -> bool:
    """True if the ladder has processed all sealed samples."""
    status = rig.engine.status().facts()
    return bool(status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"])


def value_at(name: str, at_ms: int) -> float:
    """A gauge that swings, or a counter that is reset every hundred minutes."""
    if name == "level":
        return math.sin(at_ms / 1e6) * 100
    return float((at_ms - START_MS) // 1000 % 6000 + len(name))


def widened(reach_ms: int, tier: str) -> int:
    """A range in whole windows."""
    return -(-reach_ms // INTERVALS[tier]) * INTERVALS[tier]


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aged]:
    """Twelve hours: of samples the last two are left, of 1m the last four, of 5m the last eight."""
    config = config_of(acceptance={"past_ms": HOUR_MS, "future_ms": DAY_MS}, series={"idle_ttl_ms": HOUR_MS})
    config = msgspec.structs.replace(config, ladder=Settings(TIERS, 2 * HOUR_MS, 10 * SECOND_MS, POLICIES))
    rig = SteadyRig(tmp_path_factory.mktemp("aged") / "data", config)
    aged = Aged(rig, {})
    wait_until(lambda: rig.engine.maintenance.retainer.retained_ms is not None)  # the clock is known before it moves
    rig.now_ms = START_MS
    aged.live(HOURS)
    yield aged
    aged.rig.engine.close()


def values_of(answer: QueryResult, name: str) -> list[float | None]:
    """The values of one series by step."""
    for row in range(0 if answer.vector is None else len(answer.vector)):
        if answer.vector is not None and answer.vector.labels.row(row)["series"] == name:
            pairs = zip(answer.vector.values[row].tolist(), answer.vector.present[row].tolist(), strict=True)
            return [value if there else None for value, there in pairs]
    return [None] * len(answer.at_ms)


QUESTIONS = [  # function, range, step, tiers that serve
    ("avg_over_time", 10 * MINUTE_MS, 5 * MINUTE_MS, ("5m", "1h")),
    ("sum_over_time", HOUR_MS, HOUR_MS, ("1h",)),
    ("count_over_time", 2 * MINUTE_MS, 2 * MINUTE_MS, ("1m", "5m", "1h")),
    ("max_over_time", 30 * MINUTE_MS, 7 * MINUTE_MS, ("1m", "5m", "1h")),
    ("increase", 10 * MINUTE_MS, 10 * MINUTE_MS, ("5m", "1h")),
    ("rate", HOUR_MS, HOUR_MS, ("1h",)),
    ("last_over_time", 5 * MINUTE_MS, 11 * MINUTE_MS, ("1m", "5m", "1h")),
    ("stddev_over_time", HOUR_MS, 20 * MINUTE_MS, ("5m", "1h")),
]


def check(aged: Aged) -> None:
    """All questions over the whole time, at steps that are not on borders too."""
    for shift_ms in (0, 13 * SECOND_MS):
        for function, range_ms, step_ms, tiers in QUESTIONS:
            text = f'label_replace({function}({{__name__=~".+"}}[{range_ms}ms]), "series", "$1", "__name__", "(.+)")'
            span_ms = START_MS + 2 * HOUR_MS + shift_ms, aged.rig.now_ms, step_ms
            answer, expired = answered(aged, text, span_ms)
            used = set()
            for name in NAMES:
                found, times = values_of(answer, name), answer.at_ms.tolist()
                rungs = [rung_of(expired, name, at_ms, range_ms, tiers) for at_ms in times]
                used |= {rung for rung, _ in rungs}
                for step in near_borders(rungs):
                    rung, is_whole = rungs[step]
                    if not is_whole:  # it has expired in part, and nothing is behind it
                        assert name in ("only_samples_total", "half_total")
                        continue
                    # The sample before a range may have expired alone.
                    kept_ms = expired.get(kinds_of(name)[rung], 0) + INTERVALS.get(rung, 1)
                    samples = {at: one for at, one in aged.samples[name].items() if at >= kept_ms}
                    wanted = expected(samples, function, times[step], range_ms, rung)
                    assert alike(found[step], wanted), (function, name, times[step] - START_MS, rung)
            assert set(answer.resolutions) == used
            assert len(used) > 1


def near_borders(rungs: list[tuple[str, bool]]) -> list[int]:
    """The steps beside a change of rungs, and some of the others."""
    changes = [step for step in range(1, len(rungs)) if rungs[step] != rungs[step - 1]]
    beside = {min(max(step + by, 0), len(rungs) - 1) for step in changes for by in (-2, -1, 0, 1)}
    return sorted({*beside, *range(0, len(rungs), 1 + len(rungs) // 12), len(rungs) - 1})


def answered(aged: Aged, text: str, span_ms: tuple[int, int, int]) -> tuple[QueryResult, Mapping[str, int]]:
    """An answer, and what had expired when its snapshot was taken."""
    with aged.rig.engine.snapshot() as snapshot:
        return evaluate_range(StoredSource(aged.rig.engine.index, snapshot), text, *span_ms), snapshot.expired


def rung_of(
    expired: Mapping[str, int], name: str, at_ms: int, reach_ms: int, tiers: tuple[str, ...]
) -> tuple[str, bool]:
    """Samples, or the first of these tiers that has the whole range of a step, and whether there is one.

    Series under policies go as far as 5m, or nowhere.
    """
    begins = {"raw": at_ms - reach_ms + 1}
    begins |= {tier: at_ms // INTERVALS[tier] * INTERVALS[tier] - widened(reach_ms, tier) for tier in INTERVALS}
    kinds = kinds_of(name)
    own = [tier for tier in tiers if tier in kinds] or ["5m"]
    own = ["raw"] if name == "only_samples_total" else ["raw", *own]
    for rung in own:
        if begins[rung] > expired.get(kinds[rung], -1):
            return rung, True
    return min(own, key=lambda rung: expired.get(kinds[rung], -1)), False


def kinds_of(name: str) -> dict[str, str]:
    """Rung -> kind of block. Policies have blocks of their own."""
    if name == "half_total":
        return {"raw": "raw", "1m": "1m~2h", "5m": "5m~4h"}
    return {one: one for one in ("raw", *INTERVALS)}


def expected(samples: dict[int, float], function: str, at_ms: int, range_ms: int, rung: str) -> float | None:
    """The answer of one rung, from its samples."""
    wide_ms, share = range_ms, 1.0
    if rung != "raw":
        wide_ms, at_ms = widened(range_ms, rung), at_ms // INTERVALS[rung] * INTERVALS[rung] - 1
        share = range_ms / wide_ms if function in ("count_over_time", "sum_over_time", "increase") else 1.0
        if function in ("increase", "rate"):
            risen = rise(list(samples.items()), at_ms + 1, wide_ms, INTERVALS[rung])
            per = wide_ms / 1000 if function == "rate" else 1.0
            return None if risen is None else risen * share / per
    memory = MemorySource()
    memory.add({"__name__": "x"}, [one for one in samples.items() if at_ms - wide_ms <= one[0] <= at_ms])
    answer = evaluate_instant(memory, f"{function}(x[{wide_ms}ms])", at_ms)
    if answer.vector is None or not len(answer.vector):
        return None
    return float(answer.vector.values[0, 0]) * share


def alike(left: float | None, right: float | None) -> bool:
    """Equal but for rounding, of deviations 24 bits."""
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.long
def test_steps_are_answered_by_what_is_left(aged: Aged) -> None:
    """Across the borders of retention, in the engine, in a directory that is read beside it, and after a restart."""
    snapshot = aged.rig.engine.snapshot()
    assert {"raw", "1m", "5m", "1m~2h", "5m~4h"} <= snapshot.expired.keys()
    check(aged)
    aged.rig.crash()
    check(aged)
    aged.rig.restart()
    check(aged)


@pytest.mark.long
def test_late_samples_are_in_the_answers_at_once(aged: Aged) -> None:
    """While they lie in memory, when they are sealed, and when their windows have been written again."""
    late = [(aged.rig.now_ms - 50 * MINUTE_MS + at, 7.0) for at in range(11_000, 10 * MINUTE_MS, 45_000)]
    for name in ("level", "y_total"):
        aged.send(name, late)
    check(aged)
    aged.settle()
    check(aged)
    aged.live(2)  # the raw samples of late windows have expired
    check(aged)


def test_what_was_deleted_is_in_no_answer(aged: Aged) -> None:
    """Whole windows of all tiers: some of samples, some whose samples have expired."""
    for first_ms in (
        aged.rig.now_ms // HOUR_MS * HOUR_MS - 5 * HOUR_MS,
        aged.rig.now_ms // HOUR_MS * HOUR_MS - HOUR_MS,
    ):
        aged.rig.engine.admin.delete_series(read_selectors(["x_total"]), (first_ms, first_ms + HOUR_MS))
        for at in [at for at in aged.samples["x_total"] if first_ms <= at < first_ms + HOUR_MS]:
            del aged.samples["x_total"][at]
    check(aged)
    aged.live(1)
    check(aged)


def test_a_reader_answers_as_the_engine_does(aged: Aged) -> None:
    """Tables, with the rungs in their metadata; by name too."""
    with nissa.open(aged.rig.path) as reader:
        start, end = START_MS / 1000 + 7200, aged.rig.now_ms / 1000
        table = reader.query_range("sum(increase(x_total[1h]))", start, end, "1h")
        assert table.schema.metadata[b"nissa.resolution"] == b"raw, 1h"
        span_ms = int(start * 1000), int(end * 1000), HOUR_MS
        ours, _ = answered(aged, "sum(increase(x_total[1h]))", span_ms)
        assert ours.vector is not None
        assert table["value"].to_pylist() == ours.vector.values[0][ours.vector.present[0] != 0].tolist()
        for resolution in ("raw", "1m", "5m", "1h"):
            table = reader.query("max_over_time(level[1h])", end, resolution=resolution)
            assert table.schema.metadata[b"nissa.resolution"] == resolution.encode()
            assert table.num_rows == 1
        old = reader.query("count_over_time(x_total[1h])", start, resolution="raw")
        assert old.num_rows == 0  # the samples have expired
