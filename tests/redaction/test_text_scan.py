"""Texts, bytes and runs found in columns, against a look at each string."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.text_scan import strings_with_any, strings_with_run, strings_with_text

strings = st.lists(st.text("ab1- é", max_size=12).map(str.encode), max_size=12)


def column(values: list[bytes], first: int = 0) -> tuple[np.ndarray, bytes]:
    """Offsets and bytes, the column beginning ``first`` bytes into them."""
    return np.cumsum([first, *map(len, values)]).astype(np.int32), b"@" * first + b"".join(values) + b"b1b1b1"


@given(strings, st.text("ab1", min_size=1, max_size=4).map(str.encode), st.integers(0, 2), st.integers(0, 3))
def test_strings_with_a_text(values: list[bytes], text: bytes, first: int, rarest: int) -> None:
    """Not where it stands across a border, before the column or behind it, whichever byte is looked for first."""
    found = strings_with_text(*column(values, first), text, rarest % len(text))
    assert found == [place for place, value in enumerate(values) if text in value]


@given(strings, st.sets(st.sampled_from(b"ab1-@\xc3"), min_size=1, max_size=4), st.integers(0, 2))
def test_strings_with_some_byte(values: list[bytes], wanted: set[int], first: int) -> None:
    """Each string is found once, however many such bytes it holds."""
    found = strings_with_any(*column(values, first), bytes(sorted(wanted)))
    assert found == [place for place, value in enumerate(values) if wanted & set(value)]


@given(strings, st.sets(st.sampled_from(b"ab1- \xc3\xa9")), st.integers(1, 14), st.integers(0, 2))
def test_strings_with_a_run(values: list[bytes], kind: set[int], run_min: int, first: int) -> None:
    """Strings with a run of at least ``run_min`` bytes of a kind are found."""
    table = bytes(byte in kind for byte in range(256))
    found = strings_with_run(*column(values, first), table, run_min)
    runs = re.compile(b"[%s]{%d}" % (b"".join(b"\\x%02x" % byte for byte in sorted(kind)), run_min)) if kind else None
    assert found == [place for place, value in enumerate(values) if runs and runs.search(value)]


def test_a_long_column_is_walked_to_its_end() -> None:
    """Strings far apart are found, the last one too."""
    values = [b"x" * (place % 7) for place in range(50_000)]
    for place in (0, 3, 4, 20_000, 49_999):
        values[place] = b"..needle=12345.."
    places = [0, 3, 4, 20_000, 49_999]
    assert strings_with_text(*column(values), b"needle") == places
    assert strings_with_any(*column(values), b"=!") == places
    assert strings_with_run(*column(values), bytes(48 <= byte < 58 for byte in range(256)), 5) == places


def test_what_makes_no_sense_is_refused() -> None:
    """Offsets outside the data, nothing to look for, kinds of other lengths."""
    offsets, data = column([b"ab", b"c"])
    for wrong in ([0, 9, 10], [2, 1, 3], [-1, 0, 1], [0, 2, 100]):
        with pytest.raises(ValueError, match="do not ascend"):
            strings_with_text(np.array(wrong, np.int32), data, b"a")
    for call in (
        lambda: strings_with_text(offsets, data, b""),
        lambda: strings_with_text(offsets, data, b"ab", 2),
        lambda: strings_with_any(offsets, data, b""),
        lambda: strings_with_any(offsets, data, b"12345"),
        lambda: strings_with_run(offsets, data, b"\1" * 255, 1),
        lambda: strings_with_run(offsets, data, b"\1" * 256, 0),
    ):
        with pytest.raises(ValueError, match=r"empty|1 to 4|256"):
            call()
    none = np.zeros(1, np.int32)
    assert strings_with_text(none, b"", b"a") == strings_with_any(none[:0], b"", b"a") == []
