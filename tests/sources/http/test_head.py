"""The head of a request: repeats and limits."""

import pytest
from sources.http.edge_rig import WRITE_HEADERS, Rig, write

from nissa.sources.http.fault import RequestError
from nissa.sources.http.head import ACCEPT, HOST, RequestHead


@pytest.mark.parametrize("header", ["Content-Type: application/x-protobuf\r\n", "Content-Encoding: snappy\r\n"])
def test_repeated_media_headers(rig: Rig, header: str) -> None:
    """A media header that stands twice is 400, even where both say the same."""
    assert rig.exchange(write(b"x", WRITE_HEADERS + header)).status == 400
    assert rig.intake.frames == []


def test_lists_join_and_names_fold() -> None:
    """Headers that are lists may repeat, and any spelling of a name is the same name."""
    head = RequestHead(1_000)
    head.add_field(b"ACCEPT", b"a/b")
    head.add_field(b"accept", b"c/d")
    assert head.fields[ACCEPT] == b"a/b, c/d"


def test_trailers_decide_nothing() -> None:
    """Trailers count towards the limit of the head, and are otherwise ignored."""
    head = RequestHead(1_000)
    head.complete()
    head.add_field(b"Accept", b"a/b")
    assert head.fields[ACCEPT] is None
    with pytest.raises(RequestError):
        head.add_field(b"A", bytes(1_000))


def test_the_next_request_starts_anew() -> None:
    """Nothing of one head is left in the next."""
    head = RequestHead(60)
    for _ in range(10):
        head.add_target(b"/metrics")
        head.add_field(b"Host", b"x" * 20)
        assert head.fields[HOST] == b"x" * 20
        head.reset()
        assert (head.target, head.fields[HOST]) == (b"", None)


@pytest.mark.parametrize(("version", "status"), [("0.9", 505), ("1.1", 400), ("2.0", 505)])
def test_versions(version: str, status: int) -> None:
    """Only 1.1 with Host, and 1.0, are spoken."""
    head = RequestHead(1_000)
    head.check_version("1.0")
    with pytest.raises(RequestError) as caught:
        head.check_version(version)
    assert caught.value.status == status
