"""Reads documents of OpenSLO v1: ``SLO`` and ``SLI``; ``Service``, ``DataSource`` and alert kinds are passed over.

    apiVersion: openslo/v1
    kind: SLO
    metadata: {name: api-errors}
    spec:
      indicator: {spec: {ratioMetric: {counter: true, good: {metricSource: {spec: {query: SELECTOR}}}, total: …}}}
      timeWindow: [{duration: 30d, isRolling: true}]
      budgetingMethod: Occurrences
      objectives: [{target: 0.999}]

Several objectives of one document become several, with ``-1``, ``-2`` behind their name. Timeslices are slices of
``timeSliceWindow``: one is bad where its ratio is below ``timeSliceTarget``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from nissa.config.document import Document
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.units import DAY_MS
from nissa.rules.rule_file import read_duration_ms
from nissa.slo.objective import Calendar, Objective, over, ratio_expressions

PASSED_OVER: Final = ("Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")
_CALENDARS: Final = {"1M": (Calendar.MONTH, 30), "1Q": (Calendar.QUARTER, 90), "1Y": (Calendar.YEAR, 365)}
_OPERATORS: Final = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}

Fail = Callable[[str], ConfigInvalid]


def read_open_slo(documents: Sequence[Document], file: str, window_ms: int) -> list[Objective]:
    """Objectives of the documents of a file. window_ms: of those without one. Raises: ConfigInvalid."""
    indicators: dict[str, Any] = {}
    found: list[Objective] = []
    for document in documents:
        if document.get("kind") == "SLI":
            indicators[_name(document)] = document.get("spec")
    for document in documents:
        kind, name = document.get("kind"), _name(document)

        def fail(what: str, name: str = name) -> ConfigInvalid:
            return ConfigInvalid("", f"{file}: OpenSLO {name}: {what}")

        if document.get("apiVersion") != "openslo/v1":
            raise fail(f"expected apiVersion openslo/v1, got {str(document.get('apiVersion'))[:40]!r}")
        if kind == "SLO":
            found += _read_slo(document, name, indicators, (file, window_ms), fail)
        elif kind not in (*PASSED_OVER, "SLI"):
            raise fail(f"the kind {str(kind)[:40]!r} is not known")
    return found


def _name(document: Document) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _read_slo(
    document: Document, name: str, indicators: dict[str, Any], place: tuple[str, int], fail: Fail
) -> list[Objective]:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise fail("spec is missing")
    indicator = _section(spec, "indicator").get("spec") or indicators.get(str(spec.get("indicatorRef", "")))
    if not isinstance(indicator, dict):
        raise fail("indicator is missing, or indicatorRef names none of the file")
    window_ms, calendar = _window(spec, place[1], fail)
    objectives = spec.get("objectives")
    if not isinstance(objectives, list) or not objectives:
        raise fail("objectives are missing")
    found = []
    for number, one in enumerate(objectives, 1):
        if not isinstance(one, dict):
            raise fail(f"objectives[{number - 1}] is not a mapping")
        try:
            bad, total = _expressions(indicator, one, str(spec.get("budgetingMethod", "Occurrences")), fail)
            target = float(one["targetPercent"]) if "targetPercent" in one else float(one["target"]) * 100
        except (BadQuery, ValueError, KeyError) as error:
            raise fail(f"objectives[{number - 1}]: {error}") from None
        own = f"{name}-{number}" if len(objectives) > 1 else name
        text = str(spec.get("description", ""))
        found.append(Objective(own, bad, total, target, window_ms, calendar, description=text, file=place[0]))
    return found


def _section(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _window(spec: dict[str, Any], window_ms: int, fail: Fail) -> tuple[int, Calendar]:
    windows = spec.get("timeWindow") or []
    if not windows:
        return window_ms, Calendar.NONE
    if not isinstance(windows, list) or len(windows) != 1 or not isinstance(windows[0], dict):
        raise fail("timeWindow: expected one window")
    text = str(windows[0].get("duration", ""))
    if text in _CALENDARS:
        calendar, days = _CALENDARS[text]
        is_rolling = str(windows[0].get("isRolling", "false")).lower() == "true"
        return days * DAY_MS, Calendar.NONE if is_rolling else calendar
    try:
        return read_duration_ms(text), Calendar.NONE
    except ValueError as error:
        raise fail(f"timeWindow.duration: {error}") from None


def _expressions(indicator: dict[str, Any], objective: dict[str, Any], method: str, fail: Fail) -> tuple[str, str]:
    """Bad events and all events over ``$window``. Raises: BadQuery, ValueError."""
    ratio, threshold = _section(indicator, "ratioMetric"), _section(indicator, "thresholdMetric")
    if ratio:
        bad, total = _ratio(ratio)
    elif threshold:
        operator = _OPERATORS.get(str(objective.get("op", "")))
        if operator is None:
            raise BadQuery(f"op: expected one of {', '.join(_OPERATORS)}")
        value = float(objective.get("value", "nan"))
        inside = f"(1 - (({_query(threshold)}) {operator} bool {value!r}))[$window:1m]"
        return f"sum(sum_over_time({inside}))", f"sum(count_over_time({inside}))"
    else:
        raise fail("indicator: expected ratioMetric or thresholdMetric")
    if method == "Occurrences":
        return bad, total
    if method not in ("Timeslices", "RatioTimeslices"):
        raise BadQuery(f"budgetingMethod {method[:40]!r} is not known")
    slice_text = str(objective.get("timeSliceWindow", "1m"))
    read_duration_ms(slice_text)
    allowed = 1 - float(objective.get("timeSliceTarget", objective.get("target", "nan")))
    inside = f"({over(bad, slice_text)}) / (({over(total, slice_text)}) > 0)"
    if method == "Timeslices":
        inside = f"({inside}) > bool {allowed:.10g}"
    return f"sum_over_time(({inside})[$window:{slice_text}])", f"count_over_time(({inside})[$window:{slice_text}])"


def _ratio(ratio: dict[str, Any]) -> tuple[str, str]:
    if ratio.get("raw"):
        raise BadQuery("ratioMetric.raw is not supported; give good or bad, and total")
    bad, good = (_query(_section(ratio, name)) for name in ("bad", "good"))
    total = _query(_section(ratio, "total"))
    if str(ratio.get("counter", "true")).lower() == "true":
        return ratio_expressions(bad, good, total)
    gauges = [
        f"sum(sum_over_time({text}[$window]))" if text and "$window" not in text else text
        for text in (bad, good, total)
    ]
    return ratio_expressions(*gauges)


def _query(metric: dict[str, Any]) -> str:
    """The query of a metric source, where the providers of OpenSLO write it."""
    spec = _section(_section(metric, "metricSource"), "spec")
    for name in ("query", "promql"):
        if spec.get(name):
            return str(spec[name])
    return ""
