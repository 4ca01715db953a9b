"""Administration: each call reaches the job that it is about."""

from pathlib import Path

import pytest

from nissa.maintenance.admin import StoreAdmin
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS
from oracle.house import NOW_MS, House


def test_each_call_reaches_its_job(tmp_path: Path) -> None:
    """Pins and the clock are retention's, suspect files are the scrub's."""
    house = House(tmp_path, [5, 1])
    admin = StoreAdmin(house.retainer, house.scrubber)
    pin = admin.add_pin("outage", NOW_MS - DAY_MS, NOW_MS)
    assert admin.pins() == house.retainer.pins() == [pin]
    admin.remove_pin(pin.id)
    with pytest.raises(BadQuery, match="no pin"):
        admin.remove_pin(pin.id)
    house.step()
    house.wall_ms += DAY_MS
    house.pass_time(DAY_MS // 24)
    assert house.retainer.clock_in_doubt
    assert house.ages() == [5, 1]
    admin.confirm_clock()
    admin.suspect(house.blocks[0].path)
    house.step()
    assert house.ages() == []
    assert not house.retainer.clock_in_doubt
