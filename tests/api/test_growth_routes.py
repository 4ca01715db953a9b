"""Series added and the forecast of the disk over HTTP, on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.service.series_marks import SeriesMarks
from oracle.backend_twin import BackendTwin, regular
from oracle.engine import NOW_MS, ONE, body_of, config_of

DAY_MS = 86_400_000
API_NOW_MS = 1_732_190_009_000  # of the clock of tests/api


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that knows two clocks."""
    engine = Engine(tmp_path / "data", config_of(), lambda: NOW_MS, lambda: ("boot", 1))
    yield engine
    engine.close()


def test_series_added_since_a_mark(serve, engine, more_facts):
    """Series that came after the mark, by metric name; an answer that cannot reach back so far says so."""
    times = [API_NOW_MS - 2 * DAY_MS]
    marks = SeriesMarks(engine.state, lambda: engine.index.series_count, lambda: times[0])
    more_facts["series_marks"] = marks
    client = serve(engine)
    engine.ingest(body_of([("old", NOW_MS, ONE)]), Codec.REMOTE_WRITE_1)
    marks.mark()
    engine.ingest(body_of([("fresh", NOW_MS, ONE), ("old", NOW_MS, ONE)]), Codec.REMOTE_WRITE_1)
    found = client.get("/api/v1/status/series_added").json()["data"]
    assert (found["total"], found["dropped"], found["complete"]) == (1, 0, True)
    assert found["by_metric_name"] == [{"name": "fresh", "value": 1}]
    assert (found["since_ms"], found["asked_since_ms"]) == (times[0], API_NOW_MS - DAY_MS)
    assert found["marks"] == [{"at_ms": times[0], "series": 0}]
    assert client.get("/api/v1/status/series_added?since=3d").json()["data"]["complete"] is False
    for wrong in ("since=x", "limit=0", "since=-1h"):
        assert client.get(f"/api/v1/status/series_added?{wrong}").status_code == 400


def test_the_forecast_names_what_it_does_not_know(serve, engine):
    """A young directory has sizes and no rates yet."""
    engine.ingest(body_of([("a", NOW_MS, ONE)]), Codec.REMOTE_WRITE_1)
    engine.flush()
    found = serve(engine).get("/api/v1/storage/forecast").json()["data"]
    (raw,) = [one for one in found["kinds"] if one["kind"] == "raw"]
    assert (raw["blocks"], raw["rows"], raw["bytes_per_day"]) == (1, 1, None)
    assert "too little time" in raw["unknown"]
    assert (found["complete"], found["full_at_ms"]) == (False, None)
    blocks = sum(one["bytes"] for one in found["kinds"])
    assert found["total_bytes"] == blocks + found["journal_bytes"] + found["other_bytes"]
    assert found["other_bytes"] > 0


def test_a_directory_that_is_only_read_has_neither(serve):
    """Both need the daemon."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    for path in ("/api/v1/status/series_added", "/api/v1/storage/forecast"):
        assert client.get(path).status_code == 503
