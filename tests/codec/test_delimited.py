"""Runs of messages behind their lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.codec.delimited import joined, split, varint
from nissa.model.errors import Malformed
from oracle.wire import delimit
from oracle.wire import varint as slow_varint


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_is_joined_is_split(messages: list[bytes]) -> None:
    """Any messages come back, at the offsets where they stand."""
    body = joined(messages)
    assert body == delimit(messages)
    assert [bytes(message) for _, message in split(memoryview(body))] == messages
    assert all(body[at : at + len(message)] == message for at, message in split(memoryview(body)))


@given(st.integers(0, 2**32 - 1))
def test_varint(number: int) -> None:
    """The shortest form."""
    assert varint(number) == slow_varint(number)


@pytest.mark.parametrize("body", [b"\x05abc", b"\x80", b"\xff\xff\xff\xff\xff\x01a"])
def test_broken_runs_are_malformed(body: bytes) -> None:
    """A length that is cut off, too long, or beyond the body."""
    with pytest.raises(Malformed):
        list(split(memoryview(body)))
