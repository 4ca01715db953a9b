"""What the engine under attack is sent: samples over hours, so that the ladder is written, some late, and events.

    claim  1   2   3   4   5   6   7   8 …        40 s apart, some sent two hours late
           s   s   s   s+e s   s   late s+e       every fourth an event, in a body of its own behind the samples

A claim is acknowledged once all of its bodies are. One writes the obligations down, and compares what is found.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from journeys.rig import Ledger

from nissa._proto import leyline_pb2 as leyline
from nissa.config.tree import Acceptance, Config, Ingest, Ladder, Storage
from nissa.model.frame import Codec, Encoding
from nissa.model.ladder import SCALARS, Tier
from nissa.model.units import DAY_MS, HOUR_MS, KIB, MINUTE_MS

STEP_MS = 40_000
SERIES_SETS = 3
YEARS_MS = 3_650 * DAY_MS
# Small segments and early seals and merges, so that the end meets every kind of file being written. A tier made of
# windows of 10 minutes is written every 4 hours of samples.
CONFIG = Config(
    storage=Storage(
        segment_bytes=64 * KIB,
        seal_interval_ms=40,
        seal_samples=400,
        compaction_fan_in=3,
        free_bytes_min=0,
        free_percent_min=0,
        journal_bytes_max=256 * KIB,
        events_retention_ms=YEARS_MS,
        scrub_interval_ms=1_000,
    ),
    ingest=Ingest(body_bytes_max=16 * KIB, decompressed_bytes_max=64 * KIB),
    acceptance=Acceptance(past_ms=YEARS_MS),
    ladder=Ladder(
        tiers=(
            Tier(MINUTE_MS, YEARS_MS, SCALARS),
            Tier(5 * MINUTE_MS, YEARS_MS),
            Tier(10 * MINUTE_MS, YEARS_MS),
        ),
        raw_retention_ms=YEARS_MS,
        grace_ms=0,
    ),
)


class WideLedger(Ledger):
    """A ledger whose claims lie hours apart, with events."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.base_ms = (self.base_ms - 60 * DAY_MS) // HOUR_MS * HOUR_MS
        self._samples: dict[int, list[tuple[tuple[tuple[str, str], ...], int, float]]] = {}

    def time_ms(self, claim: int) -> int:
        """Some come two hours late; no two share a time."""
        return self.base_ms + claim * STEP_MS - (2 * HOUR_MS - 7 if claim % 7 == 0 else 0)

    def samples(self, claim: int) -> Iterator[tuple[tuple[tuple[str, str], ...], int, float]]:
        """Few series, so that windows hold several samples. Kept: they are compared again and again."""
        if claim not in self._samples:
            self._samples[claim] = [
                (tuple({**dict(labels), "claim": str(claim % SERIES_SETS)}.items()), ts_ms, value)
                for labels, ts_ms, value in super().samples(claim)
            ]
        yield from self._samples[claim]

    def bodies(self, claim: int) -> Iterator[tuple[bytes, Codec, Encoding]]:
        """What is sent for a claim, in this order."""
        yield self.body(claim), Codec.REMOTE_WRITE_1, Encoding.SNAPPY
        if has_event(claim):
            packet = leyline.TelemetryPacket(packet_id=f"packet {claim}", source_subsystem="ledger")
            packet.timestamp.FromMilliseconds(self.time_ms(claim))
            packet.events.add(event_id=f"e-{claim}", description=self.description(claim), level=1)
            yield packet.SerializeToString(), Codec.LEYLINE_PACKET, Encoding.IDENTITY

    def description(self, claim: int) -> str:
        """Words that follow from the claim."""
        return f"claim {claim} of ledger {self.seed}"

    def check_events(self, found: Iterable[dict[str, Any]]) -> None:
        """Every event that is owed is there once, as it was sent, and none that nobody claimed."""
        got: dict[int, str] = {}
        for event in found:
            claim = int(event["event_id"].removeprefix("e-"))
            assert claim not in got, f"seed {self.seed}: event {claim} twice"
            assert claim in self.claimed, f"seed {self.seed}: event {claim} invented"
            assert has_event(claim), f"seed {self.seed}: event {claim} invented"
            assert event["description"] == self.description(claim), f"seed {self.seed}: event {claim} altered"
            got[claim] = event["description"]
        lost = {claim for claim in self.acknowledged if has_event(claim)} - got.keys()
        assert not lost, f"seed {self.seed}: events lost: {sorted(lost)[:5]}"


def has_event(claim: int) -> bool:
    """Whether a claim brings one."""
    return claim % 4 == 0


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events as a sender has written them down."""
    return [json.loads(line) for line in path.read_text().splitlines()]
