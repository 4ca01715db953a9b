"""Claims sent to the engine under attack: samples over hours, so that the ladder is written, some late, and packets.

    claim  1   2   3       4   5   6       7      8   9 …        40 s apart, some sent two hours late
           s   s   s + P   s   s   s + P   late   s   s + P      every third a packet of two points and an event

A claim is acknowledged once all of its bodies are. The ledger notes claims, and compares the samples found with them.

Packets are identified by their id, or by epoch and request, in three languages in turn, and are sent again: at once,
behind seals, after the next start, with their claim acknowledged, refused, or unanswered. Each try of a packet has its
number in its points and its event, so these show how often it was taken, and when:

    try 1 ──► no answer: killed        try 2 ──► acknowledged        try 3 ──► acknowledged
              └───────────── one of these two is there ────┘         └─ never there: it came before
"""

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from journeys.rig import Export, Ledger

from nissa._proto import leyline_pb2 as leyline
from nissa._proto import telemetry_pb2 as telemetry
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
    acceptance=Acceptance(past_ms=YEARS_MS, event_past_ms=YEARS_MS),
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


POINTS = 2
POINT_NAME = "ledger_point"
TRIES_MAX = 1_000
PARTS = {"event", *map(str, range(POINTS))}


class WideLedger(Ledger):
    """A ledger whose claims lie hours apart, with packets that are sent more than once.

    tries: how often each claim was begun. settled: how often it had been when it was acknowledged first.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.base_ms = (self.base_ms - 60 * DAY_MS) // HOUR_MS * HOUR_MS
        self.tries: dict[int, int] = {}
        self.settled: dict[int, int] = {}
        self._samples: dict[int, list[tuple[tuple[tuple[str, str], ...], int, float]]] = {}

    def begin(self, claim: int) -> int:
        """A try of a claim begins; which one it is."""
        self.claimed.add(claim)
        self.tries[claim] = self.tries.get(claim, 0) + 1
        return self.tries[claim]

    def oblige(self, claim: int) -> None:
        """A try of ``claim`` was acknowledged: what begins from here on is a repetition."""
        super().oblige(claim)
        self.settled.setdefault(claim, self.tries[claim])

    def time_ms(self, claim: int) -> int:
        """Some come two hours late; no two share a time."""
        return self.base_ms + claim * STEP_MS - (2 * HOUR_MS - TRIES_MAX if claim % 7 == 0 else 0)

    def samples(self, claim: int) -> Iterator[tuple[tuple[tuple[str, str], ...], int, float]]:
        """Few series, so that windows hold several samples. Kept: they are compared again and again."""
        if claim not in self._samples:
            self._samples[claim] = [
                (tuple({**dict(labels), "claim": str(claim % SERIES_SETS)}.items()), ts_ms, value)
                for labels, ts_ms, value in super().samples(claim)
            ]
        yield from self._samples[claim]

    def bodies(self, claim: int, number: int) -> Iterator[tuple[bytes, Codec, Encoding]]:
        """Bodies of try ``number`` of a claim, in the order of sending."""
        yield self.body(claim), Codec.REMOTE_WRITE_1, Encoding.SNAPPY
        if has_packet(claim):
            codec = Codec.LEYLINE_PACKET if claim % 9 == 3 else Codec.NISSA_PACKET
            packet = self._leyline_packet if codec == Codec.LEYLINE_PACKET else self._packet
            yield packet(claim, number), codec, Encoding.IDENTITY

    def _leyline_packet(self, claim: int, number: int) -> bytes:
        packet = leyline.TelemetryPacket(packet_id=f"packet {claim}", source_subsystem="ledger")
        packet.timestamp.FromMilliseconds(self.time_ms(claim) + number)
        packet.events.add(event_id=f"e-{claim}", description=self.description(claim, number), level=1)
        for index in range(POINTS):
            attributes = {"job": "ledger", "index": str(index)}
            packet.metrics.add(name=POINT_NAME, value=value_of(claim, number), attributes=attributes)
        return bytes(packet.SerializeToString())

    def _packet(self, claim: int, number: int) -> bytes:
        packet = telemetry.TelemetryPacket(source="ledger", timestamp_ms=self.time_ms(claim) + number)
        if claim % 9 == 6:
            packet.packet_id = f"packet {claim}"
        else:
            packet.epoch, packet.request_id = claim, "request"
        packet.events.add(event_id=f"e-{claim}", description=self.description(claim, number))
        for index in range(POINTS):
            point = packet.points.add(name=POINT_NAME, value=value_of(claim, number))
            point.labels.add(name="job", value="ledger")
            point.labels.add(name="index", value=str(index))
        return bytes(packet.SerializeToString())

    def description(self, claim: int, number: int) -> str:
        """Words that follow from a try of a claim."""
        return f"try {number} of claim {claim} of ledger {self.seed}"

    def check(self, found: Export) -> None:
        """Check samples outside of packets, as any ledger does."""
        super().check({labels: series for labels, series in found.items() if ("__name__", POINT_NAME) not in labels})

    def check_packets(self, found: Export, events: Iterable[dict[str, Any]]) -> None:
        """Check that every acknowledged packet is there once and whole, and that none was repeated or never sent."""
        got: dict[int, dict[int, set[str]]] = {}
        for claim, number, part in [*self._events(events), *self._points(found)]:
            assert claim in self.claimed, f"{self} {claim} invented"
            assert has_packet(claim), f"{self} {claim} invented"
            assert 0 < number <= self.tries[claim], f"{self} {claim}, try {number} invented"
            parts = got.setdefault(claim, {}).setdefault(number, set())
            assert part not in parts, f"{self} {claim}, {part} twice"
            parts.add(part)
        for claim, tries in got.items():
            assert len(tries) == 1, f"{self} {claim} taken {len(tries)} times: tries {sorted(tries)}"
            ((number, parts),) = tries.items()
            assert parts == PARTS, f"{self} {claim} is there in part: {sorted(parts)}"
            assert claim not in self.acknowledged or number <= self.settled[claim], (
                f"{self} {claim}: try {number} came behind an acknowledgement, at {self.settled[claim]}, and was taken"
            )
        lost = {claim for claim in self.acknowledged if has_packet(claim)} - got.keys()
        assert not lost, f"{self}s lost: {sorted(lost)[:5]}"

    def __str__(self) -> str:
        return f"seed {self.seed}: packet"

    def _events(self, events: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, str]]:
        for event in events:
            claim = int(event["event_id"].removeprefix("e-"))
            number = int(event["description"].split()[1])
            assert event["description"] == self.description(claim, number), f"{self} {claim}: event altered"
            yield claim, number, "event"

    def _points(self, found: Export) -> Iterator[tuple[int, int, str]]:
        for labels, series in found.items():
            if ("__name__", POINT_NAME) in labels:
                for ts_ms, bits in series.items():
                    claim, number = divmod(int(struct.unpack("<d", struct.pack("<Q", bits))[0]), TRIES_MAX)
                    assert ts_ms == self.time_ms(claim) + number, f"{self} {claim}: a point altered"
                    yield claim, number, dict(labels)["index"]


def value_of(claim: int, number: int) -> float:
    """The value of the points of a try."""
    return float(claim * TRIES_MAX + number)


def has_packet(claim: int) -> bool:
    """True if a claim has a packet."""
    return claim % 3 == 0


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events as a sender has written them down."""
    return [json.loads(line) for line in path.read_text().splitlines()]
