"""A decoder of frames apart from the pipeline: a follower sees of each what the store keeps of it."""

from pathlib import Path
from typing import Any

import msgspec

from nissa._fast.series import SeriesIndex
from nissa._proto import telemetry_pb2
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Events
from nissa.ingest.frame_decoder import RECEIVED_MS_MAX, FrameDecoder, minute_of, received_ms_of
from nissa.ingest.pipeline import ADMIT_ALL
from nissa.model.context import Context
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import HOUR_MS
from oracle.engine import NOW_MS, Rig, config_of
from oracle.wire import delimit

LATE_MS = NOW_MS - 9 * HOUR_MS
SENT = [(3, NOW_MS, "mail to a@b.org"), (1, NOW_MS, "not kept"), (3, LATE_MS, "late"), (2, NOW_MS, "plain")]


def packet_of(number: int) -> bytes:
    """Two points, one of them too old, and an event."""
    level, ts_ms, description = SENT[number % len(SENT)]
    packet = telemetry_pb2.TelemetryPacket(source="s", packet_id=str(number))
    packet.points.add(name=f"m{number % 7}", timestamp_ms=NOW_MS + number, value=number)
    packet.points.add(name="old", timestamp_ms=LATE_MS, value=1.0)
    packet.events.add(event_id=str(number), level=level, timestamp_ms=ts_ms, description=description)
    return packet.SerializeToString()


def test_a_follower_sees_what_the_store_keeps(tmp_path: Path) -> None:
    """Samples with their labels, events after redaction, and no refused records."""
    config = msgspec.structs.replace(config_of(), events=Events(drop_levels=("info",)))
    rig = Rig(tmp_path / "data", config)
    follower = rig.engine.followers.open("f", backfill=True)
    context = Context(labels={"zone": "z"}, tenant=("tenant", "acme")).encode()
    for first in range(0, 60, 6):
        body = delimit([packet_of(number) for number in range(first, first + 6)])
        rig.submit_frame(Frame(Codec.NISSA_PACKET, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, True, context)).get()
    secret = Catalogue.open(tmp_path / "data", readonly=True).secret
    decoder, index = FrameDecoder(config, secret), SeriesIndex(secret)
    rows: list[Any] = []
    events: list[Any] = []
    for entry in follower.read():
        decoded = decoder.decode(entry.frame, index, ADMIT_ALL)
        columns = (column.tolist() for column in decoder.batch.columns())
        rows += [(tuple(index.labels(one)), *sample) for one, *sample in zip(*columns, strict=True)]
        if decoded.events is not None:
            events += [decoded.events.row(number) for number in range(len(decoded.events))]
    (head,) = [rig.engine._pipeline.head]
    expected = [
        (tuple(rig.engine.index.labels(one)), ts_ms, value)
        for part in head.snapshot()
        for one, ts_ms, value in zip(part.series.tolist(), part.ts_ms.tolist(), part.value.tolist(), strict=True)
    ]
    kept = [batch.row(number) for _, batch in head.events for number in range(len(batch))]
    assert rows == expected
    assert len(rows) == 60
    assert dict(rows[0][0]) == {"__name__": "m0", "job": "nissa", "source": "s", "tenant": "acme", "zone": "z"}
    assert events == kept
    assert [one["description"] for one in events[:2]] == ["mail to [redacted:email]", "plain"]
    assert events[0]["attributes"] == {"zone": "z", "tenant": "acme"}
    assert decoder.redacted == rig.engine.status().facts()["events"]["redacted"] == {"email": 15}
    rig.engine.close()


def test_times_of_receipt_stay_within_what_arithmetic_bears() -> None:
    """Whatever a capture says: no negative time, and no minute 0."""
    for told, held in ((-5, 0), (7, 7), (2**62, RECEIVED_MS_MAX)):
        frame = Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.HTTP, told, b"")
        assert received_ms_of(frame) == held
        assert minute_of(frame) == max(held // 60_000, 1)
