"""Contexts of frames: what an edge knew, as bytes and back."""

import msgspec
import pytest

from nissa.model.context import LABELS_MAX, NO_CONTEXT, Context, decode_context

FULL = Context(
    labels={"job": "node", "instance": "10.0.0.1:9100"},
    conflict="keep",
    tenant=("tenant", "acme"),
    stream="oona.normal",
    subject="system.error.critical",
    ids=("1693-0", "1693-1"),
    url="/metrics/job/a",
    parameters={"version": "0.0.4"},
)


def test_a_context_is_read_back_as_it_was() -> None:
    """Every field survives, and a context that says nothing is no bytes."""
    assert decode_context(FULL.encode()) == FULL
    assert NO_CONTEXT.encode() == b""
    assert decode_context(b"") == NO_CONTEXT
    assert decode_context(Context(url="é").encode()).url == "é"


def test_what_is_not_known_is_refused() -> None:
    """A field or a rule of a later version, a label no series can have, and bytes that are no map are ValueErrors."""
    for value in ({"colour": "red"}, {"conflict": "merge"}, {"labels": {"": "x"}}, {"labels": {"__name__": "x"}}, [1]):
        with pytest.raises(ValueError, match=r"."):
            decode_context(msgspec.msgpack.encode(value))
    with pytest.raises(ValueError, match=r"."):
        decode_context(FULL.encode()[:-1])
    with pytest.raises(ValueError, match="65 labels; at most 64"):
        Context(labels={f"l{n}": "v" for n in range(LABELS_MAX + 1)})
    with pytest.raises(ValueError, match="cannot set the label '__name__'"):
        Context(tenant=("__name__", "x"))


def test_the_tenant_replaces() -> None:
    """Rules are those of the labels, and at the end the tenant's; labels without a value add nothing."""
    assert FULL.rules() == [
        ("job", "node", "keep"),
        ("instance", "10.0.0.1:9100", "keep"),
        ("tenant", "acme", "replace"),
    ]
    assert Context(labels={"tenant": "other", "a": ""}, tenant=("tenant", "acme")).rules() == [
        ("tenant", "acme", "replace")
    ]
