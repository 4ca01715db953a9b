"""Iceberg tables hold every sealed row once, over merges, retention, kills, and beside other directories."""

import contextlib
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Transaction

import nissa
from nissa.catalogue.catalogue import Catalogue
from nissa.config.sinks import IcebergSink
from nissa.config.tree import Ladder
from nissa.files.checked_file import FileSeal
from nissa.files.file_facts import BlockFacts, SeriesFacts, read_facts
from nissa.forwarders.file_mirror import MirrorResult
from nissa.forwarders.iceberg import IcebergMirror
from nissa.model.errors import Unavailable
from nissa.model.ladder import SCALARS, Tier
from nissa.model.receipt import Receipt
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.store.verify import damage_of
from oracle.engine import NOW_MS, ONE, Rig, config_of, wait_until
from oracle.log_frames import logs_frame


def sink_of(place: Path) -> IcebergSink:
    """A warehouse in a folder, with a catalogue on SQLite."""
    place.mkdir(exist_ok=True)
    return IcebergSink(str(place), {"type": "sql", "uri": f"sqlite:///{place}/catalogue.db"})


def run(rig: Rig, place: Path) -> MirrorResult:
    """One run."""
    return IcebergMirror(rig.path, sink_of(place), "sinks.lake").run(lambda: True)


def table_of(place: Path, name: str) -> pa.Table:
    """All rows of a table, as pyiceberg reads them."""
    sink = sink_of(place)
    return load_catalog("nissa", warehouse=sink.warehouse, **sink.catalog).load_table(f"nissa.{name}").scan().to_arrow()


def samples_in(place: Path) -> list[tuple[str, int]]:
    """(name, ts_ms) of every sample, by DuckDB, joined with the table of series."""
    samples, series = table_of(place, "samples"), table_of(place, "series")
    question = """
        select r.labels['__name__'], epoch_ms(s.timestamp)
        from samples s join series r using (instance, series) where s.name = r.name order by all"""
    found: list[Any] = duckdb.execute(question).fetchall()
    assert len(found) == len(samples)
    assert len(series) == len(set(zip(*(series[name].to_pylist() for name in ("instance", "series")), strict=True)))
    return found


def keep(rig: Rig, minute: int, count: int = 20) -> None:
    """Samples of a minute, sealed."""
    rig.keep([(f"m{number}", NOW_MS + minute * 60_000, ONE) for number in range(count)])
    rig.now_ms += 60_000
    rig.engine.flush()


@pytest.mark.long
def test_tables_have_what_is_sealed(tmp_path: Path) -> None:
    """Samples, events and series, once, while blocks are merged between runs; a run without news commits nothing."""
    rig, place = Rig(tmp_path / "d"), tmp_path / "lake"
    for minute in range(20):
        keep(rig, minute)
        if minute % 3 == 0:
            assert isinstance(rig.submit_frame(logs_frame(["order"])).get(timeout=60), Receipt)
            rig.engine.flush()
            run(rig, place)
            assert samples_in(place) == sorted(rig.rows)
    found = run(rig, place)
    assert samples_in(place) == sorted(rig.rows)
    assert run(rig, place) == MirrorResult(damaged=found.damaged)
    events = table_of(place, "events")
    assert len(events) == 7
    assert events["level"].to_pylist()[0] in ("info", "unspecified")
    assert dict(events["attributes"].to_pylist()[0]) is not None
    rig.engine.close()


def test_windows_are_those_that_nissa_answers(tmp_path: Path) -> None:
    """Each tier, the last row of each window, after late samples too: the numbers as ``nissa.open`` gives them."""
    tiers = (Tier(MINUTE_MS, DAY_MS, SCALARS), Tier(5 * MINUTE_MS, 7 * DAY_MS), Tier(HOUR_MS, 365 * DAY_MS))
    config = config_of(acceptance={"past_ms": 365 * DAY_MS, "future_ms": DAY_MS})
    rig, place = (
        Rig(tmp_path / "d", msgspec.structs.replace(config, ladder=Ladder(tiers, DAY_MS, 0))),
        tmp_path / "lake",
    )
    rig.now_ms = start_ms = NOW_MS // DAY_MS * DAY_MS
    for hour in range(3):
        for minute in (*range(0, 60, 3), 61):  # the last one is late for the hour that comes
            at = start_ms + hour * HOUR_MS + minute * MINUTE_MS
            rig.keep([(f"m{number}", at + number, ONE + (number << 40) + minute) for number in range(3)])
        rig.now_ms = start_ms + (hour + 1) * HOUR_MS + MINUTE_MS
        rig.engine.flush()
        written_ms = start_ms + (hour + 1) * HOUR_MS

        def is_written(written_ms: int = written_ms) -> bool:
            with closing(Catalogue.open(rig.path, readonly=True)) as catalogue:
                found = catalogue.tiers()
                return bool(found) and found[0].written_until_ms >= written_ms

        wait_until(is_written)
        run(rig, place)
    rig.engine.close()
    run(rig, place)
    windows = table_of(place, "windows")  # noqa: F841 -- DuckDB finds it by its name
    numbers = ("count", "sum", "min", "max", "first", "last")
    found = duckdb.execute(
        f"select tier, name, epoch_ms(start), {', '.join(map(repr_of, numbers))} from windows "
        "qualify row_number() over (partition by tier, series, start order by block desc) = 1"
    ).fetchall()
    assert {row[0] for row in found} >= {"1m", "5m"}
    answered = {}
    with nissa.open(rig.path) as data:
        for tier in {row[0] for row in found}:
            table = data.samples('{__name__=~"m.*"}', start=0, end=NOW_MS / 500, resolution=tier)
            for row in table.to_pylist():
                at = round(row["timestamp"].timestamp() * 1000)
                answered[tier, row["name"], at] = tuple(row[name] for name in numbers)
    assert {row[:3]: row[3:] for row in found} == {key: answered[key] for key in (row[:3] for row in found)}


def repr_of(name: str) -> str:
    """A column by name, where some are words of SQL."""
    return f'"{name}"'


@pytest.mark.long
def test_a_run_that_is_cut_off_has_committed_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each commit and behind it: the next run goes on, and no row is there twice."""
    rig, place = Rig(tmp_path / "d"), tmp_path / "lake"
    commit = Transaction.commit_transaction

    class Cut(BaseException):
        pass

    for step in range(12):
        keep(rig, step, count=5 + step)
        left = [step % 6]

        def cut(change: Transaction, left: list[int] = left, before: int = step % 2) -> Any:
            left[0] -= 1
            if left[0] == 0 and before:
                raise Cut
            done = commit(change)
            if left[0] == 0:
                raise Cut
            return done

        monkeypatch.setattr(Transaction, "commit_transaction", cut)
        with contextlib.suppress(Cut):
            run(rig, place)
        monkeypatch.setattr(Transaction, "commit_transaction", commit)
        if step % 3 == 2:
            run(rig, place)
            assert samples_in(place) == sorted(rig.rows)
    rig.engine.close()


@pytest.mark.long
def test_directories_share_tables(tmp_path: Path) -> None:
    """Rows of each have its instance; a merge of one leaves the other alone."""
    rigs, place = [Rig(tmp_path / name) for name in ("a", "b")], tmp_path / "lake"
    for minute in range(10):
        for rig in rigs:
            keep(rig, minute, 3)
            run(rig, place)
    table = table_of(place, "samples")
    assert len(table) == sum(len(rig.rows) for rig in rigs)
    assert len(set(table["instance"].to_pylist())) == 2
    for rig in rigs:
        rig.engine.close()


def test_a_block_that_goes_while_it_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is merged or expired between the list and its footer is asked of the catalogue again."""
    rig, place = Rig(tmp_path / "d"), tmp_path / "lake"
    keep(rig, 0)
    calls: list[str] = []

    def facts(path: Path) -> BlockFacts | SeriesFacts | None:
        calls.append("facts")
        if calls.count("facts") == 1:
            path.rename(path.with_suffix(".gone"))
        return read_facts(path)

    def damage(directory: Path, path: str, seal: FileSeal) -> str:
        calls.append("damage")
        aside = (directory / path).with_suffix(".gone")
        if aside.exists():
            aside.rename(directory / path)
        return damage_of(directory, path, seal)

    monkeypatch.setattr("nissa.forwarders.iceberg.read_facts", facts)
    monkeypatch.setattr("nissa.forwarders.iceberg.damage_of", damage)
    run(rig, place)
    assert calls == ["damage", "facts", "damage", "facts"]
    assert samples_in(place) == sorted(rig.rows)
    rig.engine.close()


def test_damage_is_left_out_and_expired_rows_stay(tmp_path: Path) -> None:
    """A damaged block is not committed and is counted; rows of a block that retention drops stay."""
    rig, place = Rig(tmp_path / "d"), tmp_path / "lake"
    keep(rig, 0)
    run(rig, place)
    keep(rig, 1)
    rig.engine.close()
    second = max((rig.path / "blocks").glob("raw-*"))
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 1
    second.write_bytes(content)
    assert run(rig, place).damaged == 1
    assert len(table_of(place, "samples")) == 20
    content[len(content) // 2] ^= 1
    second.write_bytes(content)
    assert run(rig, place).files >= 1
    assert len(table_of(place, "samples")) == 40


def test_a_catalogue_that_fails_is_unavailable(tmp_path: Path) -> None:
    """With the path of the sink; the next run goes on."""
    rig, place = Rig(tmp_path / "d"), tmp_path / "lake"
    keep(rig, 0)
    sink = IcebergSink(str(place), {"type": "sql", "uri": f"sqlite:///{tmp_path}/none/catalogue.db"})
    mirror = IcebergMirror(rig.path, sink, "sinks.lake")
    with pytest.raises(Unavailable, match=r"sinks\.lake: .*unable to open database file"):
        mirror.run(lambda: True)
    (tmp_path / "none").mkdir()
    assert mirror.run(lambda: True).files == 1
    rig.engine.close()
