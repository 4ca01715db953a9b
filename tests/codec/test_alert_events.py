"""Alert events of a bus as critical events."""

import json

import pytest

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._proto import generic_event_pb2 as fes
from nissa.codec.alert_events import alert_codec, decode
from nissa.model.context import Context
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.wire import delimit

WINDOW = Window(minute=1, admit_max=1_000, oldest_ms=-(2**63), newest_ms=2**63 - 1)
NOW_MS = 1_758_000_009_000
SUBJECT = "simulation_worker.process_crash"


def read(body: bytes, codec: Codec, *, delimited: bool = False) -> tuple[Decoded, Batch]:
    context = Context(subject=SUBJECT).encode()
    batch = Batch()
    frame = Frame(codec, Encoding.IDENTITY, Source.NATS, NOW_MS, body, delimited, context)
    return decode(frame, body, SeriesIndex(bytes(32)), batch, WINDOW), batch


def row(body: bytes) -> dict:
    decoded, _ = read(body, alert_codec(body))
    assert decoded.events is not None
    return decoded.events.row(0)


def test_generic_event_request() -> None:
    """Id, type, service and time are the event's own; worker, simulation, subject and the rest are attributes."""
    request = fes.GenericEventRequest(
        event_id="e-1", event_type="process_crash", source_service="orchestrator", worker_id="w-3", message="exit 139"
    )
    request.simulation_id = "sim-9"
    request.timestamp.seconds = 1_758_000_000
    request.attributes["host"] = "node-1"
    assert row(request.SerializeToString()) == {
        "time_ms": 1_758_000_000_000,
        "level": 4,
        "source": "orchestrator",
        "event_id": "e-1",
        "description": "process_crash",
        "packet_id": "e-1",
        "attributes": {
            "host": "node-1",
            "simulation": "sim-9",
            "worker": "w-3",
            "message": "exit 139",
            "subject": SUBJECT,
        },
    }


def test_json() -> None:
    """The same of a JSON object, by the names such events have."""
    body = {"id": 7, "type": "oom", "service": "agent", "time": 1_758_000_000, "worker": "w", "more": {"rss": 12}}
    found = row(json.dumps(body).encode())
    assert (found["event_id"], found["description"], found["source"]) == ("7", "oom", "agent")
    assert found["time_ms"] == 1_758_000_000_000
    assert found["attributes"] == {"more.rss": "12", "worker": "w", "subject": SUBJECT}


def test_text_is_an_alert_too() -> None:
    """A message that is neither says what happened as it is; its time is that of receipt."""
    found = row("worker 3 died: ☠".encode())
    assert (found["description"], found["time_ms"], found["level"]) == (SUBJECT, NOW_MS, 4)
    assert found["attributes"] == {"message": "worker 3 died: ☠", "subject": SUBJECT}


def test_bytes_are_refused_alone() -> None:
    """An unreadable message is refused by itself among others; alone it makes the body malformed."""
    good = fes.GenericEventRequest(event_id="a").SerializeToString()
    decoded, batch = read(delimit([good, b"\xff\xfe\x00", good]), Codec.FES_EVENT, delimited=True)
    assert decoded.events is not None
    assert len(decoded.events) == 2
    assert batch.refused == {"record_malformed": 1}
    with pytest.raises(Malformed, match="neither protobuf nor JSON nor text"):
        read(b"\xff\xfe\x00", Codec.FES_EVENT)
