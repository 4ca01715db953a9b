"""The tier that answers: parameters, and stitching of time ranges."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.model.columns import SampleBatch
from nissa.model.errors import BadQuery
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.query.resolution import PlannedRead, WindowSelection, plan_reads, read_selected
from nissa.store.read import Snapshot

NOW_MS = 20_000 * DAY_MS
EVER = (-(2**63), 2**63 - 1)


def block(kind: str, min_ms: int, max_ms: int = NOW_MS) -> BlockRow:
    """A row of the catalogue with this range."""
    return BlockRow(1, kind, 0, f"blocks/{kind}-1.parquet", 1, min_ms, max_ms, 0, 0, 1, 1, 1, 1, 1, b"")


def kept(*blocks: BlockRow) -> Snapshot:
    """A directory with these blocks."""
    return Snapshot(Path(), blocks, (), tuple(map(TierRow, DEFAULT_TIERS)))


AGED = kept(
    block("raw", NOW_MS - 6 * HOUR_MS + 1),
    block("1m", NOW_MS - DAY_MS),
    block("5m", NOW_MS - 7 * DAY_MS),
    block("1h", NOW_MS - 30 * DAY_MS),
    block("1d", NOW_MS - 365 * DAY_MS),
)


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("30", None),
        ("1m", 0),
        ("60.0", 0),
        ("4m", 0),
        ("5m", 1),
        ("7m", 0),
        ("59m", 0),
        ("1h", 2),
        ("90m", 1),
        ("1d", 3),
        ("2w", 3),
        ("90s", 0),
    ],
)
def test_the_coarsest_that_serves_the_step(step: str, place: int | None) -> None:
    """The coarsest tier whose interval divides the step; if there is none, the coarsest that is not longer."""
    snapshot = kept(block("raw", NOW_MS - DAY_MS))
    (piece,) = plan_reads(snapshot, read_selected("auto", step), EVER)
    assert piece == PlannedRead(place, NOW_MS - DAY_MS, NOW_MS + 1)


def test_without_a_step_a_thousand_points() -> None:
    """The range decides; of an open one, the data."""
    snapshot = kept(block("raw", NOW_MS - DAY_MS * 365))
    (piece,) = plan_reads(snapshot, WindowSelection("auto"), EVER)
    assert piece.place == 2
    (piece,) = plan_reads(snapshot, WindowSelection("auto"), (NOW_MS - HOUR_MS, NOW_MS))
    assert piece == PlannedRead(None, NOW_MS - HOUR_MS, NOW_MS)
    assert plan_reads(kept(), WindowSelection("auto"), EVER) == []


def test_stretches_meet_at_borders_of_the_coarser() -> None:
    """Before the oldest samples the next coarser tier answers, and so on; each from a border of its windows."""
    pieces = plan_reads(AGED, read_selected("auto", "10s"), (NOW_MS - 400 * DAY_MS, NOW_MS))
    assert pieces == [
        PlannedRead(3, NOW_MS - 365 * DAY_MS, NOW_MS - 30 * DAY_MS),
        PlannedRead(2, NOW_MS - 30 * DAY_MS, NOW_MS - 7 * DAY_MS),
        PlannedRead(1, NOW_MS - 7 * DAY_MS, NOW_MS - DAY_MS),
        PlannedRead(0, NOW_MS - DAY_MS, NOW_MS - 6 * HOUR_MS + MINUTE_MS),
        PlannedRead(None, NOW_MS - 6 * HOUR_MS + MINUTE_MS, NOW_MS),
    ]
    pieces = plan_reads(AGED, read_selected("auto", "1h"), (NOW_MS - 40 * DAY_MS, NOW_MS))
    assert [piece.place for piece in pieces] == [3, 2]
    pieces = plan_reads(AGED, read_selected("auto", "1m"), (NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS))
    assert pieces == [PlannedRead(1, NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS)]


def test_memory_counts_as_kept() -> None:
    """Samples of the head alone."""
    head = SampleBatch(np.zeros(2, np.uint32), np.array([NOW_MS, NOW_MS - 5]), np.zeros(2))
    snapshot = msgspec.structs.replace(kept(), heads=(head,))
    assert plan_reads(snapshot, read_selected("auto", "1"), EVER) == [PlannedRead(None, NOW_MS - 5, NOW_MS + 1)]


def test_a_named_one_answers_alone() -> None:
    """Whatever is kept."""
    assert plan_reads(AGED, read_selected("5m"), (5, 9)) == [PlannedRead(1, 5, 9)]
    assert plan_reads(AGED, read_selected("raw"), (5, 9)) == [PlannedRead(None, 5, 9)]


def test_quantiles_have_names() -> None:
    """Percent, as short as may be."""
    assert WindowSelection("5m").probabilities == {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    assert read_selected("5m", "", "0, 0.5,0.999,1.0,0.99990").probabilities == {
        "p0": 0.0,
        "p50": 0.5,
        "p99.9": 0.999,
        "p100": 1.0,
        "p99.99": 0.9999,
    }


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("7m",), "resolution"),
        (("nonsense" * 100,), "resolution"),
        (("auto", "soon"), "step"),
        (("auto", "0"), "step"),
        (("auto", "-5"), "step"),
        (("auto", "99y"), "step"),
        (("5m", "", "1.1"), "quantiles"),
        (("5m", "", "-0.1"), "quantiles"),
        (("5m", "", "nan"), "quantiles"),
        (("5m", "", "0.5,,0.9"), "quantiles"),
        (("5m", "", ",".join(["0.5"] * 33)), "quantiles"),
        (("1m", "", "0.5"), "quantiles"),
        (("raw", "", "0.5"), "quantiles"),
        (("", "5m"), "step"),
    ],
)
def test_what_cannot_be_is_refused_by_name(asked: tuple[str, ...], named: str) -> None:
    """The message names the parameter and is short."""
    with pytest.raises(BadQuery, match=rf"invalid parameter '{named}'") as caught:
        plan_reads(AGED, read_selected(*asked), EVER)
    assert len(str(caught.value)) < 200
