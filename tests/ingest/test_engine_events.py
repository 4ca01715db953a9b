"""Events of a running engine: durable ones only, each once, whatever is sealed meanwhile and after a crash."""

import threading

import msgspec
import pytest
from pyarrow import parquet

from nissa.codec.messages import MessageCodec
from nissa.config.redaction import Redaction
from nissa.ingest.engine import Engine
from nissa.journal.journal import Journal
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.query.events import EventRequest, Position, read_page
from oracle.engine import NOW_MS, Rig

MESSAGES = MessageCodec()


def event_frame(number: int, description: str = "") -> Frame:
    """A frame with one event, identified by its description."""
    event = {
        "event_id": "e",
        "description": description or f"{number}",
        "source": "s",
        "timestamp_ms": NOW_MS + number % 3,
    }
    return Frame(
        Codec.NISSA_EVENT, Encoding.IDENTITY, Source.HTTP, NOW_MS, MESSAGES.encode_message("telemetry_event", event)
    )


def keep(rig: Rig, number: int) -> None:
    """Hand one event in and wait."""
    outcome = rig.submit_frame(event_frame(number)).get(timeout=60)
    assert isinstance(outcome, Receipt), outcome
    assert outcome.events == 1
    rig.accepted += 1


def seen(engine: Engine, limit: int = 3) -> list[int]:
    """All events there are, page by page, each page of a new snapshot."""
    numbers: list[int] = []
    cursor: Position | None = None
    while True:
        page = read_page(engine.event_snapshot(), EventRequest(limit=limit, cursor=cursor))
        numbers += [int(row["description"]) for row in page.events]
        if page.complete:
            return numbers
        cursor = page.cursor


def test_events_are_there_once_while_heads_are_sealed(rig: Rig) -> None:
    """A reader meets every acknowledged event, in order, once; so after a crash."""
    done, wrong = threading.Event(), []
    kept: list[int] = []

    def read() -> None:
        while not done.is_set():
            before = set(kept)
            found = seen(rig.engine)
            if len(found) != len(set(found)) or not before <= set(found):
                wrong.append((before, found))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(30):
        keep(rig, number)
        kept.append(number)
        if number % 7 == 3:
            rig.engine.flush()
    done.set()
    thread.join()
    assert wrong == []
    expected = sorted(range(30), key=lambda number: number % 3)
    assert seen(rig.engine) == expected
    rig.crash()
    assert seen(rig.engine, 10) == expected
    assert rig.total().stored == 30


def test_what_is_not_durable_is_not_shown(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event shows when its acknowledgement has left, not before."""
    keep(rig, 0)
    reached, go_on = threading.Event(), threading.Event()
    commit = Journal.commit

    def slow(journal: Journal, *arguments: object) -> object:
        reached.set()
        go_on.wait(60)
        return commit(journal, *arguments)

    monkeypatch.setattr(Journal, "commit", slow)
    completed = rig.submit_frame(event_frame(1))
    assert reached.wait(60)
    assert seen(rig.engine) == [0]
    go_on.set()
    assert isinstance(completed.get(timeout=60), Receipt)
    rig.accepted += 1
    assert seen(rig.engine) == [0, 1]


def test_blocks_hold_only_redacted_events(rig: Rig) -> None:
    """Redacted text is in no block and no answer, also after a crash and under other rules; the journal has it."""
    completed = rig.submit_frame(event_frame(0, "mail to a@b.org"))
    assert isinstance(completed.get(timeout=60), Receipt)
    rig.config = msgspec.structs.replace(rig.config, redaction=Redaction(enabled=False))
    assert any(b"a@b.org" in path.read_bytes() for path in (rig.path / "journal").iterdir())
    rig.crash()  # the frame is replayed under the rules it was taken under, and sealed before the new ones hold
    assert isinstance(rig.submit_frame(event_frame(1, "mail to c@d.org")).get(timeout=60), Receipt)
    rig.engine.flush()
    rows = read_page(rig.engine.event_snapshot(), EventRequest()).events
    assert [row["description"] for row in rows] == ["mail to [redacted:email]", "mail to c@d.org"]
    rig.config = msgspec.structs.replace(rig.config, redaction=Redaction())
    rig.crash()
    assert isinstance(rig.submit_frame(event_frame(2, "user a@b.org")).get(timeout=60), Receipt)
    assert rig.engine.status().facts()["events"] == {"redacted": {"email": 1}}
    rig.engine.flush()
    texts = [table.to_pylist() for table in map(parquet.read_table, (rig.path / "blocks").glob("events-*"))]
    assert "a@b.org" not in str(texts)
