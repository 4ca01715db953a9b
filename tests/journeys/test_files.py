"""Parquet files of a running daemon, read without Nissa: whole under their names, every row once by the manifest."""

from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
from journeys.rig import BUSY, Ledger, Senders, running

import nissa
from nissa.catalogue.manifest import read_manifest

SETTINGS = {**BUSY, "NISSA_STORAGE__SEAL_INTERVAL": "100ms"}
BLOCKS_MERGED = 9


def samples_of(directory: Path) -> set[tuple[int, int]]:
    """(series, time) of every sealed sample, by the manifest; again where a file was merged meanwhile."""
    while True:
        paths = [directory / one.path for one in read_manifest(directory).files if one.kind == "raw"]
        try:
            tables = [pq.read_table(path, columns=["series", "ts_ms"]) for path in paths]
        except FileNotFoundError:
            continue
        keys = [key for table in tables for key in zip(*(column.to_pylist() for column in table.columns), strict=True)]
        assert len(keys) == len(set(keys)), "a row is there twice"
        return set(keys)


def test_files_are_whole_and_the_manifest_has_every_row_once(tmp_path: Path) -> None:
    """While the daemon seals and merges: no file is met in part, no row twice; in the end none is missing."""
    ledger, directory = Ledger(11), tmp_path / "data"
    with running(directory, environment=SETTINGS) as daemon:
        senders = Senders(daemon, ledger)
        gone: set[str] = set()
        seen: set[str] = set()
        while len(gone) < BLOCKS_MERGED:
            for path in (directory / "blocks").glob("*.parquet"):
                seen.add(path.name)
                with suppress(FileNotFoundError):  # merged meanwhile
                    pq.ParquetFile(path).close()
            samples_of(directory)
            gone = {name for name in seen if name.startswith("raw") and not (directory / "blocks" / name).exists()}
        senders.stop()
        daemon.wait_sealed()
        owed = {(labels, ts_ms) for claim in ledger.acknowledged for labels, ts_ms, _ in ledger.samples(claim)}
        assert len(samples_of(directory)) >= len(owed)
        assert daemon.stop() == 0
    with nissa.open(directory) as data:
        times = {int(at) for path in data.files("raw") for at in pq.read_table(path)["ts_ms"].to_numpy()}
    assert {ts_ms for _, ts_ms in owed} <= times
    assert not list((directory / "blocks").glob("*.unfinished"))
