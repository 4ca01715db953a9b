"""Evidence outlives everything: random orders of incidents, pins, retention, merges, restarts, and runs of the janitor.

The model knows which samples and events were taken, and from the incidents alone which times must be kept. What was
there when the incident's turn came, or came later, must be there ever after, bit for bit.
"""

import random
import struct
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from service.test_incident_tasks import Nobody
from sqlalchemy import func, select
from tiers.test_silver import row

from nissa._proto.telemetry_pb2 import TelemetryEvent
from nissa.config.tree import Config
from nissa.database.database import Database
from nissa.database.incident_tables import incident_entries, incidents
from nissa.database.silver_tables import metric_rollups
from nissa.database.sla_tables import sla_definitions, sla_snapshots
from nissa.incidents.lifecycle import Entry, Incident, IncidentReport, acknowledging, merging, reopening, resolving
from nissa.ingest.engine import Engine
from nissa.model.alert import AlertReceiver
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.query.events import EventRequest, read_event_table
from nissa.service.incident_tasks import IncidentTasks
from nissa.tiers.janitor import Janitor
from nissa.tiers.silver import SilverStore
from nissa.tiers.sla import SlaDay, SlaDefinition, day_of
from nissa.tiers.sla_store import SlaStore
from oracle.engine import Rig, config_of, wait_until

pytestmark = pytest.mark.long
WINDOW_MS = 5 * MINUTE_MS
RETENTION_MS = 20 * MINUTE_MS
PAST_MS = 10 * MINUTE_MS
Kept = dict[tuple[str, int], int]  # name of a series or event, time -> bits of the value


class AgingRig(Rig):
    """A rig whose retention works: both clocks go on together."""

    def _open(self) -> Engine:
        return Engine(self.path, self.config, lambda: self.now_ms, lambda: ("boot", self.now_ms - 10**12))

    def retain(self) -> None:
        """Have everything in blocks, and wait until retention has looked at them at this moment."""
        self.engine.flush()
        retainer = self.engine.maintenance.retainer
        self.now_ms += MINUTE_MS
        due_ms = self.now_ms - 10**12
        self.engine.maintenance.wake()
        wait_until(lambda: retainer.retained_ms is not None and retainer.retained_ms >= due_ms)

    def send_event(self, name: str, at_ms: int) -> None:
        """An error event that must be kept."""
        event = TelemetryEvent(event_id=name, level=3, source="api", timestamp_ms=at_ms)
        frame = Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.HTTP, self.now_ms, event.SerializeToString())
        outcome = self.submit_frame(frame).get(timeout=60)
        assert isinstance(outcome, Receipt), outcome

    def everything(self) -> Kept:
        """Samples and events."""
        found = dict(self.read())
        table = read_event_table(self.engine.event_snapshot(), EventRequest())
        for event in table.select(["event_id", "timestamp"]).to_pylist():
            found[event["event_id"], round(event["timestamp"].timestamp() * 1_000)] = 0
        return found


class World:
    """The engine, the database, and what the model says."""

    def __init__(self, path: Path, database: Database, config: Config, draw: random.Random) -> None:
        self.rig, self.database, self.config, self.draw = AgingRig(path, config), database, config, draw
        self.tasks = self.made_tasks()
        self.owed: Kept = {}
        self.merged_ms: dict[int, int] = {}
        self.count, self.has_merged = 0, False
        self.operators: list[int] = []

    def made_tasks(self) -> IncidentTasks:
        """Those of a daemon that has just started."""
        place = self.config, self.rig.engine, lambda: self.database, cast("AlertReceiver", Nobody())
        return IncidentTasks(*place, cast("Any", Nobody()), lambda: self.rig.now_ms)

    def incidents(self, *states: str) -> list[Incident]:
        """Those in one of the states; all without."""
        found = [self.tasks.store().one(number + 1) for number in range(self.count)]
        return [one for one in found if not states or one.state in states]

    def ranges(self) -> list[tuple[int, int]]:
        """Times that incidents promise to keep, by the documentation."""
        ends = {one.id: one.resolved_ms or self.merged_ms.get(one.id) or self.rig.now_ms for one in self.incidents()}
        return [(one.started_ms - WINDOW_MS, ends[one.id] + WINDOW_MS) for one in self.incidents()]

    def owe(self) -> None:
        """All that is there now, within the times that are promised, is owed for ever."""
        ranges = self.ranges()
        for key, bits in self.rig.everything().items():
            if any(start_ms <= key[1] < end_ms for start_ms, end_ms in ranges):
                self.owed[key] = bits

    # ---- what may happen ----

    def send(self) -> None:
        """Samples of a few series and an event, some of them late."""
        for _ in range(self.draw.randrange(1, 4)):
            at_ms = self.rig.now_ms - self.draw.choice((0, 1, SECOND_MS, 3 * MINUTE_MS, PAST_MS - 1))
            bits = struct.unpack("<Q", struct.pack("<d", self.draw.uniform(-9, 9)))[0]
            self.rig.keep([(f"m{self.draw.randrange(3)}", at_ms, bits)])
            if self.draw.random() < 0.5:
                self.rig.send_event(f"e{self.draw.randrange(3)}", at_ms)
        self.turn()

    def wait(self) -> None:
        """Time passes, with retention and merges at its end."""
        self.rig.now_ms += self.draw.choice((MINUTE_MS, 4 * MINUTE_MS, 11 * MINUTE_MS, HOUR_MS))
        self.rig.retain()
        self.turn()

    def quiet(self) -> None:
        """All trouble is over for some hours."""
        for one in self.incidents("open", "acknowledged"):
            self.tasks.store().change(one.id, resolving(self.rig.now_ms, "ann"))
        self.turn()
        for _ in range(3):
            self.rig.now_ms += HOUR_MS
            self.send()
            self.wait()

    def open(self) -> None:
        """Trouble that began a while ago."""
        started_ms = self.rig.now_ms - self.draw.choice((0, MINUTE_MS, 8 * MINUTE_MS, 15 * MINUTE_MS))
        report = IncidentReport(f"k{self.count}", "down", "api", started_ms=started_ms)
        assert self.tasks.store().open(report, self.rig.now_ms, "ann", self.tasks.escalation)[1]
        self.count += 1
        self.turn() if self.draw.random() < 0.5 else None

    def change(self) -> None:
        """A person acknowledges, resolves or reopens one, or merges it into another."""
        live, over = self.incidents("open", "acknowledged"), self.incidents("resolved")
        store, now_ms = self.tasks.store(), self.rig.now_ms
        if len(live) > 1 and self.draw.random() < 0.4:
            one, into = self.draw.sample(live, 2)
            store.merge(one.id, into.id, lambda into: merging(now_ms, "ann", into), Entry(now_ms, "merged", "ann"))
            self.merged_ms[one.id] = now_ms
        elif over and self.draw.random() < 0.3:
            store.change(self.draw.choice(over).id, reopening(now_ms, "ann", self.tasks.escalation))
        elif live:
            one = self.draw.choice(live)
            step = acknowledging if one.state == "open" and self.draw.random() < 0.3 else resolving
            store.change(one.id, step(now_ms, "ann"))
        self.turn()

    def pin(self) -> None:
        """The operator sets a pin of their own, or removes it."""
        admin = self.rig.engine.admin
        if self.operators:
            admin.remove_pin(self.operators.pop())
        else:
            start_ms = self.rig.now_ms - self.draw.randrange(40) * MINUTE_MS
            self.operators.append(admin.add_pin("mine", start_ms, start_ms + 7 * MINUTE_MS).id)

    def restart(self) -> None:
        """The daemon ends, or is killed, and starts again."""
        self.rig.crash() if self.draw.random() < 0.5 else self.rig.restart()
        self.tasks = self.made_tasks()

    def turn(self) -> None:
        """Incidents have their turn."""
        self.tasks._work()
        assert self.tasks.status()["unpinned"] == 0
        self.owe()

    def tidy(self) -> None:
        """The janitor runs, dry or not: rows of incidents and of Gold are as they were; dry, everything is."""
        silver, is_dry = SilverStore(self.database), self.draw.random() < 0.5
        silver.replace("minute", 0, HOUR_MS, [row(at * MINUTE_MS) for at in range(5)])
        before, rollups = self.rows_of_evidence(), self.rollups()
        Janitor(self.database, "me", HOUR_MS, DAY_MS).run(self.rig.now_ms, dry=is_dry)
        assert self.rows_of_evidence() == before
        assert self.rollups() == (rollups if is_dry else 0)

    def rollups(self) -> int:
        """Rows of Silver."""
        with self.database.begin() as connection:
            return int(connection.scalar(select(func.count()).select_from(metric_rollups)) or 0)

    def rows_of_evidence(self) -> list[Any]:
        """Incidents with their evidence and timelines, definitions and snapshots."""
        tables = incidents, incident_entries, sla_definitions, sla_snapshots
        with self.database.begin() as connection:
            return [sorted(map(repr, connection.execute(select(table)).all())) for table in tables]

    def check(self) -> None:
        """What is owed is there."""
        there = self.rig.everything()
        self.has_merged |= any(block.level for block in self.rig.engine.snapshot().blocks)
        lost = {key: bits for key, bits in self.owed.items() if there.get(key) != bits}
        assert not lost, (self.rig.now_ms, self.ranges(), lost)


def small_config(tiers: bool) -> Config:
    """Short retentions, and merges of every two blocks."""
    storage = {"compaction_fan_in": 2, "events_retention_ms": RETENTION_MS}
    acceptance = {"past_ms": PAST_MS, "event_past_ms": PAST_MS}
    config = config_of(storage=storage, acceptance=acceptance)
    ladder = msgspec.structs.replace(config.ladder, raw_retention_ms=RETENTION_MS)
    ladder = ladder if tiers else msgspec.structs.replace(ladder, tiers=())
    own = msgspec.structs.replace(config.incidents, evidence_window_ms=WINDOW_MS)
    return msgspec.structs.replace(config, ladder=ladder, incidents=own)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_touches_evidence(database: Database, tmp_path: Path, seed: int) -> None:
    """With and without a ladder; what is no evidence goes."""
    draw = random.Random(seed)
    gold = SlaStore(database, 9)
    begin_ms = 19_000 * DAY_MS
    gold.put(SlaDefinition("up", "api", "MTTR", 60.0), begin_ms)
    day = SlaDay("up", 1, day_of(begin_ms), None, None, 5.0, None, 0, None, 5.0, {})
    gold.add_day(day.day, [day], begin_ms + DAY_MS)
    world = World(tmp_path / "data", database, small_config(tiers=seed % 2 == 0), draw)
    steps = [world.send, world.wait, world.open, world.change, world.quiet, world.pin, world.restart, world.tidy]
    try:
        for _ in range(60):
            draw.choices(steps, weights=(8, 5, 5, 5, 2, 1, 1, 1))[0]()
            world.check()
        assert gold.verify()[0] == 1
        gone = world.rig.rows.keys() - world.rig.everything()
        assert len(world.owed) >= 10
        assert len(gone) >= 3
        assert world.has_merged
    except AssertionError as error:
        raise AssertionError(f"seed {seed}") from error
    finally:
        world.rig.engine.close()
