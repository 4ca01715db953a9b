"""Events over HTTP: pages, conditions, cursors, and damaged or missing files."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from nissa.config.tree import Api
from nissa.model.columns import SampleBatch
from nissa.query import events
from nissa.store.event_runs import EventSnapshot
from oracle.backend_twin import BackendTwin
from oracle.directory import Directory
from oracle.event_blocks import write_events
from oracle.events import event_batch, event_row

NONE = SampleBatch(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0))
FIRST_MS = 1_732_190_000_000
ROWS = [event_row(FIRST_MS + 100 * number, number) for number in range(10)]


@pytest.fixture
def twin(tmp_path: Path) -> BackendTwin:
    """Seven events in a block and three in the head."""
    Directory(tmp_path)
    twin = BackendTwin([], NONE)
    block = write_events(tmp_path, 1, [event_batch(ROWS[:7])], 1, 1, 1)
    twin.events = EventSnapshot(tmp_path, (block,), (event_batch(ROWS[7:]),))
    return twin


@pytest.fixture
def client(serve, twin) -> httpx.Client:
    """The API over it."""
    return serve(twin)


def asked(client: httpx.Client, **parameters: object) -> dict:
    """The data of one answer."""
    answer = client.get("/api/v1/events", params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
    return answer.json()["data"]


def ids(data: dict) -> list[str]:
    """Packet ids of the events of an answer."""
    return [row["packet_id"] for row in data["events"]]


def test_an_event_has_a_word_for_its_level(client):
    """Everything of an event, its attributes as an object; POST answers alike."""
    data = asked(client, limit=4)
    assert data["events"][3] == {**ROWS[3], "level": "error"}
    assert data["damaged"] == []
    assert client.post("/api/v1/events", data={"limit": "4"}).json()["data"] == data


@pytest.mark.parametrize("order", ["oldest-first", "newest-first"])
def test_pages_follow_one_another(client, order):
    """Each begins where the last one ended; the last says that it is complete."""
    got, cursor = [], ""
    while True:
        data = asked(client, limit=3, cursor=cursor, order=order)
        got += ids(data)
        cursor = data["cursor"]
        if data["complete"]:
            break
    assert got == [row["packet_id"] for row in (ROWS if order == "oldest-first" else ROWS[::-1])]


def test_conditions(client):
    """Source and level may be repeated; a text in any case; both ends of the range are inside."""
    assert ids(asked(client, source=["s0", "s1"], level=["info", "Error"])) == ["p1", "p3", "p6"]
    assert ids(asked(client, q="culled É", start="1732190000.2", end="1732190000.6")) == ["p2", "p4", "p6"]
    assert ids(asked(client, q="stage-1")) == ["p1", "p5", "p9"]
    assert ids(asked(client, since="8500ms", end="now-8s300ms")) == ["p5", "p6", "p7"]
    assert asked(client, source="nobody") == {"events": [], "cursor": None, "complete": True, "damaged": []}


def test_the_cap_on_a_page(client, monkeypatch):
    """A limit above the cap is lowered to it, and the page says that it is not complete."""
    monkeypatch.setattr("nissa.api.event_routes.LIMIT_MAX", 4)
    data = asked(client, limit=100)
    assert (len(data["events"]), data["complete"]) == (4, False)


def test_damage_is_named(client, twin):
    """Sound files are answered, and the damaged file is named."""
    (block,) = twin.events.blocks
    path = twin.events.directory / block.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    data = asked(client)
    assert ids(data) == ["p7", "p8", "p9"]
    assert data["damaged"] == ["events-00000000000000000001.parquet"]
    (warning,) = client.get("/api/v1/events").json()["warnings"]
    assert warning.startswith("data is missing: events-00000000000000000001.parquet: page 0")


def test_a_block_that_went_away_is_named(client, twin):
    """Somebody else deleted its file: that is damage, and the rest is answered."""
    (block,) = twin.events.blocks
    (twin.events.directory / block.path).unlink()
    data = asked(client)
    assert data["damaged"] == [Path(block.path).name]
    assert len(data["events"]) == len(ROWS) - block.rows


@pytest.mark.parametrize(
    "parameters",
    [
        {"level": "fatal"},
        {"cursor": "5"},
        {"order": "newest"},
        {"limit": "-1"},
        {"start": "2", "end": "1"},
        {"q": "x" * 1025},
    ],
)
def test_bad_questions_are_the_authors_fault(client, parameters):
    """400 with bad_data, naming the parameter."""
    answer = client.get("/api/v1/events", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["errorType"] == "bad_data"
    assert list(parameters)[-1] in answer.json()["error"]


def test_a_slow_question_ends_at_its_deadline(serve, twin, monkeypatch):
    """A question over its time is answered 503 with the kind timeout."""
    client = serve(twin, Api(query_timeout_ms=1))
    slow = events.selected_rows

    def selected_rows(*arguments):
        import time

        time.sleep(0.01)
        return slow(*arguments)

    monkeypatch.setattr(events, "selected_rows", selected_rows)
    answer = client.get("/api/v1/events")
    assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")
