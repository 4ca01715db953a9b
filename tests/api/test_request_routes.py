"""The fate of a request, over HTTP from a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.units import HOUR_MS
from oracle.backend_twin import BackendTwin, regular
from oracle.engine import NOW_MS, config_of
from oracle.packet_frames import Sent


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine to which one request has come."""
    engine = Engine(tmp_path / "data", config_of(), lambda: NOW_MS)
    engine.ingest(Sent("s", "p", 7, "r/1 ü", points=(("m", NOW_MS, 1.0),)).to_bytes(), Codec.NISSA_PACKET)
    engine.ingest(Sent("s", "q", 7, "r/1 ü", events=("e",)).to_bytes(), Codec.NISSA_PACKET)
    yield engine
    engine.close()


def test_a_request_is_found(serve, engine):
    """Each kind that came with it: its frame, that it is durable, and how long it is known."""
    answer = serve(engine).get("/api/v1/requests/7/r%2F1%20%C3%BC")
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "epoch": 7,
        "request_id": "r/1 ü",
        "entries": [
            {"kind": "event", "lsn": 2, "durable": True, "known_ms": HOUR_MS},
            {"kind": "metric", "lsn": 1, "durable": True, "known_ms": 2 * HOUR_MS},
        ],
    }


@pytest.mark.parametrize("path", ["8/r%2F1%20%C3%BC", "7/r", "18446744073709551615/r"])
def test_what_never_came_is_not_found(serve, engine, path):
    """404, and the answer says why it may be."""
    answer = serve(engine).get(f"/api/v1/requests/{path}")
    assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found")
    assert "has no dedup key" in answer.json()["error"]


@pytest.mark.parametrize("epoch", ["-1", "x", "1.0", "18446744073709551616", "9" * 4_000, "%EF%BC%91"])
def test_what_is_no_epoch_is_refused(serve, engine, epoch):
    """An epoch is a whole number of 64 bits."""
    answer = serve(engine).get(f"/api/v1/requests/{epoch}/r")
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")


def test_a_directory_remembers_for_nobody(serve):
    """Without a daemon the fate of requests is not known: 400."""
    answer = serve(BackendTwin([{"__name__": "up"}], regular(1, 1))).get("/api/v1/requests/7/r")
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
