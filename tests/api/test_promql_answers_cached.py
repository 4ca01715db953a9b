"""Cached answers of range queries beside answers without a cache, while samples arrive, in order and late."""

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from nissa.config.tree import Api, Ladder
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.selector import read_selectors
from oracle.bodies import field, label
from oracle.engine import NOW_MS, Rig, config_of, wait_until

ROUNDS = 60
EXPRESSIONS = (
    "g",
    "-g + 1",
    "g > 0",
    'sum by (job) (rate(x_total{job!="c"}[47s]))',
    "sum by (job) (rate(x_total[2m])) / on (job) group_left () sum by (job) (g)",
    "topk(2, x_total)",
    "avg_over_time(g[3m] offset 30s)",
    "max_over_time(sum(g)[2m:20s])",
    "quantile by (job) (0.9, g)",
    'label_replace(increase(x_total[1m]), "place", "at $1", "instance", "(.*)")',
    'count_values without (instance) ("value", g > bool 0)',
    'absent(g{instance="3"})',
    "timestamp(g)",
    "vector(time())",
    "time() - 5",
    "g unless x_total > 1000",
    "stddev(g)",
    # not cached, so equal in any case
    "g - g @ end()",
    "g offset -30s",
    "limitk(1, g)",
    "g + range()",
)


class Asked:
    """An engine behind two APIs: with a cache and without."""

    def __init__(self, rig: Rig, serve) -> None:
        self.rig = rig
        self.cached = serve(rig.engine)
        self.plain = serve(rig.engine, Api(range_cache_bytes_max=0))

    def send(self, samples: list[tuple[dict[str, str], int, float]]) -> None:
        """Store samples."""
        body = b"".join(
            field(1, b"".join(label(*pair) for pair in sorted(labels.items())) + field(2, _sample(ts_ms, value)))
            for labels, ts_ms, value in samples
        )
        frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, self.rig.now_ms, body)
        receipt = self.rig.submit_frame(frame).get(timeout=60)
        assert receipt.samples == len(samples), receipt

    def check(self, text: str, span_s: int, step_s: int) -> str:
        """Both answers, which are equal."""
        end_s = self.rig.now_ms // 1000 // step_s * step_s
        asked = {"query": text, "start": str(end_s - span_s), "end": str(end_s), "step": str(step_s)}
        cached, plain = (one.get("/api/v1/query_range", params=asked) for one in (self.cached, self.plain))
        assert cached.text == plain.text, asked
        assert cached.status_code == 200, cached.text
        assert cached.headers.get("x-nissa-resolution") == plain.headers.get("x-nissa-resolution")
        return cached.text

    @property
    def facts(self) -> dict[str, int]:
        """Counters of the cache."""
        return facts_of(self.cached)


def facts_of(client: httpx.Client) -> dict[str, int]:
    """Counters of the range cache of an API."""
    return dict(client.get("/api/status").json()["range_cache"])


@pytest.fixture
def asked(tmp_path: Path, serve) -> Iterator[Asked]:
    """An empty engine."""
    rig = Rig(tmp_path / "data")
    yield Asked(rig, serve)
    rig.engine.close()


def _sample(ts_ms: int, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + field(2, ts_ms)


def labels_of(name: str, number: int) -> dict[str, str]:
    """Labels of a series."""
    return {"__name__": name, "instance": str(number), "job": "abc"[number % 3]}


def gauge_at(asked: Asked, number: int, before_s: int, value: float) -> None:
    """One sample of ``g``, so long ago."""
    asked.send([(labels_of("g", number), asked.rig.now_ms - before_s * 1000, value)])


@pytest.mark.long
def test_answers_are_those_without_a_cache(asked):
    """Random samples, a tenth of them late, seals, new series and deletions between refreshed queries."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, totals = random.Random(seed), dict[int, float]()
    for number in range(ROUNDS):
        asked.rig.now_ms += chance.choice([1_000, 7_003, 20_000, 45_001])
        samples = []
        for one in range(4 + number // 10):
            totals[one] = totals.get(one, 0.0) + chance.randrange(50)
            at_ms = asked.rig.now_ms - chance.randrange(900)
            samples += [(labels_of("x_total", one), at_ms, totals[one])]
            if chance.random() < 0.8:
                late_ms = chance.choice([0] * 9 + [chance.randrange(600_000)])
                samples += [(labels_of("g", one), at_ms - late_ms, chance.uniform(-50, 50))]
        asked.send(samples)
        if chance.random() < 0.1:
            asked.rig.engine.flush()
        if chance.random() < 0.05:
            selectors = read_selectors(f'g{{instance="{chance.randrange(8)}"}}')
            span = asked.rig.now_ms - 300_000, asked.rig.now_ms - 100_000
            asked.rig.engine.admin.delete_series(selectors, span, lambda _taken=0: None)
        for text in chance.sample(EXPRESSIONS, 8):
            asked.check(text, chance.choice([300, 600]), chance.choice([15, 15, 30]))
    assert asked.facts["hits"] > ROUNDS


def test_late_samples_change_what_was_cached(asked):
    """A late sample changes the steps from its time on; before and behind the seal of a head."""
    for before_s in range(600, 0, -15):
        gauge_at(asked, 1, before_s, 1.0)
    for before_s, value in ((300, 7.0), (420, 8.0), (30, 9.0)):
        assert asked.check("sum(g)", 600, 15) == asked.check("sum(g)", 600, 15)
        gauge_at(asked, 2, before_s, value)
        assert f'"{value + 1:g}"' in asked.check("sum(g)", 600, 15)
        asked.check("sum(g)", 600, 15)
        gauge_at(asked, 3, before_s, 100 * value)
        asked.rig.engine.flush()
        asked.check("sum(g)", 600, 15)
    assert asked.facts["hits"] >= 9


def test_a_late_sender_does_not_outdate_other_series(asked):
    """Queries of series without late rows keep their steps; one that reads them evaluates from their time on."""
    for before_s in range(600, 0, -15):
        gauge_at(asked, 1, before_s, 1.0)
    for _ in range(4):
        asked.rig.now_ms += 15_000
        gauge_at(asked, 1, 0, 2.0)
        asked.send([(labels_of("late", 1), asked.rig.now_ms - 400_000, 3.0)])
        asked.check("sum(g)", 300, 15)
        asked.check('sum({job="b"})', 600, 15)
    assert asked.facts["hits"] == 6


def test_what_the_cache_serves(asked):
    """Only new steps are evaluated; other steps, an earlier start and a text that looks ahead are not served."""
    for before_s in range(600, 0, -15):
        gauge_at(asked, 1, before_s, 1.0)
    asked.check("g", 300, 15)
    assert asked.facts["hits"] == 0
    asked.rig.now_ms += 30_000
    gauge_at(asked, 1, 0, 2.0)
    asked.check("g", 300, 15)
    assert (asked.facts["hits"], asked.facts["entries"]) == (1, 1)
    asked.check("g", 600, 15)  # it begins before the entry
    asked.check("g", 300, 20)
    asked.check("g offset -30s", 300, 15)
    assert (asked.facts["hits"], asked.facts["entries"]) == (1, 2)
    assert asked.facts["bytes"] > 0
    assert facts_of(asked.plain) == {"hits": 0, "misses": asked.facts["misses"] + 1, "bytes": 0, "entries": 0}


def test_an_entry_that_does_not_fit_evicts_others(tmp_path, serve):
    """The entry asked for longest ago goes first; one larger than the cache is not kept."""
    rig = Rig(tmp_path / "data")
    try:
        client = serve(rig.engine, Api(range_cache_bytes_max=5_000))
        body = b"".join(
            field(1, label("__name__", "g") + label("instance", str(one)) + field(2, _sample(NOW_MS, 1.0)))
            for one in range(200)
        )
        rig.submit_frame(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, rig.now_ms, body)).get(timeout=60)
        asked = {"start": str(NOW_MS // 1000 - 300), "end": str(NOW_MS // 1000), "step": "15"}
        for text in ("sum(g)", "min(g)", "max(g)", "g", "avg(g)", "sum(g)"):
            client.get("/api/v1/query_range", params={"query": text, **asked}).raise_for_status()
        facts = facts_of(client)
        assert (facts["hits"], facts["entries"]) == (0, 3)
        assert facts["bytes"] <= 5_000
    finally:
        rig.engine.close()


def test_deleted_samples_stay_away_when_their_tombstone_is_gone(tmp_path, serve):
    """A merge forgets the tombstone; an answer from before the deletion is outdated all the same."""
    config = msgspec.structs.replace(config_of(storage={"compaction_fan_in": 2}), ladder=Ladder(tiers=()))
    rig = Rig(tmp_path / "data", config)
    try:
        asked = Asked(rig, serve)
        for before_s in range(300, 0, -15):
            gauge_at(asked, 1, before_s, 1.0)
        gauge_at(asked, 2, 0, 1.0)
        rig.engine.flush()
        assert '"instance":"1"' in asked.check("g", 300, 15)
        span = rig.now_ms - 600_000, rig.now_ms
        rig.engine.admin.delete_series(read_selectors('g{instance="1"}'), span)
        gauge_at(asked, 2, -1, 1.0)
        rig.engine.flush()
        wait_until(lambda: rig.engine.status().facts()["deletions"]["tombstones"] == 0)
        assert '"instance":"1"' not in asked.check("g", 300, 15)
    finally:
        rig.engine.close()
