"""A rebuilt catalogue: after any history, queries have the same answers as before it was lost."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from ingest.test_deletion import ALWAYS, NAMES, SERIES, START_MS, TIERS, DeletionRig, complete, random_rows
from ingest.test_engine_events import event_frame

from nissa.catalogue.catalogue import Catalogue, TierRow
from nissa.files.names import own_files
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter
from nissa.ingest.rebuild import Rebuilt, rebuild_directory
from nissa.ingest.recover import read_directory
from nissa.ingest.restored_series import LOST_NAME
from nissa.maintenance.retention import Rules, expired_blocks, horizons, oldest_unfolded
from nissa.model.errors import BadQuery, DirectoryLocked
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.query.events import EventRequest, read_page
from nissa.rollup.read import WindowRequest, read_windows
from nissa.store.event_runs import EventSnapshot
from nissa.store.pins import add_pin, drop_unpinned, read_pins
from nissa.store.read import Snapshot
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, ONE, Rig, rows_in

LATE_MAX_MS = 4 * HOUR_MS + 2 * MINUTE_MS  # of ``random_rows``
Everything = tuple[dict[tuple[str, int], int], list[str], dict[tuple[int, int, int], Any]]


def everything(path: Path) -> Everything:
    """Samples, events and windows of all tiers, as a reader without the lock has them."""
    read = read_directory(path)
    known = {row.tier.name: row for row in read.tiers}
    tiers = tuple(known.get(tier.name, TierRow(tier)) for tier in TIERS)
    heads = tuple(read.pipeline.head.snapshot())
    snapshot = Snapshot(path, read.blocks, heads, tiers, read.missing, tombstones=read.tombstones, expired=read.expired)
    windows: dict[tuple[int, int, int], Any] = {}
    for place in range(len(TIERS)):
        for batch in read_windows(snapshot, place, WindowRequest(None, *ALWAYS)):
            for at, key in enumerate(zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True)):
                columns = [getattr(batch, name)[at].tobytes() for name in NAMES]
                first, end = (0, 0) if batch.sketch is None else batch.sketch.offsets[at : at + 2]
                sketch = b"" if batch.sketch is None else batch.sketch.data[first:end].tobytes()
                windows[place, *key] = (columns, sketch)
    events = EventSnapshot(path, read.blocks, tuple(read.pipeline.head.events_snapshot()), read.missing)
    page = read_page(events, EventRequest(limit=10_000))
    return rows_in(snapshot, read.pipeline.index), [row["description"] for row in page.events], windows


def lose(path: Path, chance: random.Random) -> None:
    """The catalogue is missing, of 0 bytes, cut short, or nonsense."""
    catalogue = path / "catalogue.sqlite"
    content = catalogue.read_bytes()
    for one in path.glob("catalogue.sqlite*"):
        one.unlink()
    how = chance.randrange(4)
    if how:
        catalogue.write_bytes((b"", content[: len(content) // 2], b"\xff" * 4096)[how - 1])


def break_table(path: Path, table: str, change: str) -> None:
    """Change a table from outside, so that it no longer matches its digest."""
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as db:
        db.execute(f"UPDATE {table} SET {change}")
        db.commit()


def rebuilt(rig: Rig, **options: bool) -> Rebuilt:
    """The directory of a rig that is closed, made again and verified."""
    made = rebuild_directory(rig.path, lambda: rig.now_ms, **options)
    report = verify_directory(rig.path)
    assert report.catalogue == ()
    assert [file for file in report.files if file.damage] == []
    return made


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(4))
def test_any_history_is_answered_again(tmp_path: Path, seed: int) -> None:
    """Seals, merges, late samples, the ladder, deletions, expiries, kills; then the catalogue is lost, three times."""
    chance = random.Random(seed)
    rig = DeletionRig(tmp_path / "data")
    try:
        for _ in range(3):
            live_through(rig, chance)
            before = everything_closed(rig)
            if chance.random() < 0.3 or pending(rig.path):
                break_table(rig.path, "block", "max_ms = max_ms + 1")
                made = rebuilt(rig)
                assert "pins" not in made.lost
            else:
                lose(rig.path, chance)
                made = rebuilt(rig)
                assert "pins" in made.lost
            assert (made.damaged, made.missing, made.lost_series) == ({}, [], 0)
            assert everything(rig.path) == before, f"seed {seed}"
            rig.engine = rig._open()
            rig.check_rows()
            assert all(tally.unaccounted == 0 for tally in rig.engine.accounting().values())
    finally:
        rig.engine.close()


def test_windows_computed_again_after_a_deletion_stay(tmp_path: Path) -> None:
    """The deletion waits still when the catalogue is lost: it has been applied to them, and is not applied again."""
    rig = DeletionRig(tmp_path / "data")
    try:
        for minute in range(0, 960, 20):
            rig.now_ms = START_MS + minute * MINUTE_MS
            rig.keep([(name, rig.now_ms, ONE) for name in SERIES])
        complete(rig)
        start_ms = START_MS + HOUR_MS + 20 * MINUTE_MS
        rig.delete(list(SERIES[:2]), start_ms, start_ms + 10 * MINUTE_MS)
        complete(rig)
        before = everything_closed(rig)
        assert pending(rig.path) == 1
        assert any(block.tombstone for block in read_directory(rig.path).blocks)
        break_table(rig.path, "block", "max_ms = max_ms + 1")
        rebuilt(rig)
        assert pending(rig.path) == 1
        assert everything(rig.path) == before
        rig.engine = rig._open()
        rig.check_windows()
    finally:
        rig.engine.close()


def live_through(rig: DeletionRig, chance: random.Random) -> None:
    """A dozen turns."""
    for _ in range(12):
        rig.now_ms += chance.choice((1_000, MINUTE_MS, 11 * MINUTE_MS, 70 * MINUTE_MS))
        rig.keep(random_rows(chance, rig.now_ms, chance.random() < 0.3))
        frame = msgspec.structs.replace(event_frame(chance.randrange(1_000)), received_ms=rig.now_ms)
        rig.submit_frame(frame).get(timeout=60)
        act = chance.randrange(7)
        if act == 0:
            start_ms = rig.now_ms - chance.choice((MINUTE_MS, HOUR_MS))
            rig.delete(chance.sample(SERIES, 2), start_ms, start_ms + 10 * MINUTE_MS)
        elif act in (1, 2):
            rig.engine.flush()
        elif act == 3:
            complete(rig)
        elif act == 4:
            rig.restart()
        elif act == 5:
            rig.crash()
        else:
            expire(rig)


def expire(rig: DeletionRig) -> None:
    """Retention drops what it may, sooner than the settings say: samples after 5 h, fine windows after 6, events after
    8."""
    complete(rig)
    rig.engine.close()
    catalogue = Catalogue.open(rig.path)
    retention_ms = {"1m": 6 * HOUR_MS, "5m": 6 * HOUR_MS}
    tiers = []
    for row in catalogue.tiers():
        tier = msgspec.structs.replace(row.tier, retention_ms=retention_ms.get(row.tier.name, row.tier.retention_ms))
        tiers.append(msgspec.structs.replace(row, tier=tier))
    blocks = catalogue.blocks()
    rules = Rules(5 * HOUR_MS, 8 * HOUR_MS, LATE_MAX_MS, has_ladder=True)
    reach = horizons(rig.now_ms, rules, tiers, (), oldest_unfolded(blocks, tiers, None))
    over = expired_blocks(blocks, rig.now_ms, reach, ())
    before = everything(rig.path)[0]
    assert drop_unpinned(catalogue, over, [])
    catalogue.close()
    for block in over:
        (rig.path / block.path).unlink()
    left = everything(rig.path)[0]
    for key in before.keys() - left.keys():
        del rig.rows[key]
    rig.engine = rig._open()


def everything_closed(rig: Rig) -> Everything:
    """Everything, with the engine closed."""
    rig.engine.close()
    return everything(rig.path)


def pending(path: Path) -> int:
    """Deletions that merges have not carried out."""
    return len(read_directory(path).tombstones)


def filled(rig: Rig, seals: int = 4) -> None:
    """Fill a rig with ``seals`` blocks, each with a series of its own, and a frame in the journal."""
    for turn in range(seals):
        rig.keep([(f"m{turn}", NOW_MS + turn, ONE), ("m", NOW_MS + turn, turn)])
        rig.engine.flush()
    rig.keep([("m", NOW_MS + seals, ONE)])
    rig.engine.close()


def blocks_of(path: Path) -> list[Path]:
    """Raw blocks on disk."""
    return sorted((path / "blocks").glob("raw-*.parquet"))


def test_a_good_catalogue_is_not_touched(rig: Rig) -> None:
    """Refused while a daemon has the directory, and without ``replace``; with it the old one is put aside whole."""
    with pytest.raises(DirectoryLocked):
        rebuild_directory(rig.path, lambda: NOW_MS, replace=True)
    filled(rig)
    catalogue = Catalogue.open(rig.path)
    add_pin(catalogue, "incident", 0, 9, NOW_MS)
    catalogue.close()
    good = (rig.path / "catalogue.sqlite").read_bytes()
    with pytest.raises(BadQuery, match="--replace"):
        rebuild_directory(rig.path, lambda: NOW_MS)
    assert (rig.path / "catalogue.sqlite").read_bytes() == good
    assert rebuilt(rig, replace=True).aside == "catalogue.sqlite.replaced"
    made = rebuilt(rig, replace=True)
    assert (made.aside, made.lost) == ("catalogue.sqlite.replaced.1", [])
    assert (rig.path / "catalogue.sqlite.replaced").read_bytes() == good
    catalogue = Catalogue.open(rig.path)
    assert [pin.name for pin in read_pins(catalogue)] == ["incident"]
    catalogue.close()
    rig.engine = rig._open()
    rig.check()


def test_nothing_to_make_one_of(tmp_path: Path) -> None:
    """An empty directory is refused, and stays empty but for its lock."""
    with pytest.raises(BadQuery, match="no blocks"):
        rebuild_directory(tmp_path, lambda: NOW_MS)
    assert [path.name for path in tmp_path.iterdir()] == ["LOCK"]


def test_blocks_and_series_alone(rig: Rig) -> None:
    """Without journal, settings and catalogue: what stands in blocks is there, and senders go on with their series."""
    filled(rig)
    del rig.rows["m", NOW_MS + 4]  # it was in the journal
    alone = rig.path.with_name("alone")
    for room in ("blocks", "series"):
        shutil.copytree(rig.path / room, alone / room)
    rig.path = alone
    made = rebuilt(rig)
    assert (made.blocks, made.series, made.checkpoint_lsn) == (4, 5, 4)
    rig.engine = rig._open()
    rig.check_rows()
    rig.keep([("m0", NOW_MS + 50, ONE)])
    assert rig.engine.index.series_count == 5  # known by the new key
    rig.restart()
    rig.check_rows()


def test_numbers_are_not_given_out_twice(rig: Rig) -> None:
    """Numbers of blocks that were merged away, known from the blocks they went into, are not used for other files."""
    filled(rig, 1)
    lose(rig.path, random.Random(1))
    made = rebuilt(rig)
    rig.engine = rig._open()
    rig.engine.flush()
    assert min(int(path.stem[-20:]) for path in blocks_of(rig.path)[1:]) > 1_000
    assert made.lost_series == 0
    rig.check_rows()


def test_a_seal_that_a_crash_cut_short_is_replayed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the last seal only the samples were written: its events come from the journal, and no sample counts twice."""
    filled(rig)
    rig.engine = rig._open()
    rig.submit_frame(event_frame(1)).get(timeout=60)
    rig.keep([("new", NOW_MS + 9, ONE)])

    def dies(self: FrozenHeadWriter, generation: FrozenHead) -> None:
        sealed = self._write_files(generation)
        for block in sealed.blocks:
            if block.kind == "events":
                (rig.path / block.path).unlink()
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(FrozenHeadWriter, "write", dies)
        rig.engine.close()
        with pytest.raises(OSError, match="killed"):
            seal_outside(rig)
    lose(rig.path, random.Random(2))
    (rig.path / "manifest.json").unlink()
    made = rebuilt(rig)
    assert "the journal gives its frames back" in made.left_out.values()
    rig.engine = rig._open()
    rig.check_rows()
    assert everything_closed(rig)[1] == ["1"]
    rig.engine = rig._open()


def seal_outside(rig: Rig) -> None:
    """Write what the journal holds, as a start does that replays a lot."""
    from nissa.ingest.recover import replay_directory, tail_behind
    from nissa.journal.recovery import RecoveryReport

    catalogue, report = Catalogue.open(rig.path), RecoveryReport()
    writer = FrozenHeadWriter(rig.path, catalogue, lambda: rig.now_ms)
    try:
        pipeline = replay_directory(rig.path, catalogue, rig.config, report, writer)
        writer.write(FrozenHead(pipeline, tail_behind(report, catalogue.checkpoint()).next_lsn - 1))
    finally:
        catalogue.close()


def copy_blocks(blocks: Path, kept: Path) -> None:
    """Copy all finished files but those that a merge deletes meanwhile."""
    kept.mkdir(exist_ok=True)
    for file in blocks.glob("*.parquet"):
        with suppress(FileNotFoundError):
            shutil.copy(file, kept)


def test_what_a_merge_left_behind_counts_once(rig: Rig) -> None:
    """Sources of a merge that lie beside it again, as after a crash or in a copy, are left out, events too."""
    rig.config = msgspec.structs.replace(
        rig.config, storage=msgspec.structs.replace(rig.config.storage, compaction_fan_in=2)
    )
    rig.restart()
    kept = rig.path.with_name("kept")
    for turn in range(4):
        rig.submit_frame(event_frame(turn)).get(timeout=60)
        rig.keep([("m", NOW_MS + turn, turn)])
        rig.engine.flush()
        copy_blocks(rig.path / "blocks", kept)
    before = everything_closed(rig)
    assert len(before[1]) == 4
    shutil.copytree(kept, rig.path / "blocks", dirs_exist_ok=True)
    lose(rig.path, random.Random(3))
    (rig.path / "manifest.json").unlink()
    made = rebuilt(rig)
    assert any(why.startswith("its rows are in blocks/") for why in made.left_out.values())
    assert everything(rig.path) == before
    rig.engine = rig._open()
    assert everything_closed(rig) == before
    assert not set(made.left_out) & set(own_files(rig.path))  # garbage to the start
    rig.engine = rig._open()


def test_labels_that_stand_nowhere(rig: Rig) -> None:
    """Samples of lost series are answered under their ids; frames of the journal bring the series as new ones."""
    filled(rig)
    (first, *_) = sorted(rig.path.glob("series/*"))
    for path in rig.path.glob(f"*/{first.name}"):
        path.unlink()
    lose(rig.path, random.Random(4))
    made = rebuild_directory(rig.path, lambda: rig.now_ms)
    assert made.lost_series == 2  # m0 and m
    assert verify_directory(rig.path).sound
    rig.engine = rig._open()
    index = rig.engine.index
    names = [dict(index.labels(at))["__name__"] for at in range(index.series_count)]
    assert names == [LOST_NAME, LOST_NAME, "m1", "m2", "m3", "m"]
    batch = rig.engine.snapshot().heads[0]
    assert (batch.series.tolist(), batch.ts_ms.tolist()) == ([5], [NOW_MS + 4])


def test_damaged_and_missing_blocks_are_in_quarantine(rig: Rig) -> None:
    """Unreadable blocks are put aside, blocks missing from the disk are named, and the rest is served."""
    filled(rig)
    first, second, third, _ = blocks_of(rig.path)
    data = bytearray(first.read_bytes())
    data[40] ^= 1
    first.write_bytes(data)
    second.unlink()
    third.write_bytes(b"PAR1")
    lose(rig.path, random.Random(5))
    made = rebuild_directory(rig.path, lambda: rig.now_ms)
    assert set(made.damaged) == {f"blocks/{first.name}", f"blocks/{third.name}"}
    assert made.missing == [f"blocks/{second.name}"]
    for one in (first, third):
        assert one.with_name(one.name + ".damaged").exists()
    read = read_directory(rig.path)
    assert sorted(row.rows for row in read.missing) == [2, 2, 2]
    rig.engine = rig._open()
    assert len(rig.engine.snapshot().missing) == 3


def test_files_that_a_start_put_aside_are_taken_back(rig: Rig) -> None:
    """An older catalogue in place of the right one: the start keeps newer files, and a rebuild has them again."""
    filled(rig, 2)
    older = (rig.path / "catalogue.sqlite").read_bytes()
    rig.engine = rig._open()
    for turn in range(2, 4):
        rig.keep([(f"m{turn}", NOW_MS + turn, ONE)])
        rig.engine.flush()
    rig.engine.close()
    (rig.path / "catalogue.sqlite").write_bytes(older)
    shutil.rmtree(rig.path / "journal")
    rig.engine = rig._open()
    rig.engine.close()
    assert list(rig.path.glob("blocks/*.unclaimed"))
    made = rebuilt(rig, replace=True)
    assert made.claimed
    assert not list(rig.path.glob("*/*.unclaimed"))
    rig.engine = rig._open()
    rig.check_rows()


def test_a_directory_of_an_earlier_build(tmp_path: Path) -> None:
    """Files that say nothing of their frames are counted by their rows, and named."""
    golden = Path(__file__).parents[1] / "goldens" / "directory-3"
    path = tmp_path / "data"
    shutil.copytree(golden, path)
    before = read_directory(path)
    rows = sum(block.rows for block in before.blocks)
    (path / "catalogue.sqlite").unlink()
    made = rebuild_directory(path, lambda: NOW_MS)
    assert (made.rows, len(made.silent)) == (rows, 5)
    assert verify_directory(path).catalogue == ()
    assert [row.tier.name for row in read_directory(path).tiers] == ["1m", "5m"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A rig whose engine may have been closed already."""
    rig = Rig(tmp_path / "data")
    yield rig
    if hasattr(rig, "engine"):
        rig.engine.close()


def test_seen_series_are_active(rig: Rig) -> None:
    """All series count as seen when the newest block was made, so none leaves the table at once."""
    filled(rig)
    lose(rig.path, random.Random(6))
    rebuilt(rig)
    rig.engine = rig._open()
    assert rig.engine.status().facts()["series"]["active"] == 5
    assert np.all(rig.engine.index.series_count == 5)
