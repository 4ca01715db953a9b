"""Reads files of unit tests of rules, in promtool's format.

    rule_files: [training.yaml]
    evaluation_interval: 1m
    tests:
      - interval: 1m
        input_series: [{series: 'latency_ms{job="a"}', values: '10x3 25+1x5 _ stale'}]
        alert_rule_test: [{eval_time: 8m, alertname: LatencyHigh, exp_alerts: [{exp_labels: {job: a}}]}]
        promql_expr_test: [{expr: 'max(latency_ms)', eval_time: 4m, exp_samples: [{labels: '{}', value: 25}]}]

Values: ``5`` one sample; ``1+2x3`` 1 3 5 7; ``1-2x3`` down; ``7x3`` 7 four times; ``_`` none; ``_x3`` none three times;
``stale`` a staleness marker.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import line_of, read_document
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.matcher import MatchOp
from nissa.model.selector import read_selector
from nissa.rules.group import STALE
from nissa.rules.rule_file import FILE_BYTES_MAX, Duration, read_duration_ms

SAMPLES_MAX: Final = 10_000_000  # of one series
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|0[xX][0-9a-fA-F]+|[iI]nf|[nN]a[nN])"
_VALUES: Final = re.compile(
    rf"(?P<first>{_NUMBER})(?:(?P<step>[-+]{_NUMBER.removeprefix('[-+]?')}))?(?:x(?P<times>\d+))?"
)
_GAP: Final = re.compile(r"_(?:x(?P<times>\d+))?")
MINUTE: Final = Duration(60_000)
_AT: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


class InputSeries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A series, and its values at 0, interval, 2 · interval …"""

    series: str
    values: str


class ExpectedAlert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert that is to fire; ``alertname`` is added to its labels."""

    exp_labels: dict[str, str] = {}
    exp_annotations: dict[str, str] = {}


class AlertTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The alerts of one name that fire at a time."""

    eval_time: Duration = Duration(0)
    alertname: str = ""
    exp_alerts: tuple[ExpectedAlert, ...] = ()


class ExpectedSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample of an answer."""

    labels: str = "{}"
    value: float = 0.0


class ExpressionTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of an expression at a time."""

    expr: str = ""
    eval_time: Duration = Duration(0)
    exp_samples: tuple[ExpectedSample, ...] = ()


class UnitTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``tests``."""

    name: str = ""
    interval: Duration = MINUTE
    input_series: tuple[InputSeries, ...] = ()
    alert_rule_test: tuple[AlertTest, ...] = ()
    promql_expr_test: tuple[ExpressionTest, ...] = ()
    external_labels: dict[str, str] = {}
    external_url: str = ""


class UnitTestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. fuzzy_compare: values may differ in the last digits."""

    rule_files: tuple[str, ...] = ()
    evaluation_interval: Duration = MINUTE
    group_eval_order: tuple[str, ...] = ()
    fuzzy_compare: bool = False
    tests: tuple[UnitTest, ...] = ()


def read_unit_test_file(path: Path) -> UnitTestFile:
    """The tests of a file. Raises: ConfigInvalid, naming the file and the line."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid("", f"{path}: cannot be read: {error.strerror or error}") from error
    document = read_document(text, str(path), FILE_BYTES_MAX)
    _fill_empty(document)
    try:
        return msgspec.convert(document, UnitTestFile, strict=False, dec_hook=_read_duration)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        place, what = at["path"] if at else "", _AT.sub("", str(error))
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is not None:
            place, what = f"{place}.{unknown['name']}".removeprefix("."), "unknown key"
        raise ConfigInvalid("", f"{path}, line {line_of(text, place)}: {place}: {what}") from None


def _fill_empty(value: Any) -> None:
    """Lists and mappings of which nothing is written are empty, not texts."""
    lists = {"tests", "input_series", "alert_rule_test", "promql_expr_test", "exp_alerts", "exp_samples", "rule_files"}
    if isinstance(value, dict):
        for name, inner in value.items():
            if inner == "" and name in lists:
                value[name] = []
            elif inner == "" and name in {"exp_labels", "exp_annotations", "external_labels"}:
                value[name] = {}
            else:
                _fill_empty(inner)
    elif isinstance(value, list):
        for inner in value:
            _fill_empty(inner)


def _read_duration(kind: type, value: Any) -> Any:
    if kind is not Duration or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__.lower()}")
    return Duration(read_duration_ms(value))


def read_labels(text: str) -> dict[str, str]:
    """Labels of a series as a selector writes them. Raises: BadQuery."""
    if text.strip() in ("", "{}"):
        return {}
    matchers = read_selector(text)
    if any(one.op is not MatchOp.EQUAL for one in matchers):
        raise BadQuery(f"expected a series, got {text[:100]!r}")
    return {one.name: one.value for one in matchers if one.value}


def read_values(text: str, interval_ms: int) -> list[tuple[int, float]]:
    """(Unix milliseconds, value) of a series. Raises: BadQuery."""
    return [(place * interval_ms, value) for place, value in enumerate(_values(text)) if value is not None]


def _values(text: str) -> Iterator[float | None]:
    for word in text.split():
        gap, found = _GAP.fullmatch(word), _VALUES.fullmatch(word)
        if word == "stale":
            yield STALE
        elif gap is not None:
            yield from [None] * _times(gap["times"] or "1")
        elif found is not None:
            first, step = _number(found["first"]), _number(found["step"] or "0")
            for place in range(_times(found["times"] or "0") + 1):
                yield first + place * step if place else first
        else:
            raise BadQuery(f"expected a value such as 5, 1+2x3, _ or stale, got {word[:60]!r}")


def _number(text: str) -> float:
    return float(int(text, 16)) if "x" in text.lower() else float(text)


def _times(text: str) -> int:
    if int(text) > SAMPLES_MAX:
        raise BadQuery(f"{text} values are over the limit of {SAMPLES_MAX}")
    return int(text)


def is_same_value(left: float, right: float, *, fuzzy: bool) -> bool:
    """True where two values are the same; fuzzy: the last digits may differ."""
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or (fuzzy and math.isclose(left, right, rel_tol=1e-9))
