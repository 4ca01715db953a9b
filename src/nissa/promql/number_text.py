"""Numbers as text, as Go prints them: shortest digits that read back as the same number.

plain_text    1e+06 -> 1000000   0.1 -> 0.1   1e21 -> 1e+21     values in answers (plain between 1e-6 and 1e21)
short_text    1e+06 -> 1e+06     0.1 -> 0.1                     warnings (exponent from 1e6 on, below 1e-4)
label_text    1e+06 -> 1e+06     1 -> 1.0                       labels that OpenMetrics wants to look like floats
"""

import math
from decimal import Decimal

PLAIN_LEAST = 1e-6
PLAIN_MOST = 1e21
SHORT_LEAST_EXPONENT = -4
SHORT_MOST_EXPONENT = 6


def plain_text(value: float) -> str:
    """A value as Prometheus' HTTP API writes it."""
    if not math.isfinite(value):
        return _special(value)
    if value == 0 or PLAIN_LEAST <= abs(value) < PLAIN_MOST:
        return _without_exponent(value)
    return _with_exponent(value)


def full_text(value: float) -> str:
    """A value without an exponent, however many digits that takes: how scalars are written."""
    return _without_exponent(value) if math.isfinite(value) else _special(value)


def short_text(value: float) -> str:
    """A value as Go's ``%g`` writes it."""
    if not math.isfinite(value):
        return _special(value)
    exponent = 0 if value == 0 else Decimal(repr(value)).adjusted()
    if SHORT_LEAST_EXPONENT <= exponent < SHORT_MOST_EXPONENT:
        return _without_exponent(value)
    return _with_exponent(value)


def label_text(value: float) -> str:
    """A value as OpenMetrics writes the bound of a bucket or a quantile."""
    if value == 0:
        return "0.0"
    text = short_text(value)
    return text if not math.isfinite(value) or "e" in text or "." in text else text + ".0"


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _without_exponent(value: float) -> str:
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def _with_exponent(value: float) -> str:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):
        return _special(value)
    exponent += len(digits) - 1
    mantissa = "".join(map(str, digits))
    mantissa = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
