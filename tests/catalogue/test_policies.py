"""Policies in the catalogue: from when on which were in force."""

from pathlib import Path

import pytest

from nissa.catalogue.catalogue import NEVER_MS, Catalogue, TierRow
from nissa.catalogue.policies import EPOCHS_MAX, KEY, note_policies, read_epochs
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS, Policy
from nissa.model.units import DAY_MS, HOUR_MS

OFF = (Policy("a"),)
SHORT = (Policy("a", {"1m": DAY_MS}),)


def test_an_epoch_begins_where_nothing_is_written(tmp_path: Path) -> None:
    """At the next window of the widest tier; from ever in a new directory; the same policies begin none."""
    catalogue = Catalogue.open(tmp_path)
    assert note_policies(catalogue, (), DEFAULT_TIERS, ()) == ()
    assert [one.from_ms for one in note_policies(catalogue, OFF, DEFAULT_TIERS, ())] == [NEVER_MS]
    rows = [TierRow(DEFAULT_TIERS[0], 10 * DAY_MS + HOUR_MS), TierRow(DEFAULT_TIERS[1], 10 * DAY_MS)]
    epochs = note_policies(catalogue, SHORT, DEFAULT_TIERS, rows)
    assert [(one.from_ms, one.policies) for one in epochs] == [(NEVER_MS, OFF), (11 * DAY_MS, SHORT)]
    assert note_policies(catalogue, SHORT, DEFAULT_TIERS, rows) == epochs
    catalogue.close()
    catalogue = Catalogue.open(tmp_path, readonly=True)
    assert read_epochs(catalogue) == epochs
    catalogue.close()


def test_one_that_has_not_begun_never_does(tmp_path: Path) -> None:
    """Policies changed twice in a day: the second ones hold."""
    catalogue = Catalogue.open(tmp_path)
    rows = [TierRow(DEFAULT_TIERS[0], 10 * DAY_MS + HOUR_MS)]
    note_policies(catalogue, OFF, DEFAULT_TIERS, rows)
    assert [one.policies for one in note_policies(catalogue, SHORT, DEFAULT_TIERS, rows)] == [SHORT]
    catalogue.close()


def test_so_many_are_remembered(tmp_path: Path) -> None:
    """The oldest are forgotten."""
    catalogue = Catalogue.open(tmp_path)
    for day in range(EPOCHS_MAX + 5):
        note_policies(catalogue, (OFF, SHORT)[day % 2], DEFAULT_TIERS, [TierRow(DEFAULT_TIERS[0], day * DAY_MS)])
    assert len(read_epochs(catalogue)) == EPOCHS_MAX
    catalogue.close()


def test_damage_is_told(tmp_path: Path) -> None:
    """A value that is no list of epochs is reported as damage."""
    catalogue = Catalogue.open(tmp_path)
    with catalogue.transaction("meta") as db:
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, "[1]"))
    with pytest.raises(Damaged, match="ladder policies"):
        read_epochs(catalogue)
    catalogue.close()
