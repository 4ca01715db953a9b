"""Policies of the ladder: which series reach which tier, for how long, and what a change of policies leaves."""

from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import Catalogue
from nissa.catalogue.policies import read_epochs
from nissa.config.tree import Ladder as Settings
from nissa.ingest.recover import read_directory
from nissa.model.ladder import SCALARS, Policy, Tier, WindowBatch
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.query.resolution import read_selected
from nissa.query.windows import DerivedColumns, stream_window_parts
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.verify import verify_tiers
from nissa.rollup.windows import join_windows
from nissa.series.policies import SeriesPolicies
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, Rig, config_of, wait_until

TIERS = (
    Tier(MINUTE_MS, DAY_MS, SCALARS),
    Tier(5 * MINUTE_MS, 7 * DAY_MS),
    Tier(10 * MINUTE_MS, 30 * DAY_MS),
    Tier(HOUR_MS, 365 * DAY_MS),
)
POLICIES = (
    Policy("off_exactly"),
    Policy('{__name__=~"off_.*"}', {"1m": DAY_MS, "5m": 2 * DAY_MS}),
    Policy('{__name__="long"}', {tier.name: 2 * tier.retention_ms for tier in TIERS}),
)
START_MS = NOW_MS // DAY_MS * DAY_MS
NAMES = ("as_ever", "long", "off_exactly", "off_half")
ALWAYS = (-(2**63), 2**63 - 1)


def policy_rig(path: Path, policies: tuple[Policy, ...]) -> Rig:
    """An engine with these policies."""
    config = config_of(acceptance={"past_ms": 365 * DAY_MS, "future_ms": DAY_MS})
    rig = Rig(path / "data", msgspec.structs.replace(config, ladder=Settings(TIERS, DAY_MS, 10 * SECOND_MS, policies)))
    rig.now_ms = START_MS
    return rig


def change(rig: Rig, policies: tuple[Policy, ...]) -> None:
    """Go on with other policies."""
    ladder = msgspec.structs.replace(rig.config.ladder, policies=policies)
    rig.config = msgspec.structs.replace(rig.config, ladder=ladder)
    rig.restart()


def live(rig: Rig, hours: int) -> None:
    """Samples of all series every 20 s for so long, sealed every hour."""
    for _ in range(hours):
        times = range(rig.now_ms, rig.now_ms + HOUR_MS, 20_000)
        rig.now_ms += HOUR_MS
        rig.keep([(name, ts_ms, int(np.float64(ts_ms % 977).view(np.uint64))) for name in NAMES for ts_ms in times])
        complete(rig)
    rig.now_ms += 11 * SECOND_MS
    rig.keep([(name, rig.now_ms, 0) for name in NAMES])
    complete(rig)
    rig.now_ms = -(-rig.now_ms // HOUR_MS) * HOUR_MS


def complete(rig: Rig) -> None:
    """Seal, and wait until the ladder has seen it."""
    rig.engine.flush()
    status = rig.engine.status
    lsn = status().journal.checkpoint_lsn
    wait_until(lambda: status().ladder["lsn"] >= lsn)


def names_of(rig: Rig, windows: WindowBatch | None) -> set[str]:
    """Names of the series that have windows in the batch."""
    if windows is None:
        return set()
    return {dict(rig.engine.index.labels(series))["__name__"] for series in np.unique(windows.series).tolist()}


def windows_of(rig: Rig, place: int, start_ms: int = ALWAYS[0], end_ms: int = ALWAYS[1]) -> WindowBatch | None:
    """Windows that start in a range."""
    batches = [
        one for one in read_windows(rig.engine.snapshot(), place, WindowRequest(None, start_ms, end_ms)) if len(one)
    ]
    return join_windows(batches) if batches else None


def check(rig: Rig) -> dict[str, int]:
    """The directory is sound, and every tier what the one below makes of it; blocks by kind."""
    assert verify_directory(rig.path).sound
    read = read_directory(rig.path)
    for report in verify_tiers(rig.path, keeping=SeriesPolicies(read.pipeline.index, read.epochs)):
        assert (report.name, report.differences) == (report.name, ())
        assert report.windows or report.name == "1h"  # the last one is written every six hours
    kinds = [block.kind for block in rig.engine.snapshot().blocks]
    return {kind: kinds.count(kind) for kind in kinds}


def test_series_go_as_far_as_their_policy(tmp_path: Path) -> None:
    """The first that matches decides: none, two tiers, or all of them for longer, in blocks of their own."""
    rig = policy_rig(tmp_path, POLICIES)
    try:
        live(rig, 3)
        kinds = check(rig)
        assert set(kinds) == {"raw", "1m", "5m", "10m", "1m~1d", "5m~2d", "1m~2d", "5m~14d", "10m~60d"}
        for place in range(4):
            reached = {"as_ever", "long"} | ({"off_half"} if place < 2 else set())
            assert names_of(rig, windows_of(rig, place)) == reached
        late = [(name, START_MS + MINUTE_MS + 1, int(np.float64(5.0).view(np.uint64))) for name in NAMES]
        rig.keep(late)
        for _ in range(2):  # in the head, and written again
            for place in range(4):
                found = windows_of(rig, place, START_MS, START_MS + HOUR_MS)
                assert found is not None
                assert int(found.count.sum()) == 181 * (3 if place < 2 else 2)
            complete(rig)
        check(rig)
        rig.restart()
        check(rig)
    finally:
        rig.engine.close()


def test_a_change_leaves_what_is_written(tmp_path: Path) -> None:
    """A change holds from the next window of the widest tier; a directory whose policies changed twice verifies."""
    rig = policy_rig(tmp_path, ())
    try:
        live(rig, 2)
        assert read_epochs(Catalogue.open(rig.path, readonly=True)) == ()
        change(rig, POLICIES)
        (epoch,) = read_epochs(Catalogue.open(rig.path, readonly=True))
        assert (epoch.from_ms, epoch.policies) == (START_MS + 2 * HOUR_MS, POLICIES)
        live(rig, 2)
        for place in range(4):
            assert names_of(rig, windows_of(rig, place, end_ms=epoch.from_ms)) == set(NAMES)
        assert "off_exactly" not in names_of(rig, windows_of(rig, 0, start_ms=epoch.from_ms))
        check(rig)
        change(rig, POLICIES[:1])
        live(rig, 2)
        rig.keep([(name, START_MS + hour * HOUR_MS + 1, 0) for name in NAMES for hour in range(6)])
        complete(rig)
        kinds = check(rig)
        assert {"1m", "1m~1d", "1m~2d"} <= set(kinds)
        last = read_epochs(Catalogue.open(rig.path, readonly=True))[-1]
        assert names_of(rig, windows_of(rig, 3, start_ms=last.from_ms)) == {"as_ever", "long", "off_half"}
        change(rig, POLICIES[:1])
        assert read_epochs(Catalogue.open(rig.path, readonly=True))[-1] == last
    finally:
        rig.engine.close()


def test_auto_stitches_each_series_by_its_policy(tmp_path: Path) -> None:
    """A series without wide windows is answered in narrower ones, or in samples."""
    rig = policy_rig(tmp_path, POLICIES)
    try:
        live(rig, 2)
        parts = stream_window_parts(
            rig.engine, read_selectors('{__name__=~".+"}'), (START_MS, START_MS + HOUR_MS), read_selected("auto", "1h")
        )
        told: dict[str, set[str]] = {}
        for part in parts:
            for series in np.unique(part.series).tolist():
                name = dict(rig.engine.index.labels(series))["__name__"]
                told.setdefault(name, set()).add(part.resolution if isinstance(part, DerivedColumns) else "raw")
        assert told == {"as_ever": {"1h"}, "long": {"1h"}, "off_exactly": {"raw"}, "off_half": {"5m"}}
    finally:
        rig.engine.close()
