"""Administration of a running engine: deletion of rows wherever they are, and requests that ask a closed engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nissa.model.allowance import no_check
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.selector import read_selectors
from oracle.engine import NOW_MS, ONE, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine with one row of each of two series in memory."""
    rig = Rig(tmp_path / "data")
    rig.keep([("up", NOW_MS, ONE), ("down", NOW_MS, ONE)])
    yield rig
    rig.engine.close()


def test_rows_in_memory_are_sealed_and_deleted(rig: Rig) -> None:
    """Rows of the head go into a block first; only the selected ones are gone."""
    seals = rig.engine.status().seal.count
    assert rig.engine.admin.delete_series(read_selectors("up"), (NOW_MS, NOW_MS + 1), no_check) is not None
    assert rig.engine.status().seal.count == seals + 1
    del rig.rows["up", NOW_MS]
    rig.check_rows()


def test_rows_outside_of_the_range_stay(rig: Rig) -> None:
    """A range without rows of the series seals nothing; one that ends before it begins is refused."""
    seals = rig.engine.status().seal.count
    assert rig.engine.admin.delete_series(read_selectors("up"), (NOW_MS + 1, NOW_MS + 2)) is None
    assert rig.engine.status().seal.count == seals
    with pytest.raises(BadQuery):
        rig.engine.admin.delete_series(read_selectors("up"), (NOW_MS, NOW_MS))
    rig.check_rows()


def test_a_closed_engine_answers_nothing(rig: Rig) -> None:
    """Lookup of a request needs the memory of a running engine."""
    assert rig.engine.admin.find_request(1, "r") == []
    rig.engine.close()
    with pytest.raises(Unavailable, match="closed"):
        rig.engine.admin.find_request(1, "r")
