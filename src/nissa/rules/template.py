"""Expands the templates in labels and annotations, as Prometheus does: ``{{ $labels.job }} is at {{ $value }}``.

    check_template(text)                       when a file is read: syntax and names of functions
    expand(text, facts)                        when an alert is active; the variables are those of the facts

A text without ``{{`` is returned as it is. Output, values and depth are bounded, and so is the work: steps are taken
for each action, operand, element of a range and sample of a query, and for the characters that functions take and give.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from nissa.model.errors import NissaError
from nissa.rules.template_functions import Ask, Function, functions, is_true, names
from nissa.rules.template_numbers import TEXT_CHARS_MAX, BoundedText, go_text
from nissa.rules.template_syntax import (
    Branch,
    Command,
    CommandPipe,
    Include,
    Jump,
    Literal,
    Node,
    Operand,
    Path,
    Template,
    parse_template,
)

STEPS_MAX: Final = 100_000
CHARS_PER_STEP: Final = 16
DEPTH_MAX: Final = 20
PARSED_MAX: Final = 4_096


class TemplateFacts(msgspec.Struct, frozen=True):
    """Variables of a template. value: of the alert. ask: evaluates an expression at ``now_ms``."""

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str]
    external_url: str
    now_ms: int
    ask: Ask


@lru_cache(PARSED_MAX)
def _parsed(text: str) -> Template:
    return parse_template(text)


def check_template(text: str) -> None:
    """Parse a text and look at the names in it. Raises: ValueError."""
    template = _parsed(text)
    known = {"labels", "externalLabels", "externalURL", "value"}
    _check_nodes(template.nodes, known)
    for nodes in template.defined.values():
        _check_nodes(nodes, {""})


def expand(text: str, facts: TemplateFacts) -> str:
    """The text with all actions carried out; where one fails, the text says so, as Prometheus does."""
    if "{{" not in text:
        return text
    try:
        return _Expansion(_parsed(text), facts).text()
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, NissaError) as error:
        return failure_text(error)


def failure_text(error: Exception) -> str:
    """The text in place of one that cannot be expanded."""
    return f"<error expanding template: {str(error)[:500]}>"


# ---- Names --------------------


def _check_nodes(nodes: Sequence[Node], known: set[str]) -> None:
    known = set(known)
    for node in nodes:
        if isinstance(node, CommandPipe):
            _check_pipeline(node, known)
        elif isinstance(node, Branch):
            inner = set(known)
            _check_pipeline(node.pipeline, inner)
            _check_nodes(node.body, inner)
            _check_nodes(node.otherwise, inner)
        elif isinstance(node, Include) and node.pipeline is not None:
            _check_pipeline(node.pipeline, known)


def _check_pipeline(pipeline: CommandPipe, known: set[str]) -> None:
    for command in pipeline.commands:
        if command.function and command.function not in names():
            raise ValueError(f"template: function {command.function!r} not defined")
        for operand in command.arguments:
            if isinstance(operand, Path):
                if isinstance(operand.root, CommandPipe):
                    _check_pipeline(operand.root, known)
                elif operand.root.startswith("$") and len(operand.root) > 1 and operand.root[1:] not in known:
                    raise ValueError(f"template: undefined variable {operand.root!r}")
    known.update(name[1:] for name in pipeline.declares)


# ---- Expansion --------------------


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Expansion:
    def __init__(self, template: Template, facts: TemplateFacts) -> None:
        self._template = template
        self._functions: Mapping[str, Function] = functions(facts.ask, facts.external_url, facts.now_ms, self._charge)
        self._data = {
            "Labels": dict(facts.labels),
            "ExternalLabels": dict(facts.external_labels),
            "ExternalURL": facts.external_url,
            "Value": facts.value,
        }
        self._output = BoundedText()
        self._steps_left = STEPS_MAX

    def text(self) -> str:
        data = self._data
        variables = {
            "$": data,
            "$labels": data["Labels"],
            "$externalLabels": data["ExternalLabels"],
            "$externalURL": data["ExternalURL"],
            "$value": data["Value"],
        }
        self._nodes(self._template.nodes, data, [variables], 0)
        return self._output.text()

    def _charge(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ValueError(f"the template takes more than {STEPS_MAX} steps")

    def _nodes(self, nodes: Sequence[Node], dot: Any, scopes: list[dict[str, Any]], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise ValueError(f"templates are included more than {DEPTH_MAX} deep")
        for node in nodes:
            self._charge(1)
            if isinstance(node, str):
                self._output.add(node)
            elif isinstance(node, CommandPipe):
                value = self._pipeline(node, dot, scopes)
                if not node.declares:
                    self._output.add(go_text(value))
            elif isinstance(node, Branch):
                self._branch(node, dot, [*scopes, {}], depth)
            elif isinstance(node, Include):
                self._include(node, dot, scopes, depth)
            else:
                self._jump(node)

    @staticmethod
    def _jump(node: Jump) -> None:
        raise _Break if node.kind == "break" else _Continue

    def _include(self, node: Include, dot: Any, scopes: list[dict[str, Any]], depth: int) -> None:
        nodes = self._template.defined.get(node.name)
        if nodes is None:
            raise ValueError(f"template {node.name!r} not defined")
        value = None if node.pipeline is None else self._pipeline(node.pipeline, dot, scopes)
        self._nodes(nodes, value, [{"$": value}], depth + 1)

    def _branch(self, node: Branch, dot: Any, scopes: list[dict[str, Any]], depth: int) -> None:
        if node.kind == "range":
            self._range(node, dot, scopes, depth)
            return
        value = self._pipeline(node.pipeline, dot, scopes)
        inner = value if node.kind == "with" and is_true(value) else dot
        self._nodes(node.body if is_true(value) else node.otherwise, inner, scopes, depth)

    def _range(self, node: Branch, dot: Any, scopes: list[dict[str, Any]], depth: int) -> None:
        bare = msgspec.structs.replace(node.pipeline, declares=())
        value = self._pipeline(bare, dot, scopes)
        if not value and (value is None or isinstance(value, Mapping | list | tuple)):
            self._nodes(node.otherwise, dot, scopes, depth)
            return
        declared = node.pipeline.declares
        for key, one in self._pairs(value):
            self._charge(1)
            scope = dict(zip(declared, (one,) if len(declared) == 1 else (key, one), strict=False))
            try:
                self._nodes(node.body, one, [*scopes, scope], depth)
            except _Break:
                break
            except _Continue:
                continue

    def _pairs(self, value: Any) -> Iterable[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            self._charge(len(value))
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, list | tuple):
            return enumerate(value)
        raise ValueError(f"range can't iterate over {go_text(value)[:40]}")

    def _pipeline(self, pipeline: CommandPipe, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        value: tuple[Any, ...] = ()
        for command in pipeline.commands:
            self._charge(1)
            value = (self._command(command, value, dot, scopes),)
        for name in pipeline.declares:
            scope = next((one for one in reversed(scopes) if name in one), scopes[-1])
            (scope if pipeline.assigns else scopes[-1])[name] = value[0]
        return value[0]

    def _command(self, command: Command, last: tuple[Any, ...], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        if command.function in ("and", "or"):
            return self._logic(command, last, dot, scopes)
        arguments = [self._operand(operand, dot, scopes) for operand in command.arguments]
        if not command.function:
            return arguments[0]
        function = self._functions.get(command.function)
        if function is None:
            raise ValueError(f"function {command.function!r} not defined")
        self._charge(sum(len(one) for one in (*arguments, *last) if isinstance(one, str)) // CHARS_PER_STEP)
        try:
            value = function(*arguments, *last)
        except TypeError as error:
            raise ValueError(f"wrong arguments for {command.function}: {error}") from None
        return self._bounded(value, command.function)

    def _bounded(self, value: Any, function: str) -> Any:
        """The value of a function, when it is not too long and the steps for it are there."""
        size = len(value) if isinstance(value, str) else 0
        if size > TEXT_CHARS_MAX:
            raise ValueError(f"{function}: the text is longer than {TEXT_CHARS_MAX} characters")
        self._charge(size // CHARS_PER_STEP)
        return value

    def _logic(self, command: Command, last: tuple[Any, ...], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        """``and`` and ``or``, which look no further than needed."""
        value: Any = None
        for place in range(len(command.arguments) + len(last)):
            is_last = place >= len(command.arguments)
            value = last[0] if is_last else self._operand(command.arguments[place], dot, scopes)
            if is_true(value) is (command.function == "or"):
                return value
        return value

    def _operand(self, operand: Operand, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        self._charge(1)
        if isinstance(operand, Literal):
            return operand.value
        self._charge(len(operand.fields))
        if isinstance(operand.root, CommandPipe):
            value = self._pipeline(operand.root, dot, scopes)
        elif operand.root == ".":
            value = dot
        else:
            value = next((one[operand.root] for one in reversed(scopes) if operand.root in one), None)
        for field in operand.fields:
            value = _field(value, field)
        return value


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"can't evaluate field {name} in {go_text(value)[:40]}")
    if name not in value and "Labels" in value and "Value" in value:
        raise ValueError(f"can't evaluate field {name}")
    return value.get(name, "")
