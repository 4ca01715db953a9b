"""Settings that operators write with a unit (``30s``, ``1h30m``, ``64MiB``) and code sees in milliseconds or bytes.

The type of a setting has its unit and its bounds: ``idle_ttl_ms: Annotated[int, duration(SECOND_MS, YEAR_MS)]``.
Operators write it under the name without the unit, ``idle_ttl: 2h``; ``config/names.py`` translates.
"""

import re
from decimal import Decimal
from enum import Enum

import msgspec

from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS

DURATIONS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS, "y": 365 * DAY_MS}
SIZES = {
    "B": 1,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
}
TEXT_LENGTH_MAX = 64

_PARTS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[a-zA-Z]+)+", re.ASCII)
_PART = re.compile(r"([0-9.]+)([a-zA-Z]+)", re.ASCII)
_SHOWN_DURATIONS = ("d", "h", "m", "s", "ms")
_SHOWN_SIZES = ("TiB", "GiB", "MiB", "KiB", "B")


class Unit(Enum):
    """The kind of a number; the value says in a message what is expected."""

    COUNT = "a whole number"
    DURATION = "a duration such as 500ms, 30s, 6h or 7d"
    SIZE = "a size such as 64KiB, 32MiB or 1GiB"


class Quantity(msgspec.Struct, frozen=True):
    """The unit and bounds of a setting; both bounds are allowed.

    name: as operators write it, where that is not the field's name without its unit.
    """

    unit: Unit
    least: int
    greatest: int
    name: str = ""


def count(least: int, greatest: int) -> Quantity:
    """A plain number."""
    return Quantity(Unit.COUNT, least, greatest)


def duration(least: int, greatest: int, name: str = "") -> Quantity:
    """Kind of a setting in milliseconds, whose field name ends in ``_ms``.

    least, greatest: bounds in milliseconds, both allowed. name: as operators write it; derived from the field's by
    default.
    """
    return Quantity(Unit.DURATION, least, greatest, name)


def size(least: int, greatest: int, name: str = "") -> Quantity:
    """Kind of a setting in bytes, whose field name has the word ``bytes``.

    least, greatest: bounds in bytes, both allowed. name: as operators write it; derived from the field's by default.
    """
    return Quantity(Unit.SIZE, least, greatest, name)


def read_quantity(text: str, unit: Unit) -> int:
    """The number of milliseconds or bytes that ``text`` means. Raises: ValueError, saying what was expected.

    A plain number is a count or a size in bytes; of durations only ``0`` needs no unit.
    """
    if re.fullmatch(r"-?[0-9]{1,40}", text, re.ASCII) and (unit is not Unit.DURATION or text == "0"):
        return int(text)
    if unit is Unit.COUNT or len(text) > TEXT_LENGTH_MAX or _PARTS.fullmatch(text) is None:
        raise ValueError(f"expected {unit.value}, got {text[:TEXT_LENGTH_MAX]!r}")
    factors = DURATIONS if unit is Unit.DURATION else SIZES
    total = Decimal(0)
    for number, word in _PART.findall(text):
        if word not in factors:
            raise ValueError(f"expected {unit.value}, got {text!r}: units are {', '.join(factors)}")
        total += Decimal(number) * factors[word]
    if total != int(total):
        raise ValueError(f"expected {unit.value}, got {text!r}: not a whole number of {next(iter(factors))}")
    return int(total)


def write_quantity(value: int, unit: Unit) -> str:
    """``value`` in the largest unit that divides it; ``read_quantity`` reads it back."""
    if unit is Unit.COUNT:
        return str(value)
    factors, words = (DURATIONS, _SHOWN_DURATIONS) if unit is Unit.DURATION else (SIZES, _SHOWN_SIZES)
    word = next(word for word in words if value % factors[word] == 0) if value else words[-1]
    return f"{value // factors[word]}{word}"
