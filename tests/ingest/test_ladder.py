"""The ladder beside ingestion: whatever the order of samples, seals and crashes, windows are those of a batch."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import NEVER_MS, Catalogue, TierRow
from nissa.config.tree import Ladder as Settings
from nissa.ingest import ladder as writing
from nissa.ingest.ladder import span_ms
from nissa.ingest.recover import read_directory
from nissa.model.ladder import DEFAULT_TIERS, SCALARS, Tier
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.rollup.read import WindowRequest, compute_windows, read_windows
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import read_tier_block
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, Rig, config_of, wait_until
from oracle.ladder import same_bits, sketch_bytes, sketches_of, wider, windows_of

# Spans of seconds instead of hours: a block of the first two tiers holds an hour, so tests move the clock by hours.
TIERS = (
    Tier(MINUTE_MS, DAY_MS, SCALARS),
    Tier(5 * MINUTE_MS, 7 * DAY_MS),
    Tier(10 * MINUTE_MS, 30 * DAY_MS),
    Tier(HOUR_MS, 365 * DAY_MS),
)
START_MS = NOW_MS // DAY_MS * DAY_MS
NAMES = ("count", "nans", "sum", "min", "max", "first", "last", "m2", "resets", "carry")
ALWAYS = (-(2**63), 2**63 - 1)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine with these tiers, which takes samples of a year ago."""
    config = config_of(acceptance={"past_ms": 365 * DAY_MS, "future_ms": DAY_MS})
    config = msgspec.structs.replace(config, ladder=Settings(TIERS, DAY_MS, 10 * SECOND_MS))
    rig = Rig(tmp_path / "data", config)
    rig.now_ms = START_MS
    try:
        yield rig
    finally:
        rig.engine.close()


def samples_of(rig: Rig) -> list[tuple[int, int, int]]:
    """Samples that the rig must hold, by series id."""
    index = rig.engine.index
    ids = {dict(index.labels(series))["__name__"]: series for series in range(index.series_count)}
    return [(ids[name], ts_ms, bits) for (name, ts_ms), bits in rig.rows.items()]


def check_tiers(rig: Rig, snapshot: Snapshot | None = None) -> None:
    """Every tier reads as the slow twin computes it from all samples, bit for bit."""
    snapshot = snapshot or rig.engine.snapshot()
    samples = samples_of(rig)
    expected = windows_of(samples, TIERS[0].interval_ms)
    for place, tier in enumerate(TIERS):
        expected = wider(expected, tier.interval_ms) if place else expected
        sketches = sketches_of(samples, tier.interval_ms) if place else {}
        found = 0
        for batch in list(read_windows(snapshot, place, WindowRequest(None, *ALWAYS))):
            for at, key in enumerate(zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True)):
                for name in NAMES:
                    assert same_bits(float(getattr(batch, name)[at]), float(expected[key][name])), (place, key, name)
                if batch.sketch is not None:
                    first, end = batch.sketch.offsets[at : at + 2]
                    assert batch.sketch.data[first:end].tobytes() == sketch_bytes(sketches[key])
                found += 1
        assert found == len(expected), place


def check_written(rig: Rig) -> None:
    """Written windows are distinct, and as many as those computed now without them."""
    snapshot = rig.engine.snapshot()
    lsn = max(block.last_lsn for block in snapshot.blocks)
    for place, row in enumerate(snapshot.tiers):
        assert row.lsn >= lsn or row.written_until_ms == NEVER_MS
        if row.written_until_ms == NEVER_MS:
            continue
        asked = WindowRequest(None, NEVER_MS, row.written_until_ms)
        bare = msgspec.structs.replace(snapshot, tiers=tuple(TierRow(one.tier) for one in snapshot.tiers))
        computed = sum(len(batch) for batch in compute_windows(bare, place, asked))
        rows = {}
        for block in snapshot.blocks:
            if block.kind == row.tier.name:
                for batch in read_tier_block(rig.path, block, None, *ALWAYS):
                    rows |= dict.fromkeys(zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True))
        assert len(rows) == computed, place


def bits(value: float) -> int:
    """A value as its bits."""
    return int(np.float64(value).view(np.uint64))


def flush(rig: Rig) -> None:
    """Seal, and wait until the ladder has seen it."""
    rig.engine.flush()
    complete(rig)


def complete(rig: Rig) -> None:
    """Wait until the ladder has seen all that is sealed."""
    status = rig.engine.status
    lsn = status().journal.checkpoint_lsn
    wait_until(lambda: status().ladder["lsn"] >= lsn)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_samples_seals_restarts_and_crashes(rig: Rig, seed: int) -> None:
    """Live, late and repeated samples between flushes, restarts and kills: always the windows of a batch."""
    rng = np.random.default_rng(seed)
    for turn in range(20):
        rig.now_ms += int(rng.integers(5, 50)) * MINUTE_MS
        late = rng.random(40) < 0.3
        back = np.where(late, rng.integers(0, 12 * 60, 40), rng.integers(0, 20, 40))
        times = rig.now_ms - back * MINUTE_MS + rng.integers(0, 60, 40) * 1_000
        values = np.round(rng.normal(50, 20, 40), 1)
        values[rng.random(40) < 0.05] = np.nan
        names = [f"m{number}" for number in rng.integers(0, 4, 40)]
        taken = dict(zip(zip(names, times.tolist(), strict=True), map(bits, values), strict=True))
        rig.keep([(name, ts_ms, one) for (name, ts_ms), one in taken.items()])
        what = rng.random()
        if what < 0.5:
            flush(rig)
        elif what < 0.6:
            rig.restart()
        elif what < 0.75:
            rig.crash()
        if turn % 5 == 4:
            check_tiers(rig)
    flush(rig)
    check_tiers(rig)
    check_written(rig)
    rig.check_rows()
    facts = rig.engine.status().facts()["ladder"]
    assert (facts["failures"], facts["damages"]) == (0, 0)
    assert {block.kind for block in rig.engine.snapshot().blocks} >= {"raw", "1m", "5m", "10m", "1h"}
    rig.engine.close()
    assert verify_directory(rig.path).sound


def test_spans_are_written_when_they_are_over(rig: Rig) -> None:
    """A span is written once the grace is over and later samples are sealed; the tiers above follow."""
    rig.keep([("a", START_MS + MINUTE_MS, bits(1))])
    rig.now_ms = START_MS + HOUR_MS + 9_999
    rig.keep([("a", START_MS + HOUR_MS, bits(2))])
    flush(rig)
    tiers = rig.engine.status().facts()["ladder"]["tiers"]
    assert [tier["written_until_ms"] for tier in tiers.values()] == [START_MS, START_MS, None, None]
    assert {tier["windows"] for tier in tiers.values()} == {0}
    rig.now_ms += 1
    rig.keep([("a", START_MS + HOUR_MS + 1, bits(2))])
    flush(rig)
    tiers = rig.engine.status().facts()["ladder"]["tiers"]
    assert [tiers[name]["written_until_ms"] for name in ("1m", "5m")] == [START_MS + HOUR_MS] * 2
    assert [tiers[name]["windows"] for name in ("1m", "5m", "10m", "1h")] == [1, 1, 1, 0]
    rig.now_ms = START_MS + DAY_MS + HOUR_MS + MINUTE_MS
    rig.keep([("a", START_MS + DAY_MS + HOUR_MS, bits(3))])
    flush(rig)
    tiers = rig.engine.status().facts()["ladder"]["tiers"]
    assert [tier["written_until_ms"] for tier in tiers.values()] == [
        START_MS + 25 * HOUR_MS,
        START_MS + 25 * HOUR_MS,
        START_MS + 25 * HOUR_MS,
        START_MS + 24 * HOUR_MS,
    ]
    assert tiers["1m"]["lag_ms"] < HOUR_MS == tiers["1m"]["lag_ms_normal"]
    assert all(tier["lag_ms"] <= tier["lag_ms_normal"] for tier in tiers.values())
    check_tiers(rig)
    check_written(rig)


def test_late_samples_are_written_again(rig: Rig) -> None:
    """A sample of before makes a small block in every tier that is written past it."""
    rig.keep([("a", START_MS + minute * MINUTE_MS, bits(minute)) for minute in range(60)])
    rig.now_ms = START_MS + 2 * DAY_MS
    rig.keep([("a", rig.now_ms, bits(1))])
    flush(rig)
    rig.keep([("a", START_MS + 90_000, bits(7)), ("b", START_MS + 90_000, bits(8))])
    check_tiers(rig)
    flush(rig)
    tiers = rig.engine.status().facts()["ladder"]["tiers"]
    assert {tier["late_windows"] for tier in tiers.values()} == {2}
    check_tiers(rig)
    check_written(rig)
    rig.crash()
    check_tiers(rig)
    check_tiers(rig, snapshot_outside(rig))


@pytest.mark.long
def test_blocks_of_late_windows_are_merged(rig: Rig) -> None:
    """However often samples come late, blocks stay few, and their windows stay right."""
    rig.keep([("a", START_MS + minute * MINUTE_MS, bits(minute)) for minute in range(120)])
    rig.now_ms = START_MS + 3 * HOUR_MS
    rig.keep([("a", rig.now_ms, bits(1))])
    flush(rig)
    for turn in range(24):
        rig.keep([("b", START_MS + turn * MINUTE_MS + 7, bits(turn)), ("c", START_MS + HOUR_MS + turn, bits(turn))])
        flush(rig)
    kinds = [block.kind for block in rig.engine.snapshot().blocks]
    assert max(kinds.count("1m"), kinds.count("5m")) <= 3 + 8
    wait_until(lambda: len(list((rig.path / "blocks").iterdir())) == len(rig.engine.snapshot().blocks))
    check_tiers(rig)
    check_written(rig)
    assert rig.engine.status().facts()["ladder"]["tiers"]["1m"]["late_windows"] == 24 + 24
    rig.crash()
    check_tiers(rig)


def sealed_hour(rig: Rig) -> None:
    """Six seals within the first hour and one behind it: the hour is not written yet."""
    for turn in range(7):
        rig.now_ms = START_MS + turn * 10 * MINUTE_MS
        rig.keep([(name, rig.now_ms + at * 20_000, bits(turn * at)) for name in "abc" for at in range(30)])
        rig.engine.flush()


def raw_blocks(rig: Rig) -> list[int]:
    """Ids of raw blocks."""
    return [block.id for block in rig.engine.snapshot().blocks if block.kind == "raw"]


def test_raw_blocks_of_a_span_are_merged_as_it_is_written(rig: Rig) -> None:
    """Six blocks of the hour become one in the transaction that adds its windows; a restart finds the same."""
    sealed_hour(rig)
    complete(rig)
    assert len(raw_blocks(rig)) == 7
    rig.now_ms = START_MS + 2 * HOUR_MS
    rig.keep([("a", rig.now_ms, bits(1))])
    flush(rig)
    assert len(raw_blocks(rig)) == 3
    (merged,) = [block for block in rig.engine.snapshot().blocks if block.kind == "raw" and block.level == 1]
    assert (merged.rows, merged.min_ms, merged.first_lsn) == (6 * 90, START_MS, 1)
    check_tiers(rig)
    check_written(rig)
    rig.crash()
    check_tiers(rig)
    rig.check_rows()
    rig.engine.close()
    assert verify_directory(rig.path).sound


def test_a_damaged_block_is_not_merged_and_the_rest_is_written(rig: Rig) -> None:
    """The windows of what can be read are there; every other raw block still stands."""
    sealed_hour(rig)
    complete(rig)
    sealed = {*raw_blocks(rig)}
    block = [one for one in rig.engine.snapshot().blocks if one.kind == "raw"][2]
    data = bytearray((rig.path / block.path).read_bytes())
    data[len(data) // 3] ^= 1
    (rig.path / block.path).write_bytes(data)
    rig.now_ms = START_MS + 2 * HOUR_MS
    rig.keep([("a", rig.now_ms, bits(1))])
    flush(rig)
    facts = rig.engine.status().facts()["ladder"]
    assert (facts["failures"], facts["damages"]) == (0, 1)
    assert facts["tiers"]["1m"]["windows"] == 3 * 50
    assert {*raw_blocks(rig)} >= sealed - {block.id}  # the damaged one may have been put aside by now


def snapshot_outside(rig: Rig) -> Snapshot:
    """The directory as another process reads it."""
    read = read_directory(rig.path)
    return Snapshot(rig.path, read.blocks, tuple(read.pipeline.head.snapshot()), read.tiers)


def test_a_failure_is_counted_and_made_up_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue that refuses the ladder stops neither sealing nor answers; the next pass writes it."""
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise OSError("no space left")

        patch.setattr(writing.Ladder, "_commit", refuse)
        rig.keep([("a", START_MS + MINUTE_MS, bits(1))])
        rig.now_ms = START_MS + 2 * HOUR_MS + MINUTE_MS
        rig.keep([("a", rig.now_ms, bits(1))])
        rig.engine.flush()
        wait_until(lambda: rig.engine.status().facts()["ladder"]["failures"] > 0)
        assert "no space left" in rig.engine.status().facts()["ladder"]["last_error"]
        check_tiers(rig)
    rig.keep([("a", rig.now_ms + 1, bits(1))])
    flush(rig)
    assert rig.engine.status().facts()["ladder"]["last_error"] is None
    assert rig.engine.status().facts()["ladder"]["tiers"]["5m"]["written_until_ms"] == START_MS + 2 * HOUR_MS
    check_tiers(rig)
    check_written(rig)


def test_tiers_come_and_go(rig: Rig) -> None:
    """A tier taken out of the settings is remembered, and goes on from there when it is back."""
    rig.keep([("a", START_MS + minute * MINUTE_MS, bits(minute)) for minute in range(60)])
    rig.now_ms = START_MS + 2 * DAY_MS
    rig.keep([("a", rig.now_ms, bits(1))])
    flush(rig)
    full = rig.config
    rig.config = msgspec.structs.replace(full, ladder=Settings(TIERS[:2], DAY_MS, 0))
    rig.restart()
    rig.keep([("a", START_MS + 1, bits(5)), ("a", rig.now_ms + 1, bits(5))])
    flush(rig)
    catalogue = Catalogue.open(rig.path, readonly=True)
    assert [row.tier.name for row in catalogue.tiers(unused=True)] == ["10m", "1h"]
    catalogue.close()
    rig.config = full
    rig.restart()
    check_tiers(rig)
    rig.keep([("a", rig.now_ms + 2, bits(5))])
    flush(rig)
    check_tiers(rig)
    check_written(rig)
    rig.config = msgspec.structs.replace(full, ladder=Settings(()))
    rig.restart()
    rig.keep([("a", rig.now_ms + 3, bits(5))])
    rig.engine.flush()
    assert rig.engine.status().facts()["ladder"]["tiers"] == {}


def test_spans_of_a_block() -> None:
    """Spans of blocks are those of the decision record."""
    assert span_ms(DEFAULT_TIERS[1], of_samples=True) == HOUR_MS
    assert span_ms(DEFAULT_TIERS[2], of_samples=False) == 6 * HOUR_MS
    assert span_ms(DEFAULT_TIERS[3], of_samples=False) == 8 * DAY_MS
    assert span_ms(Tier(7 * MINUTE_MS, DAY_MS), of_samples=True) == 63 * MINUTE_MS
