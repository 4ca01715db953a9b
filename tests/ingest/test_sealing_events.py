"""Event blocks of a running engine: cut by time, dropped in time, and what an older version left heals by itself."""

from pathlib import Path

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.codec.messages import MessageCodec
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.query.events import EventRequest, read_page
from nissa.store.event_slices import is_wide
from oracle.engine import NOW_MS, config_of, wait_until
from oracle.event_blocks import write_events
from oracle.events import event_batch, event_row

MESSAGES = MessageCodec()
FAR_MS = (-(2**63), -1, 4_070_908_800_000, 2**63 - 1)
SLICE_MS = 12 * HOUR_MS  # of the default settings


class House:
    """An engine on clocks that agree and go on as a test says."""

    def __init__(self, path: Path, config: Config, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms
        self.engine = Engine(path, config, lambda: self.now_ms, lambda: ("boot", self.now_ms - NOW_MS + 1_000))
        # The clock is known before it moves.
        wait_until(lambda: self.engine.maintenance.retainer.retained_ms is not None)

    def send(self, name: str, time_ms: int) -> int:
        """Hand one event in; how many were kept."""
        event = {"event_id": name, "source": "s", "timestamp_ms": time_ms}
        return self.engine.ingest(MESSAGES.encode_message("telemetry_event", event), Codec.NISSA_EVENT).events

    def ids(self) -> list[str]:
        """The ids of all events."""
        page = read_page(self.engine.event_snapshot(), EventRequest(limit=10_000))
        return [row["event_id"] for row in page.events]

    def pass_days(self, days: int) -> None:
        """Let so many days go by, with an event and a seal on the last, until retention has looked since."""
        self.now_ms += days * DAY_MS
        assert self.send(f"day{(self.now_ms - NOW_MS) // DAY_MS}", self.now_ms) == 1
        self.engine.flush()
        looked_ms = self.engine.maintenance.retainer.retained_ms
        self.now_ms += 61_000
        wait_until(lambda: self.engine.maintenance.retainer.retained_ms != looked_ms)
        wait_until(lambda: self.engine.status().facts()["maintenance"]["clock"] == "trusted")


def test_no_event_keeps_others_beyond_the_retention(tmp_path: Path) -> None:
    """An event far ahead keeps no older ones, and does not stay itself once such events are refused."""
    far_ahead = {"event_future_ms": 20 * DAY_MS}
    house = House(tmp_path, config_of(acceptance=far_ahead, storage={"compaction_fan_in": 2}))
    for number in range(20):
        assert house.send(f"old{number}", NOW_MS - number) == 1
    assert house.send("far", NOW_MS + 15 * DAY_MS) == 1
    house.engine.flush()
    for days in (1, 2, 2, 4):
        house.pass_days(days)
    wait_until(lambda: house.ids() == ["day3", "day5", "day9", "far"])
    house.engine.close()
    narrow = House(tmp_path, config_of(storage={"compaction_fan_in": 2}), house.now_ms)
    narrow.pass_days(2)
    wait_until(lambda: narrow.ids() == ["day5", "day9", "day11"])
    narrow.engine.close()


def test_what_an_older_version_left_heals_at_start(tmp_path: Path) -> None:
    """Blocks that hold events of all times at once are cut, merges come to an end, and retention works again."""
    catalogue = Catalogue.open(tmp_path)
    for lsn in range(1, 10):
        times = [*FAR_MS, NOW_MS - 10 * DAY_MS, NOW_MS - lsn]
        rows = [{**event_row(time_ms, lsn), "event_id": f"{lsn}@{time_ms}"} for time_ms in times]
        block = write_events(tmp_path, catalogue.new_id(), [event_batch(rows)], lsn, lsn, NOW_MS)
        catalogue.commit_seal(Seal(Checkpoint(lsn), (block,)))
    catalogue.close()
    house = House(tmp_path, config_of(storage={"compaction_fan_in": 3}))
    engine = house.engine
    wait_until(lambda: not any(is_wide(block, SLICE_MS) for block in engine.event_snapshot().blocks))
    expected = [f"{lsn}@{time_ms}" for time_ms in (*FAR_MS[2:],) for lsn in range(1, 10)]
    house.pass_days(1)
    wait_until(lambda: len(house.ids()) == 9 + 1 + 18)  # the old ones are gone
    assert house.ids() == [f"{lsn}@{NOW_MS - lsn}" for lsn in range(9, 0, -1)] + ["day1"] + expected
    wait_until(lambda: len(engine.event_snapshot().blocks) == 4)  # merged: of 2099, of the last moment, and two days
    assert engine.status().facts()["seal"]["failures"] == 0
    house.pass_days(6)
    wait_until(lambda: house.ids() == ["day1", "day7"])  # the others by their own time, or by the age of their file
    engine.close()
