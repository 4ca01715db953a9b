"""The head of a request: checks the request line and headers, and derives how to read the body.

    POST /api/v1/write HTTP/1.1          add_target
    Content-Type: …                      add_field, once per header; most decide nothing and are only counted
    (empty line)                         check_version, body_bytes, expects_continue

It checks limits, and rules that a grammar cannot express. No sockets.
"""

from http import HTTPStatus
from typing import Final

from nissa.sources.http.fault import RequestError

HEADERS_MAX: Final = 100

# Indices into Head.fields. From ACCEPT on, repeats join with a comma; the others may stand once.
CONTENT_TYPE: Final = 0
CONTENT_ENCODING: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
HOST: Final = 4
EXPECT: Final = 5
PRIORITY: Final = 6
TENANT: Final = 7
AUTHORIZATION: Final = 8
ACCEPT: Final = 9
ACCEPT_ENCODING: Final = 10

CHUNKED: Final = -1  # a length that the chunks will tell

_NAMES: Final = (
    b"content-type",
    b"content-encoding",
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"expect",
    b"x-nissa-priority",
    b"x-scope-orgid",
    b"authorization",
    b"accept",
    b"accept-encoding",
)
_NO_FIELDS: Final[tuple[bytes | None, ...]] = (None,) * len(_NAMES)
_UNKNOWN: Final = -1
# Spellings met often, so that most headers need no folding to lower case.
_INDEX: Final = {
    **{name: index for index, name in enumerate(_NAMES)},
    **{name.title(): index for index, name in enumerate(_NAMES)},
    b"User-Agent": _UNKNOWN,
    b"Connection": _UNKNOWN,
    b"X-Prometheus-Remote-Write-Version": _UNKNOWN,
}


class RequestHead:
    """Gathers one request's head, then the next one's. Trailers are counted like headers and decide nothing."""

    __slots__ = ("_bytes", "_bytes_max", "_count", "_whole", "fields", "target")

    def __init__(self, bytes_max: int) -> None:
        """bytes_max: of request line and headers together, and of the trailers together."""
        self._bytes_max = bytes_max
        self.reset()

    def reset(self) -> None:
        """Begin the next request."""
        self.target = b""
        self.fields = list(_NO_FIELDS)
        self._bytes = self._count = 0
        self._whole = False

    def complete(self) -> None:
        """The empty line has come: further fields are trailers."""
        self._bytes = self._count = 0
        self._whole = True

    def add_target(self, piece: bytes) -> None:
        """Take the next piece of the request target. Raises RequestError over the limit."""
        self.target += piece
        self._bytes += len(piece)
        if self._bytes > self._bytes_max:
            raise self.too_large()

    def add_field(self, name: bytes, value: bytes) -> None:
        """Take one header or trailer. Raises RequestError over a limit, or for a repeat that would be ambiguous."""
        self._count += 1
        self._bytes += len(name) + len(value) + 4
        if self._bytes > self._bytes_max or self._count > HEADERS_MAX:
            raise self.too_large()
        index = _INDEX.get(name)
        if index is None:
            index = _INDEX.get(name.lower(), _UNKNOWN)
        if index < 0 or self._whole:
            return
        held = self.fields[index]
        if held is not None:
            if index < ACCEPT:
                raise RequestError(HTTPStatus.BAD_REQUEST, f"duplicate header {name.decode('latin-1')}")
            value = held + b", " + value
        self.fields[index] = value

    def body_bytes(self, version: str) -> int:
        """Number of bytes of body that follow, or CHUNKED. Raises RequestError where that is ambiguous."""
        coding = self.fields[TRANSFER_ENCODING]
        if coding is None:
            return int(self.fields[CONTENT_LENGTH] or 0)
        if version != "1.1":
            raise RequestError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding needs HTTP/1.1")
        if coding.strip().lower() != b"chunked":
            raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding: only chunked is supported")
        return CHUNKED

    def check_version(self, version: str) -> None:
        """Raises RequestError for versions not spoken, and for 1.1 without Host."""
        if version == "1.1":
            if self.fields[HOST] is None:
                raise RequestError(HTTPStatus.BAD_REQUEST, "header Host is missing")
        elif version != "1.0":
            text = f"HTTP/{version} is not spoken here; expected HTTP/1.1"
            raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, text)

    def plain(self, method: bytes, version: str, *, keep_alive: bool) -> bytes:
        """Return this head as bytes, with the relevant headers only and without an upgrade.

        method: in capitals. version: of HTTP. keep_alive: whether the connection stays open.
        """
        lines = [b"%b %b HTTP/%b" % (method, self.target, version.encode())]
        lines += [name + b": " + value for name, value in zip(_NAMES, self.fields, strict=True) if value is not None]
        lines.append(b"connection: keep-alive" if keep_alive else b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def expects_continue(self) -> bool:
        """The sender waits for ``100 Continue``. Raises RequestError where it expects anything else."""
        expected = self.fields[EXPECT]
        if expected is None:
            return False
        if expected.strip().lower() != b"100-continue":
            raise RequestError(HTTPStatus.EXPECTATION_FAILED, "Expect: only 100-continue is supported")
        return True

    def too_large(self) -> RequestError:
        """The refusal of a head over its limits."""
        text = f"headers: over the limit of {self._bytes_max} bytes (ingest.header_size_max) or {HEADERS_MAX} lines"
        return RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
