"""Drawings over HTTP: the head, the numbers, limits and errors."""

import json
import struct

import httpx
import numpy as np
import pytest

from nissa.model.columns import SampleBatch
from oracle.backend_twin import BackendTwin, regular

FIRST_S = 1_732_190_000
LABELS = [{"__name__": "up", "job": "api"}, {"__name__": "up", "job": "db"}]
SPAN = {"query": "up", "start": str(FIRST_S), "end": str(FIRST_S + 9), "step": "1s"}


@pytest.fixture
def client(serve) -> httpx.Client:
    """Ten seconds of two series, that count from 0 and from 100."""
    batch = regular(2, 10)
    value = np.repeat([0.0, 100.0], 10) + np.tile(np.arange(10.0), 2)
    return serve(BackendTwin(LABELS, SampleBatch(batch.series, batch.ts_ms, value)))


def read(answer: httpx.Response) -> tuple[dict, np.ndarray]:
    """Head and numbers."""
    (length,) = struct.unpack_from("<I", answer.content)
    head = json.loads(answer.content[4 : 4 + length])
    numbers = np.frombuffer(answer.content, "<f8", offset=4 + length)
    return head, numbers.reshape(-1, len(head["planes"]), head["columns"])


def test_a_drawing_has_the_values_of_the_range_query(client):
    """By GET and by POST, a drawing has step, series and resolutions of the range query."""
    answer = client.get("/api/v1/query_drawing", params=SPAN)
    assert answer.content == client.post("/api/v1/query_drawing", data=SPAN).content
    assert answer.headers["X-Nissa-Resolution"] == "raw"
    head, numbers = read(answer)
    assert head["series"] == LABELS
    assert (head["start_ms"], head["step_ms"], head["steps"]) == (FIRST_S * 1_000, 1_000, 10)
    assert numbers[:, 0].tolist() == [list(range(10)), list(range(100, 110))]


def test_columns_and_series_are_limited(client):
    """Two columns have four values each; an answer that was cut says so."""
    head, numbers = read(client.get("/api/v1/query_drawing", params={**SPAN, "columns": "2", "limit": "1"}))
    assert head["planes"] == ["first", "least", "greatest", "last"]
    assert head["warnings"] == ["results truncated due to limit"]
    assert numbers.tolist() == [[[0, 5], [0, 5], [4, 9], [4, 9]]]


def test_an_answer_without_series_is_a_head(client):
    """So is one of an expression that selects nothing."""
    head, numbers = read(client.get("/api/v1/query_drawing", params={**SPAN, "query": "nothing"}))
    assert head["series"] == []
    assert numbers.size == 0


@pytest.mark.parametrize(
    "wrong", [{"columns": "0"}, {"columns": "11001"}, {"columns": "x"}, {"step": "0"}, {"query": "("}]
)
def test_bad_parameters_are_refused(client, wrong):
    """The refusal names the parameter, as in range queries."""
    answer = client.get("/api/v1/query_drawing", params={**SPAN, **wrong})
    assert answer.status_code == 400
    assert next(iter(wrong)) in answer.json()["error"] or "query" in wrong
