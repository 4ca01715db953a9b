"""The body of one request while it arrives: its pieces are stored as they are received and joined once.

A body in one piece is not copied. Many small pieces are merged in a bytearray from time to time, which bounds the
overhead per piece. Chunks smaller than their framing are refused: 32 MiB in chunks of one byte would cost many
seconds of CPU time.
"""

from http import HTTPStatus
from typing import Final

from nissa.sources.http.fault import RequestError

_PIECES_MAX: Final = 256
_SMALL_CHUNKS_MAX: Final = 4 * _PIECES_MAX
_CHUNK_BYTES_MEAN_MIN: Final = 64


class Body:
    """Collects the pieces of one body. ``kept`` False: count them, drop them."""

    __slots__ = ("_bytes_max", "_chunked", "_gathered", "_gathered_pieces", "_kept", "_pieces", "size")

    def __init__(self, bytes_max: int, *, chunked: bool, kept: bool) -> None:
        """Collects the pieces of one body.

        bytes_max: maximum length. chunked: its transfer encoding. kept: whether bytes are stored, or only counted.
        """
        self.size = 0
        self._bytes_max = bytes_max
        self._chunked = chunked
        self._kept = kept
        self._pieces: list[bytes] = []
        self._gathered: bytearray | None = None
        self._gathered_pieces = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece. Raises RequestError once the body passes a limit."""
        self.size += len(piece)
        if self.size > self._bytes_max:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large_text(self.size, self._bytes_max))
        self._pieces.append(piece)
        if len(self._pieces) >= _PIECES_MAX:
            self._gather()

    def join(self) -> bytes:
        """All pieces as one."""
        if self._gathered is not None:
            self._gathered += b"".join(self._pieces)
            return bytes(self._gathered)
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _gather(self) -> None:
        self._gathered_pieces += len(self._pieces)
        if self._chunked and self._gathered_pieces >= _SMALL_CHUNKS_MAX:
            mean = self.size // self._gathered_pieces
            if mean < _CHUNK_BYTES_MEAN_MIN:
                text = f"chunks of {mean} bytes on average; expected at least {_CHUNK_BYTES_MEAN_MIN}"
                raise RequestError(HTTPStatus.BAD_REQUEST, text)
        if self._kept:
            if self._gathered is None:
                self._gathered = bytearray()
            self._gathered += b"".join(self._pieces)
        self._pieces.clear()


def too_large_text(got: int, limit: int) -> str:
    """The words for a body over its limit."""
    return f"body: {got} is over the limit of {limit} (ingest.body_size_max)"
