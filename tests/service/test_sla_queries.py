"""Hours of stored samples: percentiles equal those of all raw values within the bound of the sketch."""

import struct
from pathlib import Path

import numpy as np
import pytest

from nissa.model.errors import BadQuery, QueryTimeout
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.promql.memory_source import MemorySource
from nissa.service.sla_queries import StoredHours, range_sums
from oracle.engine import NOW_MS, Rig, config_of

SKETCH_ERROR = 0.011


def bits(value: float) -> int:
    """A number as ledgers have it."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def is_p99(found: float | None, values: np.ndarray) -> bool:
    """True if it lies between the two values around that rank, within the bound of the sketch."""
    low, high = (np.quantile(values, 0.99, method=method) for method in ("lower", "higher"))
    return found is not None and low * (1 - SKETCH_ERROR) <= found <= high * (1 + SKETCH_ERROR)


@pytest.mark.long
def test_percentiles_are_those_of_all_values(tmp_path: Path) -> None:
    """Of several series of different sizes together, by hour and by day; hours without samples have none."""
    seed = np.random.SeedSequence().entropy
    print("seed", seed)
    dice = np.random.default_rng(seed)
    start_ms = NOW_MS // DAY_MS * DAY_MS
    values = {name: dice.lognormal(3, 1.5, size) for name, size in (("a", 3000), ("b", 50))}
    hours = (NOW_MS - start_ms) // HOUR_MS
    spread = {name: start_ms + dice.permutation(hours * HOUR_MS)[: len(own)] for name, own in values.items()}
    config = config_of(acceptance={"past_ms": DAY_MS})
    ledger = Rig(tmp_path / "data", config)
    for name, own in values.items():
        ledger.send([(name, int(at), bits(value)) for at, value in zip(spread[name], own, strict=True)])
    found = StoredHours(ledger.engine, config, float).sketches('{__name__=~"a|b"}', start_ms, start_ms + DAY_MS)
    at_ms, every = np.concatenate(list(spread.values())), np.concatenate(list(values.values()))
    assert is_p99(found.days_p99[0], every)
    for hour in range(24):
        own = every[(at_ms - start_ms) // HOUR_MS == hour]
        assert found.counts[hour] == (len(own) or None)
        assert is_p99(found.p99[hour], own) if len(own) else found.p99[hour] is None
    with pytest.raises(BadQuery, match="selector"):
        StoredHours(ledger.engine, config, float).sketches("{", start_ms, start_ms + DAY_MS)
    ticks = iter(range(0, 10**9, 10**3))
    with pytest.raises(QueryTimeout):
        StoredHours(ledger.engine, config, lambda: next(ticks)).values("a", start_ms, start_ms + DAY_MS, HOUR_MS)
    ledger.engine.close()


def test_hours_end_with_their_step() -> None:
    """The increase of an hour is at its end; series are summed; hours without samples have none."""
    source = MemorySource()
    for job in "ab":
        times = range(0, 3 * HOUR_MS + 1, MINUTE_MS)
        source.add({"__name__": "x", "job": job}, [(at, at / MINUTE_MS) for at in times])
    sums = range_sums(source, "increase(x[1h])", (0, 6 * HOUR_MS, HOUR_MS))
    assert sums[:3] == [pytest.approx(120, rel=0.02)] * 3
    assert sums[4:] == [None, None]
