"""Reads a rule file: Prometheus' ``groups:``, or the short form ``alerts:``.

    groups:                                  alerts:
      - name: training                         evaluation_interval: 30s
        interval: 30s                          rules:
        rules:                                   - name: training_latency_high
          - record: job:x:rate5m                   expr: tolaria_training_latency_ms > 18
            expr: sum by (job) (rate(x[5m]))       for: 3m
          - alert: LatencyHigh                     severity: critical
            expr: latency_ms > 18                  description: Epochs take {{ $value }} ms.
            for: 3m                                suggested_action: Look at the hooks.
            labels: {severity: critical}           routes: [pagerduty, slack]

Unknown keys are refused, as are expressions and templates that cannot be parsed: each with its line. The short form
becomes an alerting rule whose labels are ``severity`` and ``routes`` and whose annotations are the texts.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import Document, line_of, read_document
from nissa.config.unreadable import unreadable
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.level import LEVELS
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.rules.event_match import AlertingEvents
from nissa.rules.rule import Rule, RuleGroup, RuleKind
from nissa.rules.template import check_template
from nissa.rules.text_limits import TextLimits

FILE_BYTES_MAX: Final = 64 << 20
DURATION_MS_MAX: Final = 100 * 365 * DAY_MS
ROUTES_LABEL: Final = "routes"
METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_DURATION: Final = re.compile(
    r"(?=.)(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_FACTORS: Final = (365 * DAY_MS, 7 * DAY_MS, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, 1)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_AT: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")

Check = Callable[[str], object]
Fail = Callable[[str, str], ConfigInvalid]
DEFAULT_LIMITS: Final = TextLimits()


class Duration(int):
    """Milliseconds, written as in Prometheus: ``1h30m``."""


class WrittenRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as Prometheus' file has it."""

    record: str = ""
    alert: str = ""
    expr: str = ""
    hold: Duration = msgspec.field(name="for", default=Duration(0))
    keep_firing_for: Duration = Duration(0)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class WrittenGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group as Prometheus' file has it."""

    name: str = ""
    interval: Duration = Duration(0)
    query_offset: Duration = Duration(0)
    limit: int = 0
    labels: dict[str, str] = {}
    rules: list[WrittenRule] = []


class ShortRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alerting rule of the short form."""

    name: str = ""
    expr: str = ""
    hold: Duration = msgspec.field(name="for", default=Duration(0))
    keep_firing_for: Duration = Duration(0)
    routes: list[str] = []
    severity: str = ""
    description: str = ""
    suggested_action: str = ""
    labels: dict[str, str] = {}


class ShortForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``alerts`` of the short form."""

    evaluation_interval: Duration = Duration(0)
    evaluation_interval_s: int = 0
    rules: list[ShortRule] = []


class WrittenEventAlert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alert on events (``event_match.py``)."""

    name: str = ""
    level: tuple[str, ...] = ("critical",)
    source: list[str] = []
    text: str = ""
    count: int = 1
    window: Duration = Duration(5 * MINUTE_MS)
    expiry: Duration = Duration(15 * MINUTE_MS)
    by: list[str] = []
    routes: list[str] = []
    severity: str = ""
    description: str = ""
    suggested_action: str = ""
    labels: dict[str, str] = {}


class WrittenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    groups: list[WrittenGroup] = []
    alerts: ShortForm = ShortForm()
    event_alerts: list[WrittenEventAlert] = []


def read_rule_file(path: Path, check: Check, limits: TextLimits = DEFAULT_LIMITS) -> tuple[RuleGroup, ...]:
    """The groups of a file. check: parses an expression. Raises: ConfigInvalid, naming the file and the line."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_rule_file(text, str(path), check, limits)


def parse_rule_file(text: bytes, name: str, check: Check, limits: TextLimits = DEFAULT_LIMITS) -> tuple[RuleGroup, ...]:
    """The groups of a file's ``text``; ``name`` is the file's. Errors: as for ``read_rule_file``."""
    document = read_document(text, name, FILE_BYTES_MAX)

    def fail(place: str, what: str) -> ConfigInvalid:
        return ConfigInvalid("", f"{name}, line {line_of(text, place)}: {place}: {what}")

    _fill_empty(document)
    try:
        file = msgspec.convert(document, WrittenFile, strict=False, dec_hook=_read_duration)
    except msgspec.ValidationError as error:
        raise _as_written(str(error), fail) from None
    places = {
        f"groups[{number}].rules": _group(group, name, f"groups[{number}]", check, fail)
        for number, group in enumerate(file.groups)
    }
    if file.alerts.rules:
        places["alerts.rules"] = _short_group(file.alerts, name, check, fail)
    if file.event_alerts:
        rules = [_event_rule(rule, f"event_alerts[{number}]", fail) for number, rule in enumerate(file.event_alerts)]
        places["event_alerts"] = RuleGroup(name, "event alerts", tuple(rules))
    _check_groups(places, limits, fail)
    return tuple(places.values())


def _check_groups(places: Mapping[str, RuleGroup], limits: TextLimits, fail: Fail) -> None:
    """Raises: ConfigInvalid where a name is repeated, or texts of a rule are over their limits."""
    for place, group in places.items():
        for number, rule in enumerate(group.rules):
            if "\0" in rule.name + group.name:
                raise fail(f"{place}[{number}]", "a name must not hold a zero character")
            if rule.has_alerts:
                _check_limits(rule, limits, f"{place}[{number}]", fail)
    names: set[str] = set()
    for number, group in enumerate(places.values()):
        if group.name in names:
            raise fail(f"groups[{number}].name", f"the group {group.name!r} is repeated in the file")
        names.add(group.name)


def _check_limits(rule: Rule, limits: TextLimits, place: str, fail: Fail) -> None:
    for kind, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        try:
            limits.check_count(texts, kind)
        except ValueError as error:
            raise fail(f"{place}.{kind}", str(error)) from None
        for name, text in texts.items():
            try:
                limits.check_size(name, "" if "{{" in text else text, kind)
            except ValueError as error:
                raise fail(f"{place}.{kind}.{name[:80]}", str(error)) from None


def read_duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``1h30m``; only ``0`` needs no unit. Raises: ValueError."""
    found = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if found is None or len(text) > 40:
        raise ValueError(f"expected a duration such as 30s, 5m or 1h30m, got {text[:40]!r}")
    total = sum(int(part or 0) * factor for part, factor in zip(found.groups(), _FACTORS, strict=True))
    if total > DURATION_MS_MAX:
        raise ValueError(f"{text} is longer than 100y")
    return total


def _read_duration(kind: type, value: Any) -> Any:
    if kind is not Duration or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__.lower()}")
    return Duration(read_duration_ms(value))


def _as_written(message: str, fail: Fail) -> ConfigInvalid:
    at = _AT.search(message)
    place, what = at["path"] if at else "", _AT.sub("", message)
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is not None:
        return fail(f"{place}.{unknown['name']}".removeprefix("."), "unknown key")
    return fail(place, what[:1].lower() + what[1:])


def _fill_empty(document: Document) -> None:
    """Sections of which every line is commented out are empty, not texts."""
    groups = document.get("groups")
    if groups == "":
        document["groups"] = []
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict):
            _fill(group, "rules", [])
            _fill(group, "labels", {})
            for rule in group["rules"] if isinstance(group.get("rules"), list) else ():
                if isinstance(rule, dict):
                    _fill(rule, "labels", {})
                    _fill(rule, "annotations", {})


def _fill(section: Document, name: str, empty: Any) -> None:
    if section.get(name) == "":
        section[name] = empty


# ---- Prometheus' form --------------------


def _group(written: WrittenGroup, file: str, place: str, check: Check, fail: Fail) -> RuleGroup:
    if not written.name:
        raise fail(place, "name is missing")
    if written.limit < 0:
        raise fail(f"{place}.limit", "expected 0 for no limit, or more")
    _check_labels(written.labels, f"{place}.labels", fail)
    rules = tuple(
        _rule(rule, written.labels, f"{place}.rules[{number}]", check, fail)
        for number, rule in enumerate(written.rules)
    )
    return RuleGroup(file, written.name, rules, written.interval, written.query_offset, written.limit)


def _rule(written: WrittenRule, group_labels: dict[str, str], place: str, check: Check, fail: Fail) -> Rule:
    if bool(written.record) == bool(written.alert):
        which = "only one" if written.record else "one"
        raise fail(place, f"{which} of record and alert must be set")
    labels = {**group_labels, **written.labels}
    _check_labels(written.labels, f"{place}.labels", fail)
    _check_expression(written.expr, f"{place}.expr", check, fail)
    if written.record:
        if written.annotations or written.hold or written.keep_firing_for:
            raise fail(place, "a recording rule has no annotations, for or keep_firing_for")
        if METRIC_NAME.fullmatch(written.record) is None:
            raise fail(f"{place}.record", f"{written.record[:80]!r} is not the name of a metric")
        return Rule(RuleKind.RECORDING, written.record, written.expr, labels=labels)
    _check_annotations(written.annotations, f"{place}.annotations", fail)
    _check_templates(written.labels, f"{place}.labels", fail)
    return Rule(
        RuleKind.ALERTING,
        written.alert,
        written.expr,
        written.hold,
        written.keep_firing_for,
        labels,
        written.annotations,
    )


def _check_expression(text: str, place: str, check: Check, fail: Fail) -> None:
    if not text.strip():
        raise fail(place.removesuffix(".expr"), "expr is missing")
    try:
        check(text)
    except BadQuery as error:
        raise fail(place, str(error)) from None


def _check_labels(labels: dict[str, str], place: str, fail: Fail) -> None:
    for name in labels:
        if LABEL_NAME.fullmatch(name) is None or name == "__name__":
            raise fail(f"{place}.{name}", f"{name[:80]!r} is not the name of a label")


def _check_annotations(annotations: dict[str, str], place: str, fail: Fail) -> None:
    for name in annotations:
        if LABEL_NAME.fullmatch(name) is None:
            raise fail(f"{place}.{name}", f"{name[:80]!r} is not the name of an annotation")
    _check_templates(annotations, place, fail)


def _check_templates(texts: dict[str, str], place: str, fail: Fail) -> None:
    for name, text in texts.items():
        if "{{" in text:
            try:
                check_template(text)
            except ValueError as error:
                raise fail(f"{place}.{name}", str(error)) from None


# ---- The short form --------------------


def _short_group(written: ShortForm, file: str, check: Check, fail: Fail) -> RuleGroup:
    rules = tuple(
        _short_rule(rule, f"alerts.rules[{number}]", check, fail) for number, rule in enumerate(written.rules)
    )
    interval_ms = written.evaluation_interval or written.evaluation_interval_s * SECOND_MS
    return RuleGroup(file, "alerts", rules, interval_ms)


def _short_rule(written: ShortRule, place: str, check: Check, fail: Fail) -> Rule:
    _check_expression(written.expr, f"{place}.expr", check, fail)
    labels, annotations = _short_texts(written, place, fail)
    return Rule(
        RuleKind.ALERTING,
        written.name,
        written.expr,
        written.hold,
        written.keep_firing_for,
        labels,
        annotations,
        tuple(written.routes),
    )


def _event_rule(written: WrittenEventAlert, place: str, fail: Fail) -> Rule:
    labels, annotations = _short_texts(written, place, fail)
    unknown = [level for level in written.level if level not in LEVELS]
    if unknown:
        raise fail(f"{place}.level", f"{unknown[0][:40]!r} is none of {', '.join(LEVELS)}")
    if written.count < 1 or not written.window:
        raise fail(place, "expected a count of at least 1 and a window")
    _check_labels(dict.fromkeys(written.by, ""), f"{place}.by", fail)
    levels = frozenset(LEVELS.index(level) for level in written.level)
    match = AlertingEvents(
        frozenset(written.source), levels, written.text, written.window, written.count, tuple(written.by)
    )
    matchers = [f"source={one!r}" for one in sorted(written.source)] + [f"level={one!r}" for one in written.level]
    matchers += [f"text={written.text!r}"] if written.text else []
    shown = f"events{{{', '.join(matchers)}}}[{written.window // SECOND_MS}s] >= {written.count}"
    keep_ms, routes = int(written.expiry), tuple(written.routes)
    return Rule(RuleKind.ALERTING, written.name, shown, 0, keep_ms, labels, annotations, routes, match)


def _short_texts(
    written: ShortRule | WrittenEventAlert, place: str, fail: Fail
) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations."""
    if not written.name:
        raise fail(place, "name is missing")
    labels = dict(written.labels)
    if written.severity:
        labels["severity"] = written.severity
    if written.routes:
        labels[ROUTES_LABEL] = ",".join(written.routes)
    _check_labels(labels, f"{place}.labels", fail)
    _check_templates(labels, place, fail)
    texts = {"description": written.description, "suggested_action": written.suggested_action}
    annotations = {name: text for name, text in texts.items() if text}
    _check_templates(annotations, place, fail)
    return labels, annotations
