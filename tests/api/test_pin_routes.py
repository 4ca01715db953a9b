"""Pins and the confirmation of the clock over HTTP, on a real engine, and answers over a damaged block."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from oracle.backend_twin import BackendTwin, regular
from oracle.engine import NOW_MS, ONE, body_of, config_of, wait_until

LABELS = [{"__name__": "up"}]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that knows two clocks."""
    engine = Engine(tmp_path / "data", config_of(), lambda: NOW_MS, lambda: ("boot", 1))
    yield engine
    engine.close()


def test_pins_are_set_listed_and_removed(serve, engine):
    """Both ends are inside; the name is kept; a number that is not there is refused."""
    client = serve(engine)
    assert client.get("/api/v1/pins").json()["data"] == []
    pin = client.post("/api/v1/pins", data={"start": "10", "end": "20.5", "name": "outage"}).json()["data"]
    assert pin == {"id": pin["id"], "name": "outage", "start_ms": 10_000, "end_ms": 20_501, "created_ms": NOW_MS}
    assert client.get("/api/v1/pins").json()["data"] == [pin]
    assert client.get("/api/status").json()["maintenance"]["pins"] == 1
    assert client.delete("/api/v1/pins", params={"id": pin["id"]}).status_code == 200
    assert client.delete("/api/v1/pins", params={"id": pin["id"]}).status_code == 400
    assert client.get("/api/v1/pins").json()["data"] == []


@pytest.mark.parametrize("form", [{}, {"start": "10"}, {"start": "20", "end": "10"}, {"start": "then", "end": "10"}])
def test_what_is_no_range_is_refused(serve, engine, form):
    """Both ends are needed, in order and readable."""
    answer = serve(engine).post("/api/v1/pins", data=form)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")


def test_pages_of_other_sites_change_nothing(serve, engine):
    """A browser says where a page came from; our own origin passes."""
    client = serve(engine)
    form = {"start": "10", "end": "20"}
    for origin in ("https://elsewhere.example", "null"):
        answer = client.post("/api/v1/pins", data=form, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["errorType"]) == (403, "forbidden")
        assert client.post("/api/v1/clock/confirm", headers={"Origin": origin}).status_code == 403
    assert client.get("/api/v1/pins").json()["data"] == []
    own = str(client.base_url).rstrip("/")
    assert client.post("/api/v1/pins", data=form, headers={"Origin": own}).status_code == 200


def test_nobody_keeps_a_directory_read_from_outside(serve):
    """Without a daemon, pins and the clock cannot be changed: 503."""
    client = serve(BackendTwin(LABELS, regular(1, 1)))
    assert client.get("/api/v1/pins").status_code == 503
    assert client.post("/api/v1/clock/confirm").status_code == 503


def test_the_clock_is_confirmed(serve, engine, tmp_path):
    """The clock is confirmed by POST only."""
    client = serve(engine)
    assert client.get("/api/v1/clock/confirm").status_code == 405
    assert client.post("/api/v1/clock/confirm").status_code == 200


def test_an_answer_says_what_is_missing(serve, engine, tmp_path):
    """A block in quarantine is named in a header, the other rows are exported, and the accounting counts its rows."""
    client = serve(engine)
    for name in ("hit", "sound"):
        engine.ingest(body_of([(name, NOW_MS, ONE)]), Codec.REMOTE_WRITE_1)
        engine.flush()
    everything = {"match[]": '{__name__=~".+"}'}
    assert "x-nissa-missing" not in client.get("/api/v1/export", params=everything).headers
    hit = min((tmp_path / "data" / "blocks").glob("raw-*"))
    hit.write_bytes(hit.read_bytes()[:-1])
    with pytest.raises(httpx.RemoteProtocolError):  # the damage was not known yet: the answer breaks off
        client.get("/api/v1/export", params=everything)
    wait_until(hit.with_name(hit.name + ".damaged").exists)  # the last step of putting it aside
    answer = client.get("/api/v1/export", params=everything)
    assert answer.status_code == 200
    assert answer.headers["x-nissa-missing"] == f"1 blocks: {hit.name}.damaged"
    assert [json.loads(line)["metric"]["__name__"] for line in answer.text.splitlines()] == ["sound"]
    elsewhere = client.get("/api/v1/export", params={**everything, "end": "1000"})
    assert "x-nissa-missing" not in elsewhere.headers
    assert client.get("/api/v1/accounting").json()["data"]["damaged"] == {"blocks": 1, "rows": 1}
    for path in ("series", "labels", "label/__name__/values"):
        told = client.get(f"/api/v1/{path}", params={**everything, "start": str(NOW_MS // 1000 - 1)}).json()
        assert [warning.partition(" ms are missing")[0] for warning in told["warnings"]] == [
            f"data is missing: {hit.name}.damaged: 1 rows of {NOW_MS} to {NOW_MS}"
        ]
        assert "warnings" not in client.get(f"/api/v1/{path}", params=everything).json()  # the index alone is asked
