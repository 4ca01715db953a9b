"""Requests below /metrics/job: to a push, and its end to an answer.

PUT, POST    200    durable: in the journal, and in the group
DELETE       202    the same, also where there was no such group
"""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Protocol

import numpy as np
from cramjam import DecompressionError, snappy

from nissa.codec.decompress import decompress
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Encoding
from nissa.model.receipt import Receipt
from nissa.sources.push_groups import PushRequest

_OUTPUT_FULL = "failed to write whole buffer"  # of cramjam
_FRAMED = b"\xff\x06\x00\x00sNaPpY"


class Pushes(Protocol):
    """The groups that pushes go to (``push_groups.PushGroups``)."""

    @property
    def body_bytes_max(self) -> int:
        """The most bytes that the body of a push may have, decompressed or not."""

    def apply(self, request: PushRequest) -> Awaitable[Receipt]:
        """Apply one push. Raises: NissaError."""


def push_request(method: bytes, labels: dict[str, str], body: bytes, encoding: Encoding, bytes_max: int) -> PushRequest:
    """The push that a request means.

    labels: the grouping key. body: as received. bytes_max: of the body, decompressed or not.
    Raises: Malformed; TooLarge.
    """
    if method == b"DELETE":
        return PushRequest(labels, None)
    if len(body) > bytes_max:
        raise _too_large(len(body), bytes_max)
    if encoding == Encoding.SNAPPY and body.startswith(_FRAMED):
        plain = _unframed(body, bytes_max)
    else:
        try:
            plain = decompress(body, encoding, bytes_max)
        except TooLarge as error:
            raise _too_large(error.got, bytes_max) from None
    return PushRequest(labels, plain, replaces=method == b"PUT")


def push_status(method: bytes) -> HTTPStatus:
    """The status of a success."""
    return HTTPStatus.ACCEPTED if method == b"DELETE" else HTTPStatus.OK


def _unframed(body: bytes, bytes_max: int) -> bytes:
    output = np.empty(bytes_max, np.uint8).data
    try:
        count = int(snappy.decompress_into(body, output))
    except DecompressionError as error:
        if _OUTPUT_FULL in str(error):
            raise _too_large(bytes_max + 1, bytes_max) from None
        raise Malformed(f"snappy: {error}") from None
    return bytes(output[:count])


def _too_large(got: int, limit: int) -> TooLarge:
    return TooLarge("the body of a push", got=got, limit=limit, setting="sources.push.group_size_max")
