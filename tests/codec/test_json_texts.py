"""JSON of buses as texts, numbers and times."""

import pytest

from nissa.codec.json_texts import FIELDS_MAX, finite_number, flat, text_of, time_ms_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-09-16T05:20:00Z", 1_758_000_000_000),
        ("2025-09-16T05:20:00", 1_758_000_000_000),
        ("2025-09-16T07:20:00.250+02:00", 1_758_000_000_250),
        (1_758_000_000, 1_758_000_000_000),
        (1_758_000_000.5, 1_758_000_000_500),
        (1_758_000_000_123, 1_758_000_000_123),
        ("soon", None),
        (True, None),
        (None, None),
    ],
)
def test_times(value: object, expected: int | None) -> None:
    """ISO 8601 with and without a zone, seconds and milliseconds."""
    assert time_ms_of(value) == expected


def test_numbers() -> None:
    """Finite numbers and truth values; texts are none."""
    assert [finite_number(value) for value in (1, True, 2.5, "3", None, float("nan"), 10**400)] == [
        *(1.0, 1.0, 2.5, None, None, None, None)
    ]


def test_objects_are_flattened_up_to_a_bound() -> None:
    """Names of nested objects are joined; lists stay; nulls go; the number of fields has a bound."""
    assert flat({"a": {"b": {"c": 1}}, "d": [1], "e": None}, ".") == {"a.b.c": 1, "d": [1]}
    assert len(flat({str(number): number for number in range(1_000)}, ".")) == FIELDS_MAX


def test_texts_have_a_bound() -> None:
    """Anything as text, cut."""
    assert (text_of([1, "a"]), text_of(2.5), text_of("x" * 9_999)) == ('[1,"a"]', "2.5", "x" * 4_096)
