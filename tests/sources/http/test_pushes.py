"""Requests below /metrics/job, and their answers."""

import gzip

import pytest
from cramjam import snappy
from sources.http.edge_rig import Rig, get

from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Encoding
from nissa.sources.http.pushes import push_request, push_status

BODY = b"x 1\n" * 20


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, Encoding.IDENTITY),
        (gzip.compress(BODY), Encoding.GZIP),
        (bytes(snappy.compress(BODY)), Encoding.SNAPPY),
        (bytes(snappy.compress_raw(BODY)), Encoding.SNAPPY),
    ],
    ids=["identity", "gzip", "snappy-framed", "snappy-block"],
)
def test_encodings(body: bytes, encoding: Encoding) -> None:
    """Each is undone, up to the limit; PUT replaces, POST does not, DELETE has no body."""
    request = push_request(b"PUT", {"job": "j"}, body, encoding, 80)
    assert (request.body, request.replaces) == (BODY, True)
    assert not push_request(b"POST", {"job": "j"}, body, encoding, 80).replaces
    assert push_request(b"DELETE", {"job": "j"}, body, encoding, 80).body is None
    with pytest.raises(TooLarge, match=r"sources\.push\.group_size_max"):
        push_request(b"PUT", {"job": "j"}, body, encoding, 79)
    if encoding != Encoding.IDENTITY:
        with pytest.raises(Malformed):
            push_request(b"PUT", {"job": "j"}, body[:-4], encoding, 80)


def test_statuses() -> None:
    """Statuses are those of the Pushgateway."""
    assert [push_status(method) for method in (b"PUT", b"POST", b"DELETE")] == [200, 200, 202]


def test_without_groups_there_is_no_such_path() -> None:
    """A server that takes no pushes answers 404, and reads past the body."""
    with Rig() as rig, rig.connect() as client:
        for method in ("PUT", "POST", "DELETE", "GET"):
            client.send(get("/metrics/job/j", "Content-Length: 2\r\n", method) + b"x\n")
            assert client.read().status == 404
        assert rig.cells.requests["other", 404] + rig.cells.requests["/metrics/job", 404] == 4
