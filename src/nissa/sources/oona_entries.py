"""Classifies entries of Oona's Redis streams by the format of their payload. Bytes in, messages out.

    fields of an entry                               read as
    -----------------------------------------------  -----------------------------------------------------------------
    payload = BusEnvelope, signature?                LEYLINE_BUS
    payload = EventEnvelope, signature?              LEYLINE_EVENT: its first byte is the tag of event_id
    event_id, sender_id, timestamp, trace_id,        LEYLINE_JSON: one object of all the fields, as the older dialect
    topic, payload = JSON                            sends them
    bootstrap                                        passed over: made with a group on a stream that was not there
    no payload                                       refused: ``payload_missing``

``signature`` is base64 of HMAC-SHA256 over the bytes of ``payload``. It is checked where there is a secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from nissa.model.frame import Codec

Fields = Mapping[bytes, bytes]
Entry = tuple[str, Fields]  # id, fields

PAYLOAD: Final = b"payload"
_SIGNATURE: Final = b"signature"
_BOOTSTRAP: Final = b"bootstrap"
_TAG_EVENT_ID: Final = 0x0A  # field 1 as bytes; in a BusEnvelope field 1 is a varint, 0x08
_OBJECT: Final = ord("{")


class Sorted(msgspec.Struct):
    """Entries of one read of one stream.

    messages: codec -> (ids, messages). passed: ids of entries that bring nothing. refused: (entry, reason).
    mismatched: entries whose signature is not that of the secret.
    """

    messages: dict[Codec, tuple[list[str], list[bytes]]] = {}
    passed: list[str] = []
    refused: list[tuple[Entry, str]] = []
    mismatched: list[Entry] = []

    @property
    def verified(self) -> int:
        """Number of messages to deliver."""
        return sum(len(ids) for ids, _ in self.messages.values())


def sort_entries(entries: Iterable[Entry], secret: bytes) -> Sorted:
    """Classify entries. secret: of the signatures; empty: they are not checked."""
    found = Sorted()
    for entry in entries:
        entry_id, fields = entry
        payload = fields.get(PAYLOAD)
        if payload is None:
            if _BOOTSTRAP in fields:
                found.passed.append(entry_id)
            else:
                found.refused.append((entry, "payload_missing"))
            continue
        if secret:
            signature = fields.get(_SIGNATURE)
            if signature is None:
                found.refused.append((entry, "signature_missing"))
                continue
            if not is_signature(signature, payload, secret):
                found.mismatched.append(entry)
                continue
        codec = payload_codec(payload)
        message = payload if codec != Codec.LEYLINE_JSON else json_message(fields)
        ids, messages = found.messages.setdefault(codec, ([], []))
        ids.append(entry_id)
        messages.append(message)
    return found


def payload_codec(payload: bytes) -> Codec:
    """The language of a payload, by its first byte."""
    first = payload[0] if payload else 0
    if first == _TAG_EVENT_ID:
        return Codec.LEYLINE_EVENT
    return Codec.LEYLINE_JSON if first == _OBJECT else Codec.LEYLINE_BUS


def json_message(fields: Fields) -> bytes:
    """The fields of an entry of the JSON dialect as one JSON object, each a string as it came."""
    texts = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    texts.pop("signature", None)
    return msgspec.json.encode(texts)


def is_signature(signature: bytes, payload: bytes, secret: bytes) -> bool:
    """Check a signature in constant time.

    signature: as in the entry, base64. payload: the signed bytes. secret: key of the HMAC.
    """
    try:
        given = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(given, hmac.digest(secret, payload, hashlib.sha256))


def fields_of(flat: Sequence[bytes]) -> Fields:
    """Names and values that stand behind one another, as Redis answers them."""
    return dict(zip(flat[::2], flat[1::2], strict=False))


def id_key(entry_id: str) -> tuple[int, int]:
    """An id such as ``1758000000000-3`` as what it is ordered by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def id_before(entry_id: str) -> str:
    """The greatest id below one."""
    milliseconds, number = id_key(entry_id)
    if number:
        return f"{milliseconds}-{number - 1}"
    return f"{milliseconds - 1}-{2**64 - 1}" if milliseconds else "0-0"
