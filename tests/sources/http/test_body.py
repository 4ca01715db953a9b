"""The body of a request while it arrives."""

import pytest
from sources.http.edge_rig import Rig, chunked, write

from nissa.sources.http.body import Body


@pytest.mark.parametrize("body_bytes", [1_000, 1_001])
def test_body_limit(body_bytes: int) -> None:
    """A body of the limit passes, with a length or in chunks; a byte more is 413."""
    with Rig(body_bytes_max=1_000) as rig:
        body = bytes(body_bytes)
        expected = 204 if body_bytes == 1_000 else 413
        assert rig.exchange(write(body)).status == expected
        assert rig.exchange(chunked(body[:600], body[600:])).status == expected


def test_tiny_chunks_are_refused(rig: Rig) -> None:
    """A body cut into chunks of a byte is refused once that is plain."""
    response = rig.exchange(chunked(*[b"a"] * 5_000))
    assert (response.status, rig.intake.frames) == (400, [])


def test_pieces_are_joined_however_many() -> None:
    """Any number of pieces comes out as they came in."""
    for count in (0, 1, 2, 255, 256, 257, 5_000):
        pieces = [bytes([index % 256]) * (index % 7) for index in range(count)]
        body = Body(10**9, chunked=False, kept=True)
        for piece in pieces:
            body.add(piece)
        assert body.join() == b"".join(pieces)


def test_a_body_in_one_piece_is_that_piece() -> None:
    """The usual body is never copied again."""
    piece = bytes(60_000)
    body = Body(10**9, chunked=False, kept=True)
    body.add(piece)
    assert body.join() is piece
