"""Pins: set, listed, removed, and refused where they are no range."""

from pathlib import Path

import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.model.errors import BadQuery
from nissa.store import pins
from nissa.store.pins import Pin, add_pin, drop_unpinned, keep_pin, read_pins, remove_pin


def test_pins_outlive_the_process(tmp_path: Path) -> None:
    """Pins are there after reopening, oldest first; a number is never given twice."""
    catalogue = Catalogue.open(tmp_path)
    assert read_pins(catalogue) == []
    first, second = add_pin(catalogue, "outage", 10, 20, 5), add_pin(catalogue, "", 15, 16, 6)
    assert remove_pin(catalogue, second.id)
    assert not remove_pin(catalogue, second.id)
    third = add_pin(catalogue, "again", -5, 0, 7)
    assert third.id > second.id
    catalogue.close()
    catalogue = Catalogue.open(tmp_path, readonly=True)
    assert read_pins(catalogue) == [Pin(first.id, "outage", 10, 20, 5), third]
    catalogue.close()


def test_a_pin_set_meanwhile_stops_a_drop(tmp_path: Path) -> None:
    """Blocks are dropped only if the pins are those that the decision was based on."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1), block(2))))
    known = read_pins(catalogue)
    pin = add_pin(catalogue, "", 10, 20, 0)
    assert not drop_unpinned(catalogue, [block(1)], known)
    assert catalogue.blocks() == [block(1), block(2)]
    assert drop_unpinned(catalogue, [block(1)], [pin])
    assert catalogue.blocks() == [block(2)]
    catalogue.close()


def test_what_is_no_pin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty ranges, long names and too many pins are refused and change nothing."""
    catalogue = Catalogue.open(tmp_path)
    with pytest.raises(BadQuery, match="begin before it ends"):
        add_pin(catalogue, "", 10, 10, 0)
    with pytest.raises(BadQuery, match="256 bytes"):
        add_pin(catalogue, "é" * 129, 10, 20, 0)
    monkeypatch.setattr(pins, "PINS_MAX", 1)
    kept = add_pin(catalogue, "é" * 128, 10, 20, 0)
    with pytest.raises(BadQuery, match="1 pins already"):
        add_pin(catalogue, "", 10, 20, 0)
    monkeypatch.setattr(pins, "PINS_MAX", 3)
    with pytest.raises(BadQuery, match="1 pins already"):  # the other two are for the operator
        add_pin(catalogue, "", 10, 20, 0, 2)
    assert read_pins(catalogue) == [kept]
    catalogue.close()


def test_the_one_pin_of_a_name_only_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over what pins of its name held, also where no further pin is allowed; a new one is refused then."""
    catalogue = Catalogue.open(tmp_path)
    for start_ms in (10, 30):
        add_pin(catalogue, "incident 1", start_ms, start_ms + 5, 0)
    monkeypatch.setattr(pins, "PINS_MAX", 2)
    with pytest.raises(BadQuery, match="1 pins already"):
        keep_pin(catalogue, "incident 2", 10, 20, 0, 1)
    keep_pin(catalogue, "incident 1", 12, 50, 1, 1)
    (pin,) = read_pins(catalogue)
    assert (pin.start_ms, pin.end_ms) == (10, 50)
    keep_pin(catalogue, "incident 1", 11, 49, 2)
    assert read_pins(catalogue) == [pin]
    catalogue.close()
