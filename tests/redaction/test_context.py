"""Redaction of applications' logs before the journal: a corpus of lines with secrets, of which none is left."""

import json
import random

import pytest

from nissa.config.redaction import Redaction, RedactionRule
from nissa.redaction.context import DEPTH_MAX, SECRET, ContextRedaction

RULES = ContextRedaction(Redaction(), b"s" * 32)
LINES = 1_000


def secret_of(dice: random.Random, kind: str) -> str:
    """Something that must not be stored, unlike everything else of the corpus."""
    name = "".join(dice.choices("bcdfghjklmnpqrstvwxz", k=12))
    number = dice.randrange(10**12)
    return {
        "email": f"{name}@mail.{name[:5]}.org",
        "bearer": f"Bearer {name}{number}{name}",
        "card": " ".join([f"4{dice.randrange(10**3):03}", *(f"{dice.randrange(10**4):04}" for _ in range(3))]),
        "ip": ".".join(str(dice.randrange(256)) for _ in range(4)),
        "ip6": ":".join(f"{dice.randrange(4096, 65536):x}" for _ in range(8)),
        "assigned": f"password={name}{number}",
        "jwt": f"eyJ{name}.{name}{number}.{name}",
    }[kind]


def corpus(dice: random.Random) -> list[tuple[str, str, dict]]:
    """(secret, message, context): in the message, under a telling key, or deep inside of the context."""
    lines = []
    for number in range(LINES):
        secret = secret_of(dice, dice.choice(["email", "bearer", "card", "ip", "ip6", "assigned", "jwt"]))
        key = dice.choice(["Password", "api_KEY", "x-auth-header", "sessionId", "my_cookies", "emailAddress"])
        value = "".join(dice.choices("bcdfghjklmnpqrstvwxz", k=16))
        context = {"order": number, "deep": [{"list": [secret]}, {key: {"in": [value]}}], "query": f"a={secret}&b=1"}
        lines += [(secret, f"order {number} failed for {secret}, again", context), (value, "it failed", context)]
    return lines


def test_no_secret_of_the_corpus_is_left() -> None:
    """Neither in messages nor anywhere in contexts; the rest of both is."""
    seed = random.randrange(2**32)
    print("seed", seed)
    for secret, message, context in corpus(random.Random(seed)):
        found = RULES.text(message) + json.dumps(RULES.value(context))
        core = secret.removeprefix("Bearer ").removeprefix("password=")
        assert core not in found, (secret, found)
        assert "failed" in found
        assert f'"order": {context["order"]}' in found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"Authorization": "x", "n": 1, "ok": True, "none": None},
            {"Authorization": SECRET, "n": 1, "ok": True, "none": None},
        ),
        ({"a": [{"TOKENS": ["x"]}]}, {"a": [{"TOKENS": SECRET}]}),
        (4111111111111111, "[redacted:card]"),
        (123456789012, 123456789012),
        ("version 1.2.3 at 12:30:45", "version 1.2.3 at 12:30:45"),
        ("from 10.0.0.255:80", "from [redacted:ip]:80"),
        ({"a@b.org": 1}, {"[redacted:email]": 1}),
    ],
)
def test_keys_and_values(value: object, expected: object) -> None:
    """Keys in any case at any depth; numbers of cards; times and versions stay."""
    assert RULES.value(value) == expected


def test_the_depth_is_bounded() -> None:
    """Deeper values are left out, rather than stored as they are."""
    value: object = "a@b.org"
    for _ in range(DEPTH_MAX * 10):
        value = [value]
    assert "org" not in json.dumps(RULES.value(value))


def test_users_are_hashed_with_the_secret_of_the_directory() -> None:
    """Equal users have equal hashes there and nowhere else; own patterns of the settings count too."""
    other = ContextRedaction(Redaction(patterns=(RedactionRule("order", "ORD-[0-9]+"),)), b"t" * 32)
    assert RULES.hashed("ann") == RULES.hashed("ann") != other.hashed("ann")
    assert (RULES.hashed(""), "ann" in RULES.hashed("ann")) == ("", False)
    assert other.text("order ORD-17") == "order [redacted:order]"
