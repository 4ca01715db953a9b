"""Texts of notifications: templates of Go (``go_texts.py``), and Jinja2 templates in a sandbox that ends.

    {{ status }} {{ receiver }} {{ group_labels.cluster }} {{ common_labels.job }} {{ common_annotations.summary }}
    {% for alert in alerts %}{{ alert.labels.instance }}: {{ alert.annotations.description }}{% endfor %}

A template gets plain data only. It may go around loops ``ITERATIONS_MAX`` times in all and make texts of
``CHARACTERS_MAX``; functions that could make much out of little are left out. A template that fails does not stop a
notification: the text says so instead.

A text is Go's where an action of it can be nothing else, such as ``{{ .Status }}`` or ``{{ range .Alerts }}``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nissa.alerting.notification import rfc3339_text
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.go_texts import TextLibrary, is_go, own_library
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

    def __init__(
        self,
        template: str,
        setting: str,
        default: Callable[[Message], str],
        *,
        library: TextLibrary | None = None,
        name: str = "",
        html: bool = False,
        bare: bool = False,
    ) -> None:
        """setting: path of the text, for messages. name: of Alertmanager's text for this field, which files may set.

        html: values are escaped. bare: a text such as an address, in which no error is told. Raises: ConfigInvalid.
        """
        library = library or own_library()
        if not template and library.redefines(name):
            template = f'{{{{ template "{name}" . }}}}'
        self._setting, self._default, self._bare = setting, default, bare
        self._render = _rendering(template, setting, library, html) if template else None

    def render(self, message: Message) -> str:
        """The text for a message. Where its template fails: the default, with the error."""
        if self._render is None:
            return self._default(message)
        try:
            return self._render(message)
        except Exception as error:  # the edge of somebody's template: the notification goes out anyway
            what = f"(the template {self._setting} failed: {f'{type(error).__name__}: {error}'[:200]})"
            message.text_faults.append(what)
            default = self._default(message)
            return default if self._bare else f"{default}\n{what}"


def _rendering(template: str, setting: str, library: TextLibrary, html: bool) -> Callable[[Message], str]:
    """A function that renders the template. Raises: ConfigInvalid."""
    if len(template) > TEMPLATE_CHARACTERS_MAX:
        what = f"a template of {len(template)} characters is over the limit of {TEMPLATE_CHARACTERS_MAX}"
        raise ConfigInvalid(setting, what)
    if not is_go(template):
        return partial(_from_jinja, _compiled(template, setting, html))
    if "{%" in template:
        raise ConfigInvalid(setting, "has actions of Go and of Jinja2 ({%): use one of them in a text")
    try:
        return library.compiled(template, html=html).rendered
    except ValueError as error:
        raise ConfigInvalid(setting, f"cannot be read as a template of Go: {error}") from None


def _compiled(template: str, setting: str, html: bool) -> Any:
    try:
        tree = _ENVIRONMENT.parse(template)
        _count_loops(tree, 0)
        environment = _ENVIRONMENT.overlay(autoescape=html)
        return environment.from_string(tree)
    except (TemplateError, RecursionError) as error:
        raise ConfigInvalid(setting, f"cannot be read as a Jinja2 template: {error}") from None


def _from_jinja(template: Any, message: Message) -> str:
    counted = _Counted()
    parts, size = [], 0
    for part in template.generate(**_values(message), counted_iterations=counted.each):
        parts.append(part)
        size += len(part)
        if size > CHARACTERS_MAX:
            raise SecurityError(f"the text is over the limit of {CHARACTERS_MAX} characters")
    return "".join(parts)


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
