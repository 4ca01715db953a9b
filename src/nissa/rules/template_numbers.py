"""Numbers and times as Go's fmt and the template functions of Prometheus write them."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

_LARGE: Final = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_LARGE_1024: Final = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_SMALL: Final = ("m", "u", "n", "p", "f", "a", "z", "y")
_VERB: Final = re.compile(r"%([-+# 0]*+)(\d++)?(?:\.(\d++))?([a-zA-Z%])")
EXPONENT_FROM: Final = 6
WIDTH_MAX: Final = 1_000
SECONDS_MAX: Final = 250_000_000_000
TEXT_CHARS_MAX: Final = 64 * 1024
NESTING_MAX: Final = 20
_QUOTED: Final = {92: "\\\\", 34: '\\"', 10: "\\n", 9: "\\t", 13: "\\r"}


class BoundedText:
    """A text in parts. ``add`` refuses what makes it longer than its limit, before it is put together."""

    def __init__(self, characters_max: int = TEXT_CHARS_MAX) -> None:
        self._parts: list[str] = []
        self._chars, self._max = 0, characters_max

    def add(self, text: str) -> None:
        """Put a part behind the others. Raises: ValueError."""
        self._chars += len(text)
        if self._chars > self._max:
            raise ValueError(f"the text is longer than {self._max} characters")
        self._parts.append(text)

    def text(self) -> str:
        """All parts as one text."""
        return "".join(self._parts)


def go_text(value: Any) -> str:
    """A value as ``{{ }}`` prints it. Raises: ValueError for a list or map that is too long or nested too deep."""
    if hasattr(value, "go_text"):
        return str(value.go_text())
    if isinstance(value, dict | list | tuple):
        found = BoundedText()
        _add_nested(found, value, 0)
        return found.text()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if value is None:
        return "<no value>"
    return str(value)


def printed(value: Any) -> str:
    """A value as print and printf have it, in which nothing is ``<nil>``."""
    return "<nil>" if value is None else go_text(value)


def _add_nested(found: BoundedText, value: Any, depth: int) -> None:
    if depth > NESTING_MAX:
        raise ValueError(f"the value is nested more than {NESTING_MAX} deep")
    if type(value) is str:
        found.add(value)
        return
    if hasattr(value, "go_text") or not isinstance(value, dict | list | tuple):
        found.add(go_text(value))
        return
    is_map = isinstance(value, dict)
    found.add("map[" if is_map else "[")
    for place, one in enumerate(sorted(value) if is_map else value):
        found.add((" " if place else "") + (f"{one}:" if is_map else ""))
        _add_nested(found, value[one] if is_map else one, depth + 1)
    found.add("]")


def go_float(value: float) -> str:
    """The shortest digits that give the number, with an exponent from 1e+06 on: %v."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0")
    power = len(digits) + int(exponent) - 1
    minus = "-" if sign else ""
    if power < -4 or power >= EXPONENT_FROM:
        rest = f".{figures[1:]}" if len(figures) > 1 else ""
        return f"{minus}{figures[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{figures}"
    whole = figures[: power + 1].ljust(power + 1, "0")
    part = figures[power + 1 :]
    return f"{minus}{whole}.{part}" if part else minus + whole


def four_digits(value: float) -> str:
    """%.4g"""
    if math.isnan(value) or math.isinf(value):
        return go_float(value)
    return f"{value:.4g}"


def humanize(value: float) -> str:
    """``1.235k``, ``12m``."""
    return _scaled(value, 1000, _LARGE) if abs(value) >= 1 else _small(value)


def humanize_1024(value: float) -> str:
    """``1.5Mi``."""
    return _scaled(value, 1024, _LARGE_1024) if abs(value) > 1 else four_digits(value)


def humanize_duration(value: float) -> str:
    """Seconds as ``1d 2h 3m 4s``, ``12ms``."""
    if value == 0 or math.isnan(value) or math.isinf(value):
        return four_digits(value) + ("s" if value == 0 else "")
    if abs(value) < 1:
        return _small(value) + "s"
    sign, rest = ("-" if value < 0 else ""), abs(value)
    whole = int(rest)
    seconds, minutes, hours, days = whole % 60, whole // 60 % 60, whole // 3600 % 24, whole // 86400
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{four_digits(rest)}s"


def humanize_percentage(value: float) -> str:
    """A share as ``12.35%``."""
    return f"{four_digits(value * 100)}%"


def humanize_timestamp(value: float) -> str:
    """Unix seconds as ``2015-04-21 15:04:05 +0000 UTC``."""
    if math.isnan(value) or math.isinf(value):
        return four_digits(value)
    return time_text(value)


def time_text(seconds: float) -> str:
    """A time as Go prints it, in UTC, to the millisecond. Raises: ValueError where there is no such year."""
    if abs(seconds) > SECONDS_MAX:
        raise ValueError(f"{seconds:g} seconds are no time of a calendar")
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=math.floor(seconds * 1000))
    except OverflowError:
        raise ValueError(f"{seconds:g} seconds are no time of a calendar") from None
    part = f".{at.microsecond // 1000:03d}".rstrip("0").rstrip(".") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{part} +0000 UTC"


def _scaled(value: float, base: int, prefixes: tuple[str, ...]) -> str:
    if math.isnan(value) or math.isinf(value):
        return four_digits(value)
    prefix = ""
    for one in prefixes:
        if abs(value) < base:
            break
        prefix, value = one, value / base
    return four_digits(value) + prefix


def _small(value: float) -> str:
    if value == 0 or math.isnan(value):
        return four_digits(value)
    prefix = ""
    for one in _SMALL:
        if abs(value) >= 1:
            break
        prefix, value = one, value * 1000
    return four_digits(value) + prefix


def go_format(form: str, *values: Any) -> str:
    """Sprintf with the verbs that templates use. Raises: ValueError for a width or a text that is too large."""
    found, at, used = BoundedText(), 0, 0
    for match in _VERB.finditer(form):
        found.add(form[at : match.start()])
        at = match.end()
        found.add(_verb(match, values[used : used + 1]))
        used += match[4] != "%"
    found.add(form[at:])
    for place, value in enumerate(values[used:]):
        found.add(f"{', ' if place else '%!(EXTRA '}{_kind(value)}={go_text(value)}")
    found.add(")" if used < len(values) else "")
    return found.text()


def _verb(match: re.Match[str], value: tuple[Any, ...]) -> str:
    flags, width, precision, verb = match.groups()
    if verb == "%":
        return "%"
    if max(len(width or ""), len(precision or "")) > 4 or max(int(width or 0), int(precision or 0)) > WIDTH_MAX:
        raise ValueError(f"printf: widths are at most {WIDTH_MAX}")
    return _formatted(flags, width or "", precision, verb, value[0]) if value else f"%!{verb}(MISSING)"


def _formatted(flags: str, width: str, precision: str | None, verb: str, value: Any) -> str:
    if verb in "feEgG" and isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return go_float(value).rjust(int(width or 0))
        if precision is None and verb in "gG":
            return _padded(flags, width, go_float(value))
        return f"%{flags}{width}.{precision or 6}{verb}" % value
    if verb == "c" and isinstance(value, int) and not isinstance(value, bool):
        return _padded(flags, width, chr(value) if 0 <= value < 0xD800 or 0xE000 <= value < 0x110000 else "\ufffd")
    if verb in "dxXo" and isinstance(value, int) and not isinstance(value, bool):
        return f"%{flags}{width}{verb}" % value
    if verb in "sv" or (verb == "t" and isinstance(value, bool)):
        text = printed(value)
        if verb == "s" and not _is_text(value):
            return f"%!s({_kind(value)}={text})"
        return _padded(flags, width, text[: int(precision)] if precision else text)
    if verb == "q" and _is_text(value) and not isinstance(value, dict | list | tuple):
        escaped = go_text(value).translate(_QUOTED)
        return _padded(flags, width, f'"{escaped}"')
    if verb in "xX" and isinstance(value, str):
        digits = value.encode().hex(" ") if " " in flags else value.encode().hex()
        return _padded(flags, width, digits if verb == "x" else digits.upper())
    if verb == "T":
        return _kind(value)
    return f"%!{verb}({_kind(value)}={go_text(value)})"


def _is_text(value: Any) -> bool:
    """True of texts, of what prints itself, and of lists and maps of texts."""
    if hasattr(value, "go_text") or isinstance(value, str):
        return True
    values = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and all(isinstance(one, str) for one in values)


def _padded(flags: str, width: str, text: str) -> str:
    return text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0))


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "<nil>"}
    return kinds.get(type(value), "[]string" if isinstance(value, list) else "map[string]string")
