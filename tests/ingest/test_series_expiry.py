"""Series expiry: what no block mentions leaves index and table, what anything mentions stays, ids are never reused."""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import Catalogue, Checkpoint
from nissa.config.tree import Ladder
from nissa.ingest import frozen_head, series_expiry
from nissa.ingest.engine import Engine
from nissa.model.receipt import Receipt
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.query.series_answers import SeriesRequest, label_values
from nissa.store.block_series import series_in
from nissa.store.read import read_samples
from nissa.store.series_merge import plan_series_drop
from nissa.store.series_table import SeriesLabels, read_series
from nissa.store.verify import verify_directory
from oracle.engine import ALWAYS, ONE, Rig, config_of, wait_until

IDLE_MINUTES = 3


class Steady(Rig):
    """A rig with a steady clock, so that retention drops blocks; without a ladder, and idle series leave quickly."""

    def __init__(self, path: Path, **changes: object) -> None:
        config = config_of(
            storage={"compaction_fan_in": 2, "scrub_interval_ms": 365 * DAY_MS},
            series={"idle_ttl_ms": IDLE_MINUTES * MINUTE_MS},
        )
        super().__init__(path, msgspec.structs.replace(config, ladder=Ladder(tiers=()), **changes))

    def _open(self) -> Engine:
        return Engine(self.path, self.config, lambda: self.now_ms, lambda: ("a boot", self.now_ms))

    def expire(self) -> None:
        """Retention and expiry have their turn, twice, and the table is merged."""
        self.look_twice()
        wait_until(lambda: not self.is_due())

    def look_twice(self) -> None:
        """All blocks are looked through twice: retention may have had its turn just before the clock was turned."""
        for _ in range(2):
            engine, looks = self.engine, self.engine.maintenance.expiry.looks
            self.now_ms += series_expiry.INTERVAL_MS
            wait_until(lambda: engine.maintenance.expiry.looks > looks)  # noqa: B023 -- called in this turn

    def is_due(self) -> bool:
        """True if half of the series of a segment are dropped."""
        writer = self.engine._opened.writer
        return any(
            2 * np.count_nonzero((writer.dropped >= one.first_series) & (writer.dropped <= one.last_series)) >= one.rows
            for one in writer.segments
        )

    def on_disk(self) -> list[int]:
        """Ids in the series table."""
        segments = self.engine._opened.catalogue.series_segments()
        return [
            one for segment in segments for piece in read_series(self.path, segment) for one in piece.series.tolist()
        ]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are looked for often, and a small index is worth renewing."""
    monkeypatch.setattr("nissa.maintenance.jobs.IDLE_S", 0.005)
    monkeypatch.setattr(series_expiry, "RENEWED_SERIES_MIN", 3)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Steady]:
    """An engine with a steady clock."""
    made = Steady(tmp_path / "data")
    yield made
    made.engine.close()


def names_in(engine: Engine) -> list[str]:
    """All metric names that are listed."""
    return label_values(engine, "__name__", SeriesRequest())


def ids_of(engine: Engine, name: str) -> list[int]:
    """Ids of the series of a metric."""
    index = engine.index
    return [one for one in index.filter(()).tolist() if dict(index.labels(one))["__name__"] == name]


def rows_of(engine: Engine) -> dict[tuple[str, int], int]:
    """(metric name, ts_ms) -> bits of all that is stored."""
    index, batch = engine.index, read_samples(engine.snapshot(), None, *ALWAYS)
    names = {one: dict(index.labels(one))["__name__"] for one in np.unique(batch.series).tolist()}
    keys = [(names[one], ts_ms) for one, ts_ms in zip(batch.series.tolist(), batch.ts_ms.tolist(), strict=True)]
    return dict(zip(keys, batch.value.view("u8").tolist(), strict=True))


class History:
    """A rig, and a model of it: samples sent and not deleted, and the owner of each id in the table."""

    def __init__(self, path: Path, seed: int) -> None:
        self.rig, self.chance = Steady(path), random.Random(seed)
        self.rows: dict[tuple[str, int], int] = {}
        self.seen: dict[str, int] = {}  # minute of the last frame
        self.owners: dict[int, str] = {}
        self.fresh = self.most_on_disk = 0

    def send(self) -> None:
        """Some known names, some new ones; some rows come late."""
        rig, chance = self.rig, self.chance
        names = chance.sample([f"m{at}" for at in range(8)], chance.randrange(3))
        names += [f"fresh{self.fresh + at}" for at in range(chance.choice([0, 3, 9]))]
        self.fresh += len(names)
        samples = [(name, rig.now_ms - chance.choice([0, 5, 3 * HOUR_MS]), ONE + chance.randrange(3)) for name in names]
        assert isinstance(rig.send(samples), Receipt)
        for name, ts_ms, bits in samples:
            self.rows[name, ts_ms] = max(bits, self.rows.get((name, ts_ms), bits))
            self.seen[name] = rig.now_ms // MINUTE_MS

    def pass_time(self) -> None:
        """Series become idle, blocks expire."""
        self.rig.now_ms += self.chance.choice([1_000, 2 * MINUTE_MS, 20 * MINUTE_MS, 2 * HOUR_MS, 7 * HOUR_MS])

    def delete(self) -> None:
        """All rows of a few names."""
        pattern = f"(m|fresh).*{self.chance.randrange(10)}"
        self.rig.engine.admin.delete_series(read_selectors(f'{{__name__=~"{pattern}"}}'), ALWAYS)
        self.rows = {key: bits for key, bits in self.rows.items() if not re.fullmatch(pattern, key[0])}

    def step(self) -> None:
        """Anything."""
        rig = self.rig
        turns = [self.send, self.send, self.send, self.pass_time, self.pass_time, self.delete]
        turns += [rig.engine.flush, rig.expire, rig.restart, rig.crash]
        self.chance.choice(turns)()

    def check(self) -> None:
        """Once all have had their turn, it is as the model says."""
        rig = self.rig
        self.rows["keeper", rig.now_ms] = ONE
        rig.keep([("keeper", rig.now_ms, ONE)])  # with a frame those that are idle are found
        rig.engine.flush()
        rig.expire()
        stored = rows_of(rig.engine)
        assert stored.items() <= self.rows.items()
        young = {key: bits for key, bits in self.rows.items() if key[1] >= rig.now_ms - 6 * HOUR_MS}
        assert young.items() <= stored.items()
        self.rows = stored
        index, blocks = rig.engine.index, rig.engine._opened.writer.blocks
        met = {one for block in blocks for one in series_in(rig.path, block).tolist()}  # deleted rows are in there too
        names = {dict(index.labels(one))["__name__"] for one in met}
        assert {name for name, _ in stored} <= names
        active = [one for one, minute in self.seen.items() if minute >= rig.now_ms // MINUTE_MS - IDLE_MINUTES - 25]
        listed = names_in(rig.engine)
        assert names <= set(listed) <= {*names, *active, "keeper"}
        assert len(index.filter(())) == len(listed)  # no series has two ids
        self.check_table(listed)

    def check_table(self, listed: list[str]) -> None:
        """Every listed series has its row; an id has one owner for ever; dropped series are deleted now or soon."""
        rig, found = self.rig, dict[int, str]()
        for segment in rig.engine._opened.catalogue.series_segments():
            for piece in read_series(rig.path, segment):
                for at, one in enumerate(piece.series.tolist()):
                    found[one] = name_of(piece, at)
        for one, name in found.items():
            assert self.owners.setdefault(one, name) == name
        assert set(rig.engine.index.filter(()).tolist()) <= set(found)
        assert len(found) <= 2 * len(listed)
        self.most_on_disk = max(self.most_on_disk, len(found))
        report = verify_directory(rig.path)
        assert (report.sound, report.orphans) == (True, ())


def name_of(labels: SeriesLabels, at: int) -> str:
    """The metric name of a series read back, of which it is the only label."""
    values = labels.values
    place = int(values.places[int(labels.starts[at])])
    return bytes(values.text[values.offsets[place] : values.offsets[place + 1]]).decode()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
def test_any_history_is_as_the_model_says(tmp_path: Path, seed: int) -> None:
    """New series, silence, seals, merges, retention, deletion, starts and kills in any order."""
    history = History(tmp_path / "data", seed)
    try:
        for turn in range(60):
            history.step()
            if turn % 6 == 5:
                history.check()
        history.rig.now_ms += 7 * HOUR_MS
        history.check()
        history.rig.now_ms += 7 * HOUR_MS
        history.check()
        assert names_in(history.rig.engine) == ["keeper"]
        assert history.most_on_disk > 10
        assert max(history.owners) > 30
        assert len(history.rig.on_disk()) <= 2
    finally:
        history.rig.engine.close()


def test_a_series_that_was_dropped_comes_back_under_a_new_id(rig: Steady) -> None:
    """A dropped series is not listed; sent again it is a new one, also beside its old row after a start."""
    rig.keep([("up", rig.now_ms, ONE), ("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    before = ids_of(rig.engine, "up")
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.expire()
    assert (names_in(rig.engine), ids_of(rig.engine, "keeper")) == (["keeper"], [1])
    rig.keep([("up", rig.now_ms, ONE)])
    assert (before, ids_of(rig.engine, "up")) == ([0], [2])
    rig.crash()
    assert names_in(rig.engine) == ["keeper", "up"]
    assert ids_of(rig.engine, "up") in ([0], [2])  # the old one where a kill came before the merge


def test_an_old_row_beside_a_new_one_is_dropped(rig: Steady, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop before the merge leaves both on disk: the later id counts, and the earlier row goes."""
    monkeypatch.setattr(frozen_head, "plan_series_drop", lambda *_: ())
    keepers = [f"m{at}" for at in range(9)]
    rig.keep([(name, rig.now_ms, ONE) for name in ("up", *keepers)])
    rig.engine.flush()
    rig.now_ms += 7 * HOUR_MS
    rig.keep([(name, rig.now_ms, ONE) for name in keepers])
    rig.engine.flush()
    rig.look_twice()
    rig.keep([("up", rig.now_ms, ONE)])
    rig.engine.flush()
    assert ids_of(rig.engine, "up") == [10]
    rig.restart()
    assert (ids_of(rig.engine, "up"), rig.on_disk()) == ([10], list(range(11)))
    rig.look_twice()
    assert rig.engine._opened.writer.dropped.tolist() == [0]
    monkeypatch.undo()
    assert plan_series_drop(rig.engine._opened.writer.segments, np.array([0], np.uint32)) == ()  # one of ten may wait


@pytest.mark.parametrize("kind", ["damaged", "unclaimed"])
def test_what_files_that_were_put_aside_mention_stays(rig: Steady, kind: str) -> None:
    """Series of a file put aside stay as long as the file is there."""
    rig.keep([("early", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("up", rig.now_ms, ONE), ("down", rig.now_ms, ONE)])
    rig.engine.flush()
    path = rig.path / rig.engine._opened.writer.blocks[-1].path
    aside = path.with_name(f"{path.name}.{kind}")
    if kind == "unclaimed":
        shutil.copy(path, aside)
    else:
        path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
        rig.engine.admin.suspect(str(path))
    wait_until(aside.exists)
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.expire()
    assert names_in(rig.engine) == ["down", "keeper", "up"]
    aside.unlink()
    rig.expire()
    assert (names_in(rig.engine), len(rig.on_disk())) == (["keeper"], 1)


def test_what_the_checkpoint_lists_as_active_stays(rig: Steady) -> None:
    """A replay behind it would count the series as new otherwise; it goes once a seal has moved the checkpoint."""
    rig.keep([("up", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.expire()
    assert (rig.engine._opened.writer.blocks, names_in(rig.engine)) == ((), ["keeper", "up"])
    rig.crash()
    assert names_in(rig.engine) == ["keeper", "up"]
    rig.engine.flush()
    rig.expire()
    assert names_in(rig.engine) == ["keeper"]


@pytest.mark.parametrize("sealed", [False, True])
def test_what_comes_while_blocks_are_looked_through_stays(rig: Steady, *, sealed: bool) -> None:
    """A row in memory, or in a block that was sealed before the engine thread had its turn, of an idle series."""
    rig.keep([("up", rig.now_ms, ONE), ("down", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    expiry, calls = rig.engine.maintenance.expiry, list[Callable[[], None]]()
    wait_until(lambda: len(rig.engine._opened.writer.blocks) == 1)  # retention had its turn
    expiry._parts = msgspec.structs.replace(expiry._parts, call=calls.append)
    rig.now_ms += series_expiry.INTERVAL_MS
    wait_until(lambda: bool(calls))
    looks = expiry.looks
    rig.keep([("up", rig.now_ms, ONE)])
    rig.now_ms += 2 * IDLE_MINUTES * MINUTE_MS
    rig.keep([("keeper", rig.now_ms, ONE)])  # finds that the other is idle
    if sealed:
        rig.engine.flush()
    rig.engine._call(calls[0])
    wait_until(lambda: expiry.looks > looks)
    assert names_in(rig.engine) == (["down", "keeper", "up"] if sealed else ["keeper", "up"])
    assert len(rows_of(rig.engine)) == 3


def test_what_is_sealed_behind_the_look_at_the_blocks_stays(rig: Steady, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle series comes back and is idle again; its block appears when all blocks there were have been looked at,
    before the checkpoint is read: the proposal is of the checkpoint before, and nothing is dropped."""
    rig.keep([("up", rig.now_ms, ONE), ("down", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    wait_until(lambda: len(rig.engine._opened.writer.blocks) == 1)  # retention had its turn
    catalogue, expiry = rig.engine._opened.catalogue, rig.engine.maintenance.expiry
    read, asked = catalogue.checkpoint, list[int]()

    def checkpoint() -> Checkpoint:
        asked.append(1)
        if len(asked) == 2:  # behind the look at the blocks
            rig.keep([("up", rig.now_ms, ONE)])
            rig.now_ms += 2 * IDLE_MINUTES * MINUTE_MS
            rig.keep([("keeper", rig.now_ms, ONE)])  # finds that the other is idle
            rig.engine.flush()
        return read()

    monkeypatch.setattr(catalogue, "checkpoint", checkpoint)
    monkeypatch.setattr(series_expiry, "AGAIN_MS", DAY_MS)
    looks = expiry.looks
    rig.now_ms += series_expiry.INTERVAL_MS
    wait_until(lambda: expiry.looks > looks)
    assert len(asked) == 2
    assert names_in(rig.engine) == ["down", "keeper", "up"]
    assert {name for name, _ in rows_of(rig.engine)} == {"keeper", "up"}
    expiry._wait_ms = 0
    rig.expire()
    assert names_in(rig.engine) == ["keeper", "up"]
    rig.crash()
    assert {name for name, _ in rows_of(rig.engine)} == {"keeper", "up"}


def test_what_a_snapshot_in_use_mentions_stays(rig: Steady) -> None:
    """Series of an open snapshot stay until it is closed, as its reader selects by the index."""
    rig.keep([("up", rig.now_ms, ONE)])
    rig.engine.flush()
    with rig.engine.snapshot() as held:
        rig.now_ms += 7 * HOUR_MS
        rig.keep([("keeper", rig.now_ms, ONE)])
        rig.engine.flush()
        rig.expire()
        assert (len(held.blocks), names_in(rig.engine)) == (1, ["keeper", "up"])
        assert read_samples(held, None, *ALWAYS).series.tolist() == ids_of(rig.engine, "up")
    rig.expire()
    assert names_in(rig.engine) == ["keeper"]


def test_who_holds_the_larger_index_still_has_all_labels(rig: Steady) -> None:
    """A question begun before finds the labels of its series; later ones ask the smaller index."""
    rig.keep([(f"m{at}", rig.now_ms, ONE) for at in range(20)])
    rig.engine.flush()
    held = rig.engine.index
    rig.now_ms += 7 * HOUR_MS
    rig.keep([("keeper", rig.now_ms, ONE)])
    rig.engine.flush()
    rig.expire()
    wait_until(lambda: rig.engine.index is not held)
    assert [dict(held.labels(one))["__name__"] for one in range(20)] == [f"m{at}" for at in range(20)]
    assert (rig.engine.index.known_count, rig.engine.index.active_count) == (1, 1)
    assert rig.engine.index.series_count == held.series_count == 21
    rig.keep([("m3", rig.now_ms, ONE), ("keeper", rig.now_ms + 1, ONE)])
    assert (ids_of(rig.engine, "m3"), ids_of(rig.engine, "keeper")) == ([21], [20])


def test_near_the_last_id_new_series_are_refused_and_the_rest_flows(rig: Steady) -> None:
    """The reason is that of the limit; known series are kept, sealed, and there after a start."""
    rig.keep([("up", rig.now_ms, ONE)])
    rig.engine.close(seal=True)
    catalogue = Catalogue.open(rig.path)
    with catalogue.transaction("checkpoint") as db:
        db.execute("UPDATE checkpoint SET series_count = ?", (2**31 - 4,))
    catalogue.close()
    rig.restart()
    names = ["up", "a", "b", "c", "d"]
    outcome = rig.send([(name, rig.now_ms + 1, ONE) for name in names])
    assert isinstance(outcome, Receipt)
    assert (outcome.samples, outcome.refused) == (3, {"series_limit": 2})
    for end in (rig.engine.flush, rig.restart, rig.crash):
        end()
        rig.now_ms += 1_000
        outcome = rig.send([(name, rig.now_ms, ONE) for name in names])
        assert isinstance(outcome, Receipt)
        assert (outcome.samples, outcome.refused) == (3, {"series_limit": 2})
        assert names_in(rig.engine) == ["a", "b", "up"]
    rig.engine.flush()
    assert {name for name, _ in rows_of(rig.engine)} == {"a", "b", "up"}
    assert rig.on_disk() == [0, 2**31 - 4, 2**31 - 3]
    assert verify_directory(rig.path).sound
