"""Reads objectives: Nissa's own form, and documents of OpenSLO v1 (``open_slo.py``).

    slos:
      - name: api_errors                            one of:
        target_percentage: 99.9                       ratio: {bad: SELECTOR, total: SELECTOR}, or good instead of bad
        measurement_window: 30d                       error_rate: {errors: SELECTOR, total: SELECTOR}
        error_budget_burn_rate_threshold: 10          availability: {up: SELECTOR}
        ratio:                                        latency: {histogram: NAME, threshold: 0.25, matchers: 'job="a"'}
          bad: http_requests_total{code=~"5.."}       threshold: {violation: EXPRESSION}, 1 or more while it is violated
          total: http_requests_total                  pair: KEY, of slo.KEY_objective and slo.KEY_actual

Instead of a selector of counters an expression may stand that has ``$window`` for its range.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import Document, line_of, read_document
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.units import DAY_MS
from nissa.rules.rule_file import FILE_BYTES_MAX, Duration, read_duration_ms
from nissa.slo.objective import (
    Calendar,
    Objective,
    over,
    ratio_expressions,
    windowed_count,
    windowed_increase,
    windowed_sum,
)
from nissa.slo.open_slo import read_open_slo

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
KINDS: Final = ("ratio", "error_rate", "availability", "latency", "threshold", "pair")
LENGTHS_MS: Final = {Calendar.MONTH: 30 * DAY_MS, Calendar.QUARTER: 90 * DAY_MS, Calendar.YEAR: 365 * DAY_MS}
PROBE: Final = "5m"
SUBQUERY_STEP: Final = "1m"
_AT: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_SEPARATOR: Final = re.compile(rb"(?m)^---[ \t]*$")

Check = Callable[[str], object]
Fail = Callable[[str, str], ConfigInvalid]


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bad or good events, of all."""

    total: str
    bad: str = ""
    good: str = ""


class ErrorRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Errors of all requests."""

    errors: str
    total: str


class Availability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gauge that is 1 while it is available."""

    up: str


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A classic histogram. threshold: upper bound of one of its buckets, as in ``le``."""

    histogram: str
    threshold: str
    matchers: str = ""


class Violation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression that is 1 while the objective is violated and 0 while it is not, looked at every minute."""

    violation: str


class WrittenSlo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``slos``."""

    name: str
    target_percentage: float
    measurement_window: Duration = Duration(0)
    measurement_window_ms: int = 0
    calendar: Calendar = Calendar.NONE
    error_budget_burn_rate_threshold: float = 0.0
    events_min: float = 1.0
    conservative_mode: bool = False
    description: str = ""
    labels: dict[str, str] = {}
    ratio: Ratio | None = None
    error_rate: ErrorRate | None = None
    availability: Availability | None = None
    latency: Latency | None = None
    threshold: Violation | None = None
    pair: str = ""


class WrittenSlos(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of Nissa's own form."""

    slos: tuple[WrittenSlo, ...] = ()


def read_objective_file(path: Path, window_ms: int, check: Check) -> tuple[Objective, ...]:
    """Objectives of a file. window_ms: of those that name none. check: parses an expression. Raises: ConfigInvalid."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid("", f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_objective_file(text, str(path), window_ms, check)


def parse_objective_file(text: bytes, name: str, window_ms: int, check: Check) -> tuple[Objective, ...]:
    """Objectives of a file's ``text``; ``name`` is the file's. Errors: as for ``read_objective_file``."""
    parts = [part for part in _SEPARATOR.split(text) if part.strip()]
    documents = [read_document(part, name, FILE_BYTES_MAX) for part in parts]
    if any("apiVersion" in document for document in documents):
        found = read_open_slo(documents, name, window_ms)
    else:
        found = [
            one
            for part, document in zip(parts, documents, strict=True)
            for one in _own(document, part, name, window_ms)
        ]
    names = set()
    for objective in found:
        _check_objective(objective, name, check)
        if objective.name in names:
            raise ConfigInvalid("", f"{name}: the objective {objective.name!r} is repeated")
        names.add(objective.name)
    return tuple(found)


def _check_objective(objective: Objective, name: str, check: Check) -> None:
    where = f"{name}: {objective.name[:80]}"
    if NAME.fullmatch(objective.name) is None:
        raise ConfigInvalid("", f"{where}: a name is 1 to 100 letters, digits, dots, dashes or underscores")
    if not 0 < objective.target_percent < 100:
        raise ConfigInvalid("", f"{where}: the target is more than 0 and less than 100 percent")
    if objective.window_ms < DAY_MS:
        raise ConfigInvalid("", f"{where}: the window is at least a day")
    for expression in (objective.bad, objective.total):
        try:
            check(over(expression, PROBE))
        except BadQuery as error:
            raise ConfigInvalid("", f"{where}: {error}") from None


def _own(document: Document, text: bytes, name: str, window_ms: int) -> list[Objective]:
    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid("", f"{name}, line {line_of(text, place)}: {place}: {what}")

    if document.get("slos") == "":
        document["slos"] = []
    try:
        file = msgspec.convert(document, WrittenSlos, strict=False, dec_hook=_read_duration)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        place, what = at["path"] if at else "", _AT.sub("", str(error))
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is not None:
            raise fail(f"{place}.{unknown['name']}".removeprefix("."), "unknown key") from None
        raise fail(place, what[:1].lower() + what[1:]) from None
    return [_objective(one, f"slos[{number}]", name, window_ms, fail) for number, one in enumerate(file.slos)]


def _read_duration(kind: type, value: Any) -> Any:
    if kind is not Duration or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__.lower()}")
    return Duration(read_duration_ms(value))


def _objective(written: WrittenSlo, place: str, name: str, window_ms: int, fail: Fail) -> Objective:
    kinds = [kind for kind in KINDS if getattr(written, kind)]
    if len(kinds) != 1:
        raise fail(place, f"expected one of {', '.join(KINDS)}, got {' and '.join(kinds) or 'none'}")
    try:
        bad, total = _expressions(written)
    except BadQuery as error:
        raise fail(f"{place}.{kinds[0]}", str(error)) from None
    window = _window(written, place, fail)
    return Objective(
        written.name,
        bad,
        total,
        written.target_percentage,
        window or LENGTHS_MS.get(written.calendar, window_ms),
        written.calendar,
        written.error_budget_burn_rate_threshold,
        written.events_min,
        written.conservative_mode,
        written.labels,
        written.description,
        name,
    )


def _window(written: WrittenSlo, place: str, fail: Fail) -> int:
    """Milliseconds of the window that is written; 0 for none. Raises: ConfigInvalid, also for the numbers beside it."""
    windows = {"measurement_window": written.measurement_window, "measurement_window_ms": written.measurement_window_ms}
    named = [name for name, window_ms in windows.items() if window_ms]
    if written.measurement_window_ms < 0:
        raise fail(f"{place}.measurement_window_ms", "expected milliseconds of at least a day")
    if named and written.calendar:
        raise fail(f"{place}.{named[0]}", "a window is either measurement_window or calendar, not both")
    if len(named) > 1:
        raise fail(f"{place}.{named[1]}", "measurement_window is there too; expected one of the two")
    for name in ("error_budget_burn_rate_threshold", "events_min"):
        if not 0 <= getattr(written, name) < math.inf:
            raise fail(f"{place}.{name}", "expected a number of at least 0")
    return windows[named[0]] if named else 0


def _expressions(written: WrittenSlo) -> tuple[str, str]:
    """Bad events and all events over ``$window``. Raises: BadQuery."""
    if written.ratio is not None:
        return ratio_expressions(written.ratio.bad, written.ratio.good, written.ratio.total)
    if written.error_rate is not None:
        return windowed_increase(written.error_rate.errors), windowed_increase(written.error_rate.total)
    if written.availability is not None:
        total = windowed_count(written.availability.up)
        return f"{total} - {windowed_sum(written.availability.up)}", total
    if written.latency is not None:
        return _latency(written.latency)
    violation = written.threshold.violation if written.threshold is not None else _pair(written.pair)
    inside = f"({violation})[$window:{SUBQUERY_STEP}]"
    return f"sum(sum_over_time({inside}))", f"sum(count_over_time({inside}))"


def _latency(latency: Latency) -> tuple[str, str]:
    matchers = f"{latency.matchers}," if latency.matchers else ""
    good = windowed_increase(f'{latency.histogram}_bucket{{{matchers}le="{latency.threshold}"}}')
    total = windowed_increase(
        f"{latency.histogram}_count{{{matchers.rstrip(',')}}}" if matchers else f"{latency.histogram}_count"
    )
    return f"{total} - ({good} or vector(0))", total


def _pair(key: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"slo_{name}_actual > bool slo_{name}_objective"
