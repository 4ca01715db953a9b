"""Dedup keys in the catalogue: read as written, only those still held, and damage is reported."""

import random
from pathlib import Path

import numpy as np
import pytest

from nissa.catalogue import dedup_keys
from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.catalogue.dedup_keys import DedupKeys
from nissa.model.columns import DedupKeyColumns
from nissa.model.errors import Damaged
from nissa.store.verify import verify_directory


def columns_of(rng: random.Random, count: int, lsn: int) -> DedupKeyColumns:
    """Some entries from an LSN on."""
    keys = np.array([[rng.getrandbits(64) for _ in range(2)] for _ in range(count)], np.uint64).reshape(count, 2)
    steps = np.array([rng.randrange(3) for _ in range(count)], np.uint64)
    return DedupKeyColumns(
        keys, lsn + np.cumsum(steps, dtype=np.uint64), np.sort(rng.choices(range(-5, 10**6), k=count))
    )


def rows_of(columns: DedupKeyColumns | None) -> list[tuple[object, ...]]:
    """Entries as tuples."""
    if columns is None:
        return []
    return list(zip(columns.keys.tolist(), columns.lsns.tolist(), columns.stored_ms.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_held_is_read_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Seal after seal: the last entries held of each kind, the clock, and no rows that hold none of them."""
    monkeypatch.setattr(dedup_keys, "ROW_ENTRIES_MAX", 7)
    rng = random.Random(seed)
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.dedup_keys() == DedupKeys()
    every: dict[str, list[tuple[object, ...]]] = {"event": [], "alert": []}
    lsn = 1
    for turn in range(12):
        added = {kind: columns_of(rng, rng.randrange(20), lsn) for kind in every}
        for kind, rows in every.items():
            rows += rows_of(added[kind])
        held = {kind: rng.randrange(min(len(rows), 30) + 1) for kind, rows in every.items()}
        for kind, count in held.items():
            every[kind] = every[kind][len(every[kind]) - count :]
        catalogue.commit_seal(Seal(Checkpoint(turn + 1), dedup_keys=DedupKeys(turn, turn or None, held, added)))
        lsn += 100
        catalogue.close()
        catalogue = Catalogue.open(tmp_path)
        found = catalogue.dedup_keys()
        assert (found.frame_ms, found.last_frame_ms, found.held, found.damages) == (turn, turn or None, held, ())
        assert {kind: rows_of(found.entries.get(kind)) for kind in every} == every
        stored = catalogue.select("SELECT kind, sum(entries) FROM claim GROUP BY kind")
        assert all(count < held[kind] + 7 for kind, count in stored)
    catalogue.close()


def test_damage_costs_what_it_hit(tmp_path: Path) -> None:
    """A row that is not as it was written is left out and reported, by ``verify`` too; the others are read."""
    rng = random.Random(1)
    catalogue = Catalogue.open(tmp_path)
    parts = [columns_of(rng, 5, 100 * turn + 1) for turn in range(3)]
    for turn, part in enumerate(parts):
        catalogue.commit_seal(
            Seal(Checkpoint(turn + 1), dedup_keys=DedupKeys(0, None, {"event": 5 * turn + 4}, {"event": part}))
        )
    assert verify_directory(tmp_path).sound
    with catalogue.transaction() as db:
        db.execute("UPDATE claim SET content = zeroblob(90) WHERE id = 2")
    found = catalogue.dedup_keys()
    assert rows_of(found.entries["event"]) == rows_of(parts[0])[1:] + rows_of(parts[2])
    assert len(found.damages) == 1
    assert "5 packets" in found.damages[0]
    assert verify_directory(tmp_path).catalogue == found.damages
    with catalogue.transaction("meta") as db:
        db.execute("UPDATE meta SET value = 'nonsense' WHERE key = 'claims'")
    with pytest.raises(Damaged, match="dedup keys cannot be read"):
        catalogue.dedup_keys()
    catalogue.close()
