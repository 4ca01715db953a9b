"""Entries of streams, sorted by the language of their payload."""

import base64
import hmac

from hypothesis import given
from hypothesis import strategies as st

from nissa._proto import leyline_pb2 as leyline
from nissa.model.frame import Codec
from nissa.sources.oona_entries import Entry, fields_of, id_before, id_key, payload_codec, sort_entries

SECRET = b"a secret"
BUS = leyline.BusEnvelope(message_type=4, payload=b"x").SerializeToString()
EVENT = leyline.EventEnvelope(event_id="e", payload=b"x").SerializeToString()


def signed(payload: bytes, secret: bytes = SECRET) -> bytes:
    return base64.b64encode(hmac.digest(secret, payload, "sha256"))


def test_languages() -> None:
    """A bus envelope, an event envelope, an entry of the JSON dialect, a bootstrap entry, and one without payload."""
    json_fields = {b"event_id": b"e", b"topic": b"t", b"payload": b"{}"}
    entries: list[Entry] = [
        ("1-0", {b"payload": BUS}),
        ("2-0", {b"payload": EVENT, b"signature": b"not looked at"}),
        ("3-0", json_fields),
        ("4-0", {b"bootstrap": b""}),
        ("5-0", {b"other": b""}),
        ("6-0", {b"payload": b""}),
    ]
    found = sort_entries(entries, b"")
    assert found.messages == {
        Codec.LEYLINE_BUS: (["1-0", "6-0"], [BUS, b""]),
        Codec.LEYLINE_EVENT: (["2-0"], [EVENT]),
        Codec.LEYLINE_JSON: (["3-0"], [b'{"event_id":"e","topic":"t","payload":"{}"}']),
    }
    assert found.passed == ["4-0"]
    assert found.refused == [(entries[4], "payload_missing")]
    assert found.verified == 4


def test_signatures() -> None:
    """With a secret an entry without a signature is refused; one with a wrong signature is listed as mismatched."""
    entries: list[Entry] = [
        ("1-0", {b"payload": BUS, b"signature": signed(BUS)}),
        ("2-0", {b"payload": BUS}),
        ("3-0", {b"payload": BUS, b"signature": signed(BUS, b"another")}),
        ("4-0", {b"payload": BUS, b"signature": b"no base64!"}),
    ]
    found = sort_entries(entries, SECRET)
    assert found.messages == {Codec.LEYLINE_BUS: (["1-0"], [BUS])}
    assert found.refused == [(entries[1], "signature_missing")]
    assert found.mismatched == entries[2:]


@given(st.binary(max_size=20))
def test_any_payload_has_a_language(payload: bytes) -> None:
    """The first byte decides."""
    assert payload_codec(payload) in (Codec.LEYLINE_BUS, Codec.LEYLINE_EVENT, Codec.LEYLINE_JSON)


def test_ids() -> None:
    """Ids are ordered by both of their numbers; before the first of a millisecond comes the last of the one before."""
    assert id_key("10-2") < id_key("10-10") < id_key("11-0") == id_key("11")
    assert id_before("10-3") == "10-2"
    assert id_before("10-0") == f"9-{2**64 - 1}"
    assert id_before("0-0") == "0-0"


def test_fields() -> None:
    """Names and values in turn."""
    assert fields_of([b"a", b"1", b"b", b"2"]) == {b"a": b"1", b"b": b"2"}
