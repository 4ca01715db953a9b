"""Retention: expired blocks are dropped while the clock is trusted, pins hold theirs, all else stays."""

import errno
from pathlib import Path

import msgspec
import pytest

from nissa.catalogue.catalogue import TierRow
from nissa.maintenance.clock_guard import ClockReading
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from oracle.directory import collect_garbage
from oracle.house import NOW_MS, TEN_YEARS_MS, House, config_of


def test_what_has_expired_is_dropped_once_a_minute(tmp_path: Path) -> None:
    """Rows, files and the list of blocks go together, and it is counted."""
    house = House(tmp_path, [30, 7, 6, 5])
    house.step()
    assert house.ages() == [6, 5]
    assert house.retainer.dropped.blocks == 2
    assert house.retainer.facts()["dropped"]["rows"] == 4
    house.pass_time(59 * SECOND_MS)
    assert house.ages() == [6, 5]
    house.pass_time(SECOND_MS)
    assert house.ages() == [5]
    house.pass_time(HOUR_MS)
    assert house.ages() == []
    assert not house.failures


def test_raw_waits_for_the_ladder(tmp_path: Path) -> None:
    """Raw blocks stay until the ladder has written them, and are deleted then."""
    house = House(tmp_path, [30, 20], config_of(tiers=True))
    house.step()
    assert house.ages() == [30, 20]
    catalogue = house.directory.catalogue
    written = [TierRow(tier, NOW_MS - 25 * HOUR_MS, 99) for tier in house.config.ladder.tiers]
    catalogue.commit_tiers(written[:2])
    house.pass_time(MINUTE_MS)
    assert house.ages() == [30, 20]  # these are not the tiers that are wanted
    catalogue.commit_tiers(written)
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20]
    catalogue.commit_tiers([msgspec.structs.replace(row, written_until_ms=NOW_MS) for row in written])
    house.head_ms = NOW_MS - 21 * HOUR_MS
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20]  # a sample in the head is to be rolled up with it
    house.head_ms = None
    house.pass_time(MINUTE_MS)
    assert house.ages() == []


@pytest.mark.parametrize("jump_ms", [TEN_YEARS_MS, -TEN_YEARS_MS])
def test_jumps_of_the_wall_clock_delete_nothing(tmp_path: Path, jump_ms: int) -> None:
    """Ten years ahead or back: nothing goes for days, within a process and over restarts, and the status says why."""
    house = House(tmp_path, [5, 1])
    house.step()
    house.wall_ms += jump_ms
    house.pass_time(4 * DAY_MS, steps=100)
    assert house.ages() == [5, 1]
    assert house.retainer.facts()["clock_in_doubt"]
    assert "the wall clock is 315360000 s" in house.retainer.facts()["clock"]
    house.open()
    house.pass_time(DAY_MS, steps=10)
    house.boot, house.steady_ms = "other", 0
    house.open()
    house.pass_time(DAY_MS, steps=10)
    assert house.ages() == [5, 1]
    house.boot, house.steady_ms = "boot", 7 + HOUR_MS + MINUTE_MS
    house.wall_ms = NOW_MS + HOUR_MS + MINUTE_MS
    house.open()
    house.step()
    assert not house.retainer.facts()["clock_in_doubt"]
    assert house.ages() == [1]  # the other one has become six hours old by a clock that is believed


def test_a_confirmed_clock_is_believed(tmp_path: Path) -> None:
    """The operator says that the clock is right: what has expired by it goes at the next step."""
    house = House(tmp_path, [5])
    house.step()
    house.wall_ms += DAY_MS
    house.pass_time(MINUTE_MS)
    assert house.ages() == [5]
    house.retainer.confirm_clock()
    house.pass_time(SECOND_MS)
    assert house.ages() == []


def test_without_a_steady_clock_nothing_goes(tmp_path: Path) -> None:
    """An engine that is given one clock only keeps everything, and says so."""
    house = House(tmp_path, [99])
    house.open(steady=False)
    house.pass_time(9 * DAY_MS)
    assert house.ages() == [99]
    assert house.retainer.facts()["clock_in_doubt"]


def test_a_pin_set_while_blocks_are_looked_at_holds_them(tmp_path: Path) -> None:
    """All blocks about to be deleted stay in this turn, rows and files; the next turn respects the pin."""
    house = House(tmp_path, [30, 20, 10])
    house.meanwhile = lambda: house.retainer.pins() or house.retainer.add_pin("now", NOW_MS - DAY_MS, NOW_MS)
    house.retainer.retain(ClockReading(NOW_MS, "boot", 7))
    assert house.ages() == [30, 20, 10]
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20, 10]


def test_pins_hold_blocks(tmp_path: Path) -> None:
    """A pinned block stays until the pin is removed, also over a restart."""
    house = House(tmp_path, [30, 20, 10])
    pin = house.retainer.add_pin("outage", NOW_MS - 20 * HOUR_MS, NOW_MS - 19 * HOUR_MS)
    house.step()
    assert house.ages() == [20]
    house.open()
    assert house.retainer.pins() == [pin]
    house.pass_time(DAY_MS)
    assert house.ages() == [20]
    house.retainer.remove_pin(pin.id)
    with pytest.raises(BadQuery, match="no pin"):
        house.retainer.remove_pin(pin.id)
    house.pass_time(MINUTE_MS)
    assert house.ages() == []


def test_a_crash_between_row_and_file_leaves_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are gone, files are not: the next start deletes them, or the next try."""
    house = House(tmp_path, [30, 1])
    with monkeypatch.context() as patch:

        def unlink(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        patch.setattr(Path, "unlink", unlink)
        house.step()
    assert len(house.failures) == 1
    assert len(house.directory.catalogue.blocks()) == 1
    assert len(list(tmp_path.glob("blocks/*"))) == 2
    assert len(collect_garbage(tmp_path, house.directory.catalogue).deleted) == 1
    house.step()
    assert house.ages() == [1]


def test_low_space_is_noted_before_ingestion_closes(tmp_path: Path) -> None:
    """Below twice the floor; then what has expired goes every ten seconds instead of every minute."""
    house = House(tmp_path, [5])
    house.step()
    assert not house.retainer.is_low
    house.config = config_of(free_bytes_min=2**60)
    house.open()
    house.step()
    assert house.retainer.facts()["space_low"]
    house.pass_time(HOUR_MS - 5 * SECOND_MS)
    assert house.ages() == [5]
    house.pass_time(10 * SECOND_MS)
    assert house.ages() == []
