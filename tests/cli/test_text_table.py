"""Tables for people and for programs."""

import orjson
import pytest

from nissa.cli.text_table import print_table, printable, utc


def test_columns_line_up_and_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Texts to the left, numbers to the right, the count in the title."""
    print_table("blocks", ["name", "rows"], [["a", 1], ["long", 12345]], as_json=False)
    assert capsys.readouterr().out == "blocks (2)\n  name    rows\n  a          1\n  long  12,345\n"


def test_json_has_one_object_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the plain numbers."""
    print_table("blocks", ["name", "rows"], [["a", 12345]], as_json=True)
    assert orjson.loads(capsys.readouterr().out) == {"kind": "blocks", "name": "a", "rows": 12345}


def test_an_empty_table_is_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing there is said, not shown as an empty grid."""
    print_table("blocks", ["name"], [], as_json=False)
    assert capsys.readouterr().out == "blocks (0)\n"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01 00:00:00.000Z"),
        (-1, "1969-12-31 23:59:59.999Z"),
        (1_732_190_000_123, "2024-11-21 11:53:20.123Z"),
    ],
)
def test_moments_are_utc(ms: int, text: str) -> None:
    """Milliseconds are kept, before 1970 too; to the second they are left out."""
    assert utc(ms) == text
    assert utc(ms, to_the_second=True) == text[:-5] + "Z"


def test_moments_no_calendar_has_stay_numbers() -> None:
    """A timestamp of 2^62 is printed as a number with its unit."""
    assert utc(2**62) == utc(2**62, to_the_second=True) == f"{2**62}ms"


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in a name cannot control the terminal, nor begin a line."""
    print_table("names", ["name"], [["\x1b[2Jé\n"]], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].strip() == r"\x1b[2Jé\n"
    assert printable("plain é") == "plain é"
