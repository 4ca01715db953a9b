"""Texts of notifications: Jinja2 templates in a sandbox that ends.

    {{ status }} {{ receiver }} {{ group_labels.cluster }} {{ common_labels.job }} {{ common_annotations.summary }}
    {% for alert in alerts %}{{ alert.labels.instance }}: {{ alert.annotations.description }}{% endfor %}

A template gets plain data only. It may go around loops ``ITERATIONS_MAX`` times in all and make texts of
``CHARACTERS_MAX``; functions that could make much out of little are left out. A template that fails does not stop a
notification: the text says so instead.

Of Go's templates, in which Alertmanager's configuration writes texts, single values such as ``{{ .CommonLabels.job }}``
and the names of Alertmanager's own defaults are understood; others are refused when the configuration is read.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nissa.alerting.notification import rfc3339_text
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.notifier import Message

ITERATIONS_MAX: Final = 100_000
CHARACTERS_MAX: Final = 256 * 1024
TEMPLATE_CHARACTERS_MAX: Final = 64 * 1024
LOOP_DEPTH_MAX: Final = 4
_FILTERS: Final = frozenset(
    (
        *("capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items", "join"),
        *(
            "last",
            "length",
            "list",
            "lower",
            "reverse",
            "round",
            "select",
            "selectattr",
            "rejectattr",
            "sort",
            "string",
        ),
        *("sum", "title", "trim", "truncate", "unique", "upper", "urlencode"),
    )
)
_METHODS: Final = frozenset(
    ("upper", "lower", "title", "strip", "split", "startswith", "endswith", "get", "items", "keys", "values")
)
_GO: Final = {
    "GroupLabels": "group_labels",
    "CommonLabels": "common_labels",
    "CommonAnnotations": "common_annotations",
    "Status": "status",
    "Receiver": "receiver",
    "ExternalURL": "external_url",
}
_GO_FUNCTIONS: Final = {"toUpper": "upper", "toLower": "lower", "title": "title"}
_GO_VALUE = re.compile(r"\{\{-?\s*\.(\w+)(?:\.(\w+))?\s*(?:\|\s*(\w+)\s*)?-?\}\}")
_GO_DEFAULT = re.compile(r'\s*\{\{-?\s*template\s+"[\w.]*default[\w.]*"\s+\.\s*-?\}\}\s*')
_GO_REST = re.compile(r'\{\{-?\s*(?:\.|\$|template\s|range\s|if\s|end\b|else\b|with\s|define\s|len\s|printf\s|")')


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("*", "**", "%", "+"))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _bounded(left + right)
        if not (isinstance(left, int | float) and isinstance(right, int | float)) or operator == "**":
            raise SecurityError(f"{operator} is for numbers here")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if callable(value) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _bounded(text: Any) -> Any:
    if len(str(text)) > CHARACTERS_MAX:
        raise SecurityError(f"a text is over the limit of {CHARACTERS_MAX} characters")
    return text


def _environment() -> _Sandbox:
    found = _Sandbox(autoescape=False)
    found.filters = {name: one for name, one in found.filters.items() if name in _FILTERS}
    found.globals.clear()
    found.filters["bounded"] = _bounded
    return found


_ENVIRONMENT: Final = _environment()


class MessageText:
    """One text. Empty where none is given: ``render`` then returns the default."""

    def __init__(self, template: str, setting: str, default: Callable[[Message], str], *, html: bool = False) -> None:
        """setting: path of the text, for messages. html: values are escaped. Raises: ConfigInvalid."""
        self._setting = setting
        self._default = default
        self._template = None if _GO_DEFAULT.fullmatch(template) or not template else self._compiled(template, html)

    def render(self, message: Message) -> str:
        """The text for a message."""
        if self._template is None:
            return self._default(message)
        counted = _Counted()
        values = _values(message)
        try:
            parts, size = [], 0
            for part in self._template.generate(**values, counted_iterations=counted.each):
                parts.append(part)
                size += len(part)
                if size > CHARACTERS_MAX:
                    raise SecurityError(f"the text is over the limit of {CHARACTERS_MAX} characters")
            return "".join(parts)
        except Exception as error:  # the edge of somebody's template: the notification goes out anyway
            what = f"{type(error).__name__}: {error}"[:200]
            return f"{self._default(message)}\n(the template {self._setting} failed: {what})"

    def _compiled(self, template: str, html: bool) -> Any:
        if len(template) > TEMPLATE_CHARACTERS_MAX:
            what = f"a template of {len(template)} characters is over the limit of {TEMPLATE_CHARACTERS_MAX}"
            raise ConfigInvalid(self._setting, what)
        translated = _GO_VALUE.sub(_from_go, template)
        if _GO_REST.search(translated):
            raise ConfigInvalid(self._setting, "is a template of Go; texts are Jinja2 templates here")
        try:
            tree = _ENVIRONMENT.parse(translated)
            _count_loops(tree, 0)
            environment = _ENVIRONMENT.overlay(autoescape=html)
            return environment.from_string(tree)
        except (TemplateError, RecursionError) as error:
            raise ConfigInvalid(self._setting, f"cannot be read as a Jinja2 template: {error}") from None


class _Counted:
    """Counts iterations of all loops of one rendering."""

    def __init__(self) -> None:
        self._left = ITERATIONS_MAX

    def each(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._left -= 1
            if self._left < 0:
                raise SecurityError(f"more than {ITERATIONS_MAX} iterations")
            yield value


def _count_loops(node: nodes.Node, depth: int) -> None:
    """Have every loop counted and every joined text limited. Raises: TemplateError."""
    if isinstance(
        node, nodes.Import | nodes.FromImport | nodes.Include | nodes.Extends | nodes.Macro | nodes.CallBlock
    ):
        raise TemplateError(f"{type(node).__name__} is not served")
    if isinstance(node, nodes.For):
        depth += 1
        if depth > LOOP_DEPTH_MAX or node.recursive:
            raise TemplateError(f"loops may be {LOOP_DEPTH_MAX} deep, and not recursive")
        call = nodes.Call(nodes.Name("counted_iterations", "load"), [node.iter], [], None, None)
        call.set_environment(_ENVIRONMENT)
        node.iter = call
    for child in list(node.iter_child_nodes()):
        _count_loops(child, depth)
    for field, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = map(_limited, value)
        else:
            setattr(node, field, _limited(value))


def _limited(node: Any) -> Any:
    """A node that joins texts, with a limit on the result; others as they are."""
    if not isinstance(node, nodes.Concat):
        return node
    return nodes.Filter(node, "bounded", [], [], None, None).set_environment(_ENVIRONMENT)


def _from_go(match: re.Match[str]) -> str:
    field, name, function = match.groups()
    known = _GO.get(field)
    if known is None or (function and function not in _GO_FUNCTIONS):
        return match[0]
    value = f'{known}["{name}"]' if name else known
    return "{{ " + value + (f" | {_GO_FUNCTIONS[function]}" if function else "") + " }}"


def _values(message: Message) -> Mapping[str, Any]:
    one = message.notification
    return {
        "status": one.status,
        "receiver": one.receiver,
        "group_key": one.group_key,
        "group_labels": one.group_labels,
        "common_labels": one.common_labels,
        "common_annotations": one.common_annotations,
        "external_url": message.external_url,
        "digest_of": one.digest_of,
        "alerts": [_alert_values(alert) for alert in one.alerts],
        "firing": [_alert_values(alert) for alert in one.firing],
        "resolved": [_alert_values(alert) for alert in one.resolved],
    }


def _alert_values(alert: Alert) -> dict[str, Any]:
    return {
        "status": str(alert.state),
        "labels": alert.labels,
        "annotations": alert.annotations,
        "starts_at": rfc3339_text(alert.starts_at_ms),
        "ends_at": "" if alert.state is AlertState.FIRING else rfc3339_text(alert.ends_at_ms),
        "value": alert.value,
        "generator_url": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def title_of(message: Message) -> str:
    """The title of a notification: ``[FIRING:2] HighLoad cluster=east``."""
    one = message.notification
    count = f":{len(one.firing)}" if one.firing else ""
    if one.digest_of:
        return f"[DIGEST] {one.digest_of} notifications: {len(one.firing)} alerts fire, {len(one.resolved)} resolved"
    labels = one.group_labels or one.common_labels
    rest = " ".join(f"{name}={value}" for name, value in labels.items() if name != "alertname")
    name = labels.get("alertname", "") or one.common_labels.get("alertname", "")
    return " ".join(filter(None, (f"[{one.status.upper()}{count}]", name, rest)))


def lines_of(alert: Alert) -> list[str]:
    """Lines about one alert: its labels, what its annotations say, its query."""
    labels = ", ".join(f"{name}={value}" for name, value in alert.labels.items() if name != "alertname")
    said = [f"{name}: {text}" for name, text in alert.annotations.items()]
    state = "" if alert.state is AlertState.FIRING else "resolved: "
    return [f"{state}{alert.labels.get('alertname', 'alert')} {labels}".rstrip(), *said] + (
        [alert.generator_url] if alert.generator_url else []
    )
