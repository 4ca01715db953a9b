"""Redaction of events: default rules, rules of the operator, and what stays as it was."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.redaction import Action, Redaction, RedactionRule
from nissa.model.columns import EventBatch, TextColumn
from nissa.redaction.redact import KeyRules, PreparedRules, prepare_rules, redact

SECRET = bytes(range(32))
DEFAULT = prepare_rules(Redaction(), SECRET)
HASH = r"\[hash:[0-9a-f]{16}\]"


def text(values: list[str]) -> TextColumn:
    """Strings as a column."""
    parts = [value.encode() for value in values]
    return TextColumn(np.cumsum([0, *(len(part) for part in parts)]).astype(np.int32), b"".join(parts))


def events_of(rows: list[tuple[str, list[tuple[str, str]]]]) -> EventBatch:
    """Events of these descriptions and attributes."""
    pairs = [pair for _, attributes in rows for pair in attributes]
    count = len(rows)
    return EventBatch(
        np.arange(count),
        np.full(count, 3, np.uint8),
        text(["me@source.org"] * count),
        text([f"4111111111111111-{place}" for place in range(count)]),
        text([description for description, _ in rows]),
        text(["p"] * count),
        np.cumsum([0, *(len(attributes) for _, attributes in rows)]).astype(np.int32),
        text([name for name, _ in pairs]),
        text([value for _, value in pairs]),
    )


def redacted(description: str, rules: PreparedRules = DEFAULT, **attributes: str) -> tuple[str, dict[str, str]]:
    """One event between two others, redacted: its description and attributes."""
    other = ("grafted at 12", [("region", "eu")])
    batch, _ = redact(events_of([other, (description, list(attributes.items())), other]), rules)
    first, row, last = (batch.row(place) for place in range(3))
    assert first["description"] == last["description"] == other[0]
    assert first["attributes"] == last["attributes"] == dict(other[1])
    assert row["source"] == "me@source.org"
    assert row["event_id"] == "4111111111111111-1"
    return row["description"], row["attributes"]


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        ("mail to anna.b+x@mail.example.org failed", "mail to [redacted:email] failed"),
        ("a@b.c, d@e.f", "[redacted:email], [redacted:email]"),
        ("card 4111 1111 1111 1111 declined", "card [redacted:card] declined"),
        ("Authorization: Bearer abc.def-123456", "Authorization: [redacted:bearer]"),
        ("with eyJhbGciOi.eyJzdWIi.sIg-9", "with [redacted:jwt]"),
        ("postgres://nissa:s3cret@db/x", "postgres[redacted:credentials]db/x"),
        ("AKIAIOSFODNN7EXAMPLE in log", "[redacted:key_id] in log"),
        ("login with Password=hunter2, user 7", "login with [redacted:assigned], user 7"),
        ("at 1732200000000 in 4111 steps, 1.2.3.4", "at 1732200000000 in 4111 steps, 1.2.3.4"),
        ("à é@日本.jp 日héé@b.org!", "à [redacted:email] [redacted:email]!"),
        ("", ""),
    ],
)
def test_text_that_gives_people_or_secrets_away(description: str, wanted: str) -> None:
    """Parts of descriptions and of attribute values are replaced; what only resembles them stays."""
    assert redacted(description)[0] == wanted
    assert redacted("x", note=description)[1] == {"note": wanted}


def test_names_that_give_values_away() -> None:
    """Secrets are masked, people hashed: the same value alike, another otherwise; the last part of a name decides."""
    _, attributes = redacted(
        "x",
        **{"db.password": "hunter2", "Authorization": "Basic x", "user_id": "anna", "userId": "anna"},
        user="bert",
        password_age="7",
        tokens="12",
        host="h",
        token="",
    )
    assert attributes["db.password"] == attributes["Authorization"] == "[redacted:secret]"
    assert re.fullmatch(HASH, attributes["user_id"])
    assert attributes["user_id"] == attributes["userId"] != attributes["user"]
    assert (attributes["password_age"], attributes["tokens"]) == ("7", "12")
    assert (attributes["host"], attributes["token"]) == ("h", "")


def test_hashes_are_of_one_directory() -> None:
    """A person has another hash under another secret, so tables of hashes are of no use."""
    there = prepare_rules(Redaction(), bytes(32))
    assert redacted("x", user="anna") != redacted("x", there, user="anna")
    assert redacted("x", user="anna") == redacted("x", user="anna")


def test_what_needs_nothing_comes_back_itself() -> None:
    """A batch without a match, without rules or with redaction off is returned itself."""
    batch = events_of([("grafted", [("region", "eu")]), ("culled", [])])
    for rules in (DEFAULT, prepare_rules(Redaction(enabled=False), SECRET), PreparedRules(KeyRules(()), ())):
        assert redact(batch, rules) == (batch, {})
        assert redact(batch, rules)[0] is batch
    assert redact(events_of([("a@b.org", [])]), prepare_rules(Redaction(enabled=False), SECRET))[1] == {}


def test_rules_of_the_operator_stand_in_place_of_the_defaults() -> None:
    """Own keys and patterns, each with its action; the number of texts changed is counted by rule."""
    own = Redaction(
        defaults=False,
        keys=(RedactionRule("seat", "seat"),),
        patterns=(RedactionRule("badge", r"^#\d+$", Action.HASH), RedactionRule("dog", "Wuff")),
    )
    rules = prepare_rules(own, SECRET)
    rows = [("#12", [("seat", "4a"), ("seat", "4a")]), ("#12 ", [("s", "a@b.org")]), ("WuffWuff", [("s", "#12")])]
    batch, counts = redact(events_of(rows), rules)
    shown = [batch.row(place) for place in range(3)]
    assert re.fullmatch(HASH, shown[0]["description"])
    assert shown[0]["description"] == shown[2]["attributes"]["s"]
    assert shown[1]["description"] == "#12 "
    assert shown[1]["attributes"] == {"s": "a@b.org"}
    assert shown[2]["description"] == "[redacted:dog][redacted:dog]"
    assert shown[0]["attributes"] == {"seat": "[redacted:seat]"}
    assert counts == {"seat": 2, "badge": 2, "dog": 1}


def test_rules_of_the_operator_stand_before_the_defaults() -> None:
    """An own rule for a name that the defaults know decides, and the defaults go on behind it."""
    rules = prepare_rules(Redaction(keys=(RedactionRule("staff", "user", Action.MASK),)), SECRET)
    assert redacted("a@b.org", rules, user="anna", password="x") == (
        "[redacted:email]",
        {"user": "[redacted:staff]", "password": "[redacted:secret]"},
    )


pieces = st.sampled_from(
    ["a@b.org", "x", " ", "4111111111111111", "é", "", "Bearer 12345678", "eyJa.b.c", "password=y"]
)
texts = st.lists(pieces, max_size=4).map("".join)
names = st.sampled_from(["user", "password", "region", "é", "api-key"])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(texts, st.lists(st.tuples(names, texts), max_size=3)), max_size=8))
def test_events_are_redacted_alike_alone_and_among_others(rows: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """A batch is redacted as its events are one by one, and redacting again changes nothing but hashes."""
    whole, _ = redact(events_of(rows), DEFAULT)
    alone = [redact(events_of([row]), DEFAULT)[0] for row in rows]
    for place, one in enumerate(alone):
        wanted, got = one.row(0), whole.row(place)
        assert (got["description"], got["attributes"]) == (wanted["description"], wanted["attributes"])
        assert "a@b.org" not in got["description"]
