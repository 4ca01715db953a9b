"""The sink iceberg of a daemon that is killed, and its catalogue too: pyiceberg and DuckDB read what Nissa answers,
every sample once."""

import json
import random
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from journeys.iceberg_catalogues import catalogue
from journeys.rig import BUSY, Daemon, Export, Ledger, Senders, nissa_command, running
from pyiceberg.catalog import load_catalog

KILLS = 3
WAIT_S = 180  # a sink whose catalogue did not answer tries again after 30 s
SAMPLES = """
    select r.labels, epoch_ms(s.timestamp) as ts_ms, s.value
    from samples s join series r using (instance, series) where s.name = 'ledger_value'"""


def wait_copied(daemon: Daemon) -> None:
    """Two runs of the sink after everything is sealed, so that one began after it."""
    daemon.wait_sealed()
    seen: set[int] = set()
    for _ in range(WAIT_S * 10):
        found = daemon.get("/api/status")["sinks"]["lake"]
        assert found["damaged_files"] == 0
        seen.add(found["last_sent_ms"] or 0)
        if len(seen) > 3:
            return
        time.sleep(0.1)
    raise AssertionError(daemon.get("/api/status")["sinks"])


@pytest.mark.slow
@pytest.mark.timeout(600)  # artifacts are fetched
@pytest.mark.parametrize("kind", ["sql", "rest"])
def test_tables_have_what_nissa_answers(tmp_path: Path, kind: str) -> None:
    """After kills of Nissa and of the catalogue at any moment, samples bit for bit."""
    ledger, draw, lake = Ledger(31), random.Random(31), tmp_path / "lake"
    with catalogue(kind, lake) as place:
        sink = {"type": "iceberg", "warehouse": str(lake), "catalog": place.properties, "interval": "1s"}
        (tmp_path / "nissa.yaml").write_text(json.dumps({"sinks": {"lake": sink}}))
        arguments = ("--config", str(tmp_path / "nissa.yaml"))
        for number in range(KILLS):
            with running(tmp_path / "data", *arguments, environment=BUSY) as daemon:
                senders = Senders(daemon, ledger, 1)
                time.sleep(draw.uniform(1.5, 4))
                if number:  # while a commit is under way, or not
                    place.kill()
                    time.sleep(draw.uniform(0, 1))
                daemon.kill()
                senders.stop()
            if number:
                place.start()
        with running(tmp_path / "data", *arguments, environment=BUSY) as daemon:
            senders = Senders(daemon, ledger, 1)
            time.sleep(draw.uniform(1.5, 4))
            place.kill()
            senders.stop()
            place.start()
            wait_copied(daemon)
            stored = daemon.export()
            ledger.check(stored)
            assert daemon.stop() == 0
        check_tables(stored, lake, place.properties)
    assert b"ok: " in nissa_command("verify", tmp_path / "data")


def check_tables(stored: Export, lake: Path, properties: dict[str, Any]) -> None:
    """The tables have these samples, each once, and their series."""
    tables = load_catalog("nissa", warehouse=str(lake), **properties)
    samples, series = (tables.load_table(f"nissa.{name}").scan().to_arrow() for name in ("samples", "series"))
    assert isinstance(samples, pa.Table)
    found = duckdb.execute(SAMPLES).fetchall()
    keys = [(tuple(sorted(labels.items())), ts_ms) for labels, ts_ms, _ in found]
    assert len(keys) == len(set(keys))
    expected = {(labels, ts_ms) for labels, rows in stored.items() for ts_ms in rows}
    assert set(keys) == expected
    values = {(labels, ts_ms): bits for labels, rows in stored.items() for ts_ms, bits in rows.items()}
    bits = pa.array([value for *_, value in found], pa.float64()).view(pa.uint64()).to_pylist()
    assert all(values[key] == one for key, one in zip(keys, bits, strict=True))
    assert len(series) >= len(stored)
