"""Deletion beside a dictionary: whatever is sealed, merged, killed or sent again, only deleted rows are gone."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Ladder as Settings
from nissa.files.names import RAW_KIND
from nissa.ingest.deletion import delete_in_directory
from nissa.ingest.recover import read_directory
from nissa.model.errors import BadQuery, DirectoryLocked
from nissa.model.ladder import SCALARS, Tier
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.query.presence import present_series
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.verify import verify_tiers
from nissa.store.pins import drop_unpinned
from nissa.store.read import Snapshot
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, Rig, config_of, rows_in, wait_until
from oracle.ladder import same_bits, sketch_bytes, sketches_of, wider, windows_of

TIERS = (
    Tier(MINUTE_MS, DAY_MS, SCALARS),
    Tier(5 * MINUTE_MS, 7 * DAY_MS),
    Tier(10 * MINUTE_MS, 30 * DAY_MS),
    Tier(HOUR_MS, 365 * DAY_MS),
)
START_MS = NOW_MS // DAY_MS * DAY_MS
NAMES = ("count", "nans", "sum", "min", "max", "first", "last", "m2", "resets", "carry")
ALWAYS = (-(2**63), 2**63 - 1)
SERIES = tuple(f"m{at}" for at in range(5))
VALUES = tuple(int(np.float64(value).view(np.uint64)) for value in (0.0, 1.0, 1.5, -3.0, 7.25))


class DeletionRig(Rig):
    """A rig that deletes, too. gone: series and time of each sample that was deleted, again if it came again."""

    def __init__(self, path: Path, fan_in: int = 3) -> None:
        storage = {"compaction_fan_in": fan_in, "seal_samples": 300}
        config = config_of(acceptance={"past_ms": 365 * DAY_MS, "future_ms": DAY_MS}, storage=storage)
        config = msgspec.structs.replace(config, ladder=Settings(TIERS, DAY_MS, 10 * SECOND_MS))
        super().__init__(path, config)
        self.now_ms = START_MS
        self.gone: list[tuple[str, int]] = []

    def delete(self, names: list[str], start_ms: int, end_ms: int) -> None:
        """Delete in the engine and in the dictionary."""
        self.engine.admin.delete_series(read_selectors(names), (start_ms, end_ms))
        self.forget(names, start_ms, end_ms)

    def delete_closed(self, names: list[str], start_ms: int, end_ms: int) -> None:
        """The same while no engine runs."""
        self.engine.close()
        delete_in_directory(self.path, read_selectors(names), (start_ms, end_ms), lambda: self.now_ms)
        self.forget(names, start_ms, end_ms)
        self.engine = self._open()

    def forget(self, names: list[str], start_ms: int, end_ms: int) -> None:
        """The dictionary's turn."""
        gone = [key for key in self.rows if key[0] in names and start_ms <= key[1] < end_ms]
        self.gone += gone
        for key in gone:
            del self.rows[key]

    def check_all(self) -> None:
        """Samples, counters, windows and discovery are those of the dictionary."""
        self.check_rows()
        total = self.total()
        assert total.stored == len(self.rows) + len(self.gone), total
        assert total.received == total.stored + total.duplicate == self.accepted, total
        for check in (self.check_windows, self.check_presence):
            check()

    def samples(self) -> list[tuple[int, int, int]]:
        """The dictionary's rows by series id."""
        ids = self.ids()
        return [(ids[name], ts_ms, bits) for (name, ts_ms), bits in self.rows.items()]

    def ids(self) -> dict[str, int]:
        """Series ids by name."""
        index = self.engine.index
        return {dict(index.labels(series))["__name__"]: series for series in range(index.series_count)}

    def check_windows(self) -> None:
        """Every tier reads as the slow twin computes it from the samples that are left, bit for bit."""
        snapshot, samples = self.engine.snapshot(), self.samples()
        expected = windows_of(samples, TIERS[0].interval_ms)
        for place, tier in enumerate(TIERS):
            expected = wider(expected, tier.interval_ms) if place else expected
            sketches = sketches_of(samples, tier.interval_ms) if place else {}
            found = set()
            for batch in list(read_windows(snapshot, place, WindowRequest(None, *ALWAYS))):
                for at, key in enumerate(zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True)):
                    assert key in expected, (place, key)
                    for name in NAMES:
                        assert same_bits(float(getattr(batch, name)[at]), float(expected[key][name])), (place, key)
                    if batch.sketch is not None:
                        first, end = batch.sketch.offsets[at : at + 2]
                        assert batch.sketch.data[first:end].tobytes() == sketch_bytes(sketches[key])
                    found.add(key)
            assert found == expected.keys(), place

    def check_presence(self) -> None:
        """Discovery knows the series that have samples left, in all time and in one hour of it."""
        snapshot, ids = self.engine.snapshot(), self.ids()
        wanted = np.array(sorted(ids.values()), np.uint32)
        for span in (ALWAYS, (START_MS, START_MS + HOUR_MS), (START_MS + MINUTE_MS, START_MS + 7 * MINUTE_MS)):
            damages: list[Exception] = []
            found = present_series(snapshot, wanted, span, 10**6, lambda: None, damages.append)
            expected = {ids[name] for name, ts_ms in self.rows if span[0] <= ts_ms < span[1]}
            assert set(found.tolist()) == expected, span
            assert not damages


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[DeletionRig]:
    """An engine on an empty directory, with a ladder of short tiers."""
    rig = DeletionRig(tmp_path / "data")
    yield rig
    rig.engine.close()


def complete(rig: Rig) -> None:
    """Wait until the ladder has seen all that is sealed, and has decided on every tombstone."""
    rig.engine.flush()
    tombstones = rig.engine._sealer.tombstones
    lsn = rig.engine.status().facts()["journal"]["checkpoint_lsn"]
    wait_until(lambda: rig.engine.status().facts()["ladder"]["lsn"] >= lsn)
    wait_until(lambda: all(one.tiers is not None for one in tombstones.all))


def random_rows(chance: random.Random, now_ms: int, late: bool) -> list[tuple[str, int, int]]:
    """Samples of now; late: and some of up to four hours before."""
    rows = []
    for _ in range(chance.randrange(1, 60)):
        age_ms = chance.choice((0, 0, 0, late)) * chance.randrange(4 * HOUR_MS) // 5_000 * 5_000
        rows.append((chance.choice(SERIES), now_ms - age_ms - 5_000 * chance.randrange(20), chance.choice(VALUES)))
    return list({(name, ts_ms): (name, ts_ms, bits) for name, ts_ms, bits in rows}.values())


def random_span(chance: random.Random, now_ms: int) -> tuple[int, int]:
    """Half of them reach to the end of time, or from its beginning; few lie on the borders of windows."""
    start_ms = now_ms - chance.randrange(5 * HOUR_MS)
    end_ms = start_ms + chance.choice((1, 5_000, 90_000, 17 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS))
    if chance.random() < 0.2:
        start_ms, end_ms = start_ms // MINUTE_MS * MINUTE_MS, -(-end_ms // MINUTE_MS) * MINUTE_MS
    return (ALWAYS[0] if chance.random() < 0.25 else start_ms, ALWAYS[1] if chance.random() < 0.25 else end_ms)


@pytest.mark.long
@pytest.mark.parametrize(("seed", "fan_in", "late"), [(0, 3, 1), (2, 1_000, 0.05)])
def test_deleted_rows_are_gone_and_all_others_stay(tmp_path: Path, seed: int, fan_in: int, late: float) -> None:
    """Random deletions, seals, merges, late and repeated samples, restarts and kills, beside a dictionary.

    With the higher fan-in raw blocks are merged by the ladder alone, while it folds them.
    """
    rig, chance = DeletionRig(tmp_path / "data", fan_in), random.Random(seed)
    try:
        live_through(rig, chance, late)
        rig.check_all()
        complete(rig)
        rig.check_all()
    finally:
        rig.engine.close()
    assert [report.differences for report in verify_tiers(rig.path)] == [()] * len(TIERS)
    assert verify_directory(rig.path).sound
    read = read_directory(rig.path)
    heads = tuple(read.pipeline.head.snapshot())
    outside = Snapshot(rig.path, read.blocks, heads, read.tiers, tombstones=read.tombstones, expired=read.expired)
    assert rows_in(outside, read.pipeline.index) == rig.rows


def live_through(rig: DeletionRig, chance: random.Random, late: float) -> None:
    """Forty turns; late: the share of those in which samples come late."""
    for turn in range(40):
        rig.now_ms += chance.choice((1_000, MINUTE_MS, 5 * MINUTE_MS, 11 * MINUTE_MS, 70 * MINUTE_MS))
        rig.keep(random_rows(chance, rig.now_ms, chance.random() < late))
        if rig.gone and chance.random() < 0.4:
            again = {key: chance.choice(VALUES) for key in chance.choices(rig.gone, k=8)}
            rig.keep([(*key, bits) for key, bits in again.items()])
        act = chance.randrange(8)
        if act < 3:
            names = chance.sample(SERIES, chance.randrange(1, 4))
            rig.delete(names, *random_span(chance, rig.now_ms))
        elif act == 3:
            rig.delete_closed([chance.choice(SERIES)], *random_span(chance, rig.now_ms))
        elif act == 4:
            rig.engine.flush()
        elif act == 5:
            complete(rig)
        elif act == 6:
            rig.restart()
        else:
            rig.crash()
        if turn % 3 == 0:
            rig.check_all()


def test_a_deletion_goes_once_no_block_needs_it(rig: DeletionRig) -> None:
    """Merges drop the rows, which are counted, and then the tombstone; a block of deleted rows alone goes whole."""
    for turn in range(2):
        rig.keep([("m0", rig.now_ms + turn, ONE), ("m1", rig.now_ms + turn, ONE)])
        rig.engine.flush()
    rig.delete(["m0"], *ALWAYS)
    rig.delete(["m2"], *ALWAYS)  # no such series
    rig.delete(["m1"], 0, START_MS)  # none of its rows
    assert rig.engine.status().facts()["deletions"] == {"tombstones": 1, "dropped_rows": 0}
    rig.keep([("m0", rig.now_ms, ONE + 1)])
    complete(rig)
    wait_until(lambda: rig.engine.status().facts()["deletions"] == {"tombstones": 0, "dropped_rows": 2})
    assert [one.rows for one in rig.engine.snapshot().blocks if one.kind == RAW_KIND] == [3]
    rig.check_all()
    for turn in range(3):
        rig.keep([("m3", rig.now_ms + turn, ONE)])
        rig.engine.flush()
    rig.delete(["m0", "m1", "m3"], *ALWAYS)
    rig.check_all()
    assert rig.rows == {}


def test_a_directory_in_use_is_left_alone(rig: DeletionRig) -> None:
    """Whoever deletes without the engine needs the lock; a range that ends before it begins is refused."""
    rig.keep([("m0", rig.now_ms, ONE)])
    with pytest.raises(DirectoryLocked):
        delete_in_directory(rig.path, read_selectors("m0"), ALWAYS, lambda: rig.now_ms)
    with pytest.raises(BadQuery, match="begin before it ends"):
        rig.engine.admin.delete_series(read_selectors("m0"), (5, 5))
    rig.check_all()


def test_windows_stay_where_what_they_were_made_of_has_expired(rig: DeletionRig) -> None:
    """Covered in part and without their samples they say what they said; those inside go; the tiers still agree."""
    for minute in range(0, 481, 5):
        rig.now_ms = START_MS + minute * MINUTE_MS
        rig.keep([("m0", rig.now_ms + 1_000 * second, ONE) for second in (0, 20, 40)])
        if minute % 60 == 0:
            complete(rig)
    rig.engine.close()
    catalogue = Catalogue.open(rig.path)
    over = [one for one in catalogue.blocks(RAW_KIND) if one.max_ms < START_MS + 4 * HOUR_MS]
    assert len(over) > 0
    assert drop_unpinned(catalogue, over, [])
    catalogue.close()
    rig.engine = rig._open()
    before = [counts(rig, place) for place in range(4)]
    span = (START_MS + 10 * MINUTE_MS + 1, START_MS + 20 * MINUTE_MS + 1)
    rig.engine.admin.delete_series(read_selectors("m0"), span)
    for _ in range(2):  # before and after the ladder has decided
        for place in range(2):
            left = {start: count for start, count in before[place].items() if start != START_MS + 15 * MINUTE_MS}
            assert counts(rig, place) == left
        for place in (2, 3):  # made of windows, which are there
            assert sum(counts(rig, place).values()) == sum(before[place].values()) - 3
        complete(rig)
    rig.engine.close()
    assert [report.differences for report in verify_tiers(rig.path)] == [()] * len(TIERS)
    rig.engine = rig._open()


def counts(rig: Rig, place: int) -> dict[int, int]:
    """Number of samples in the windows of a tier, by start."""
    batches = list(read_windows(rig.engine.snapshot(), place, WindowRequest(None, *ALWAYS)))
    pairs = [zip(one.start_ms.tolist(), one.count.tolist(), strict=True) for one in batches]
    return {start: count for pair in pairs for start, count in pair}
