"""Remote read over HTTP."""

import cramjam
import httpx
import numpy as np
import pytest

from nissa._proto.remote_read_pb2 import LabelMatcher, Query, ReadRequest, ReadResponse
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular
from oracle.xor_twin import read_chunk, read_frames

FIRST_MS = 1_732_190_000_000
SERIES = [{"__name__": "up", "at": f"{at:02}"} for at in (3, 1, 2)]
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def ask(client: httpx.Client, kinds: list[int], **matcher) -> httpx.Response:
    """All of the series but their first and last samples, twice in one request."""
    one = LabelMatcher(**({"name": "__name__", "value": "up"} | matcher))
    query = Query(start_timestamp_ms=FIRST_MS + 1_000, end_timestamp_ms=FIRST_MS + 3_000, matchers=[one])
    message = ReadRequest(queries=[query, query], accepted_response_types=kinds)
    body = bytes(cramjam.snappy.compress_raw(message.SerializeToString()))
    return client.post("/api/v1/read", content=body, headers=HEADERS)


@pytest.fixture
def client(serve) -> httpx.Client:
    return serve(BackendTwin(SERIES, regular(3, 5)))


def test_samples_and_chunks_are_the_same(client):
    """Both forms have both queries, series by their labels, and every sample with its bits; both ends are inside."""
    sampled, chunked = ask(client, []), ask(client, [1, 0])
    assert (sampled.headers["content-type"], sampled.headers["content-encoding"]) == (
        "application/x-protobuf",
        "snappy",
    )
    assert chunked.headers["content-type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    assert "content-encoding" not in chunked.headers
    response = ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(sampled.content)))
    by_samples = [
        (
            query,
            [label.value for label in series.labels],
            [(one.timestamp, int(np.float64(one.value).view(np.uint64))) for one in series.samples],
        )
        for query, result in enumerate(response.results)
        for series in result.timeseries
    ]
    by_chunks = [
        (frame.query_index, [label.value for label in series.labels], read_chunk(series.chunks[0].data))
        for frame in read_frames(chunked.content)
        for series in frame.chunked_series
    ]
    assert by_samples == by_chunks
    assert [labels for _, labels, _ in by_samples] == [["up", at] for at in ("01", "02", "03")] * 2
    assert all([ts_ms - FIRST_MS for ts_ms, _ in rows] == [1_000, 2_000, 3_000] for _, _, rows in by_samples)


def test_external_labels(serve):
    """They are in the answer, and its matchers see them."""
    client = serve(BackendTwin(SERIES, regular(3, 5)), Api(external_labels={"site": "a"}))
    for kind, value, count in ((1, "a", 6), (0, "a", 6), (0, "b", 0)):
        answer = ask(client, [kind], name="site", value=value).content
        if kind:
            found = [one for frame in read_frames(answer) for one in frame.chunked_series]
        else:
            response = ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(answer)))
            found = [one for result in response.results for one in result.timeseries]
        assert len(found) == count
        assert all(("site", "a") in {(label.name, label.value) for label in one.labels} for one in found)


def test_bad_requests_and_limits(serve, client):
    """400 for bytes and patterns that cannot be read; 422 over the limit of samples."""
    assert client.post("/api/v1/read", content=b"x", headers=HEADERS).status_code == 400
    assert ask(client, [], type=2, value="(").status_code == 400
    assert ask(client, [1], type=2, value="(").status_code == 400
    limited = serve(BackendTwin(SERIES, regular(3, 5)), Api(query_samples_max=10))
    assert ask(limited, []).json()["errorType"] == "execution"
    assert ask(limited, [1]).status_code == 200
