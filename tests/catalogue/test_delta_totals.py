"""Totals of counters that are sent as differences, in the catalogue."""

from pathlib import Path

import numpy as np
import pytest

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.catalogue.delta_totals import META_KEY
from nissa.model.columns import DeltaColumns, no_deltas
from nissa.model.errors import Damaged


def columns(*series: int) -> DeltaColumns:
    """A total for each series."""
    count = len(series)
    return DeltaColumns(
        np.array(series, np.uint32),
        np.full(count, 29_300_000, np.uint32),
        np.arange(count, dtype=np.int64) - 5,
        np.array([0.1 * place for place in range(count)], np.float64),
    )


def as_lists(found: DeltaColumns) -> list[list[float]]:
    return [column.tolist() for column in (found.series, found.seen_minutes, found.last_ms, found.totals)]


def test_a_seal_replaces_them(tmp_path: Path) -> None:
    """Totals of the last checkpoint are read again bit for bit; a checkpoint without totals leaves none."""
    catalogue = Catalogue.open(tmp_path)
    assert len(catalogue.delta_totals()) == 0
    for lsn, wanted in enumerate((columns(1, 7, 4_000_000_000), columns(2, 3), no_deltas()), 1):
        catalogue.commit_seal(Seal(Checkpoint(lsn), delta_totals=wanted))
        assert as_lists(catalogue.delta_totals()) == as_lists(wanted)
    catalogue.close()


@pytest.mark.parametrize("value", ["~", "AAAA", "eJwzBAAAMgAy"])
def test_damage_is_told(tmp_path: Path, value: str) -> None:
    """A value that is not of the form is damage, not totals."""
    catalogue = Catalogue.open(tmp_path)
    with catalogue.transaction("meta") as db:
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (META_KEY, value))
    with pytest.raises(Damaged, match="totals of deltas"):
        catalogue.delta_totals()
    catalogue.close()
