"""Samples of a running Prometheus, over remote read, as pieces of an import.

    ReadResponse { results { timeseries … } }        WriteRequest { timeseries … }

A result of remote read is, byte for byte, the body of a remote write request, so it is sent on without being parsed.
Time is asked for in slices, longer or shorter as answers come out small or large.
"""

import http.client
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from cramjam import snappy

from nissa._proto.remote_read_pb2 import LabelMatcher, Query, ReadRequest
from nissa.cli.import_pieces import ImportPiece
from nissa.model.errors import BadQuery, Malformed, Unavailable
from nissa.model.frame import Codec
from nissa.model.matcher import Matcher, MatchOp, Selector
from nissa.model.units import DAY_MS, HOUR_MS, MIB, MINUTE_MS

BODY_BYTES = 8 * MIB  # of a piece
ANSWER_BYTES_SMALL: Final = 8 * MIB  # the next slice is twice as long
ANSWER_BYTES_LARGE: Final = 64 * MIB  # the next slice is half as long
SLICE_MS_MIN, SLICE_MS_MAX = MINUTE_MS, 7 * DAY_MS
TIMEOUT_S = 300
_TYPES = {
    MatchOp.EQUAL: LabelMatcher.Type.EQ,
    MatchOp.NOT_EQUAL: LabelMatcher.Type.NEQ,
    MatchOp.FITS: LabelMatcher.Type.RE,
    MatchOp.NOT_FITS: LabelMatcher.Type.NRE,
}


class PrometheusReader:
    """Samples of a server in [start_ms, end_ms], both inclusive."""

    def __init__(self, url: str, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> None:
        """url: of the server. Raises: BadQuery for another one than http://HOST[:PORT][/PREFIX]."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadQuery(f"expected http://HOST:PORT of a Prometheus, got {url!r}")
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = connect(parts.hostname, parts.port or (443 if secure else 80), timeout=TIMEOUT_S)
        self._url, self._path = url, parts.path.rstrip("/") + "/api/v1/read"
        self._selectors, self._start_ms, self._end_ms = selectors, start_ms, end_ms
        self.done = 0
        self.total = max(end_ms - start_ms, 1)

    def pieces(self, position: tuple[int, int]) -> Iterator[ImportPiece]:
        """Pieces of about BODY_BYTES. position: the time up to which samples are there, Unix milliseconds.

        Raises: Unavailable, BadQuery for what the server answers.
        """
        begin_ms, length_ms = max(self._start_ms, position[0]), HOUR_MS
        while begin_ms <= self._end_ms:
            end_ms = min(begin_ms + length_ms - 1, self._end_ms)
            answer = self._read(begin_ms, end_ms)
            bodies = [body for result in _fields(answer) for body in _bodies(result)]
            for number, body in enumerate(bodies or [b""], 1):
                yield ImportPiece(Codec.REMOTE_WRITE_1, body, (end_ms + 1 if number >= len(bodies) else begin_ms, 0))
            self.done = min(end_ms + 1 - self._start_ms, self.total)
            begin_ms = end_ms + 1
            if len(answer) < ANSWER_BYTES_SMALL:
                length_ms = min(length_ms * 2, SLICE_MS_MAX)
            elif len(answer) > ANSWER_BYTES_LARGE:
                length_ms = max(length_ms // 2, SLICE_MS_MIN)

    def _read(self, start_ms: int, end_ms: int) -> bytes:
        queries = [
            Query(start_timestamp_ms=start_ms, end_timestamp_ms=end_ms, matchers=[_matcher(one) for one in selector])
            for selector in self._selectors
        ]
        body = bytes(snappy.compress_raw(ReadRequest(queries=queries).SerializeToString()))
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Read-Version": "0.1.0",
        }
        try:
            self._connection.request("POST", self._path, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer from {self._url}: {error}") from error
        if response.status != http.client.OK:
            text = answer[:200].decode("utf-8", "replace").strip()
            raise BadQuery(f"{self._url} answers {response.status} to remote read: {text}")
        try:
            return bytes(snappy.decompress_raw(answer))
        except Exception as error:  # whatever the library makes of bytes that are no snappy
            raise Malformed(f"{self._url} answers remote read with what is not snappy: {error}") from error


def _matcher(matcher: Matcher) -> LabelMatcher:
    return LabelMatcher(type=_TYPES[matcher.op], name=matcher.name, value=matcher.value)


def _fields(message: bytes) -> Iterator[bytes]:
    """Contents of the fields 1, of which the message is made."""
    at = 0
    while at < len(message):
        start, end = _field_at(message, at)
        yield message[start:end]
        at = end


def _bodies(result: bytes) -> Iterator[bytes]:
    """A result in pieces of whole series."""
    first = at = 0
    while at < len(result):
        _, end = _field_at(result, at)
        if end - first > BODY_BYTES and at > first:
            yield result[first:at]
            first = at
        at = end
    if at > first:
        yield result[first:at]


def _field_at(message: bytes, at: int) -> tuple[int, int]:
    """Ends of the content of the field at ``at``. Raises: Malformed where it is no field 1."""
    tag, length, shift, place = message[at], 0, 0, at + 1
    while place < len(message):
        byte = message[place]
        length |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            break
    if tag != 0x0A or place + length > len(message):
        raise Malformed("an answer of remote read is not of its form", at)
    return place, place + length
