"""Flattens JSON objects of buses to texts and numbers, for attributes, labels and metrics."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

FIELDS_MAX: Final = 256  # of one object, those of objects in it included; the rest is left out
TEXT_CHARACTERS_MAX: Final = 4096
_MS_MIN: Final = 100_000_000_000  # numbers from here on are milliseconds: in seconds they would be after the year 5138


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises: ValueError."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got {type(found).__name__}")
    return found


def flat(found: Mapping[str, Any], join: str) -> dict[str, Any]:
    """Scalars of an object and of objects in it, by name; names of both are joined by ``join``."""
    return dict(islice(_walk(found, "", join), FIELDS_MAX))


def _walk(found: Mapping[str, Any], prefix: str, join: str) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        here = f"{prefix}{join}{name}" if prefix else name
        if isinstance(value, dict):
            yield from _walk(value, here, join)
        elif value is not None:
            yield here, value


def text_of(value: Any) -> str:
    """A scalar or list as text, cut at 4,096 characters."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:TEXT_CHARACTERS_MAX]


def finite_number(value: Any) -> float | None:
    """A number or truth value as a finite float; None for others."""
    if not isinstance(value, (bool, int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def time_ms_of(value: Any) -> int | None:
    """A time: ISO 8601 (UTC where it names no zone), or a number of seconds or milliseconds by its size."""
    number = finite_number(value) if not isinstance(value, bool) else None
    if number is not None:
        return int(number) if abs(number) >= _MS_MIN else int(number * 1000)
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
