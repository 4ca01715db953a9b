"""Carries out a parsed template of Go: for annotations of rules, and for texts of notifications.

    nodes ──► Expansion(defined, output, steps_max) ──► output.literal("…")   texts between actions
                 functions, data, variables             output.value(…)       what actions give

Values are those of Python; a class may have METHODS, which templates call as Go's, and ``go_text``, which prints it.
Steps are taken for each action, operand, element of a range and sample of a query, and for the characters that
functions take and give and that actions print. They end at ``steps_max``; texts end at the limit of the output, and
templates include each other to DEPTH_MAX.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any, Final, Protocol

import msgspec

from nissa.rules.template_functions import Function, is_true
from nissa.rules.template_numbers import TEXT_CHARS_MAX, BoundedText, go_text
from nissa.rules.template_syntax import Branch, Command, CommandPipe, Include, Jump, Literal, Node, Operand

CHARS_PER_STEP: Final = 16
MADE_CHARS_PER_STEP: Final = 4  # of a list or map that is printed
DEPTH_MAX: Final = 20
RANGE_MAX: Final = 10_000  # of a number


class Output(Protocol):
    """Takes the texts of a template and the values of its actions."""

    def literal(self, text: str, /) -> None:
        """A text between actions. Raises: ValueError where the output is too long."""

    def value(self, value: Any, function: str, /) -> int:
        """The value of an action; returns its characters. function: that gave it, if one did. Raises: ValueError."""


class TextOutput:
    """A plain text."""

    def __init__(self, characters_max: int = TEXT_CHARS_MAX) -> None:
        self._text = BoundedText(characters_max)
        self.literal = self._text.add

    def value(self, value: Any, _function: str) -> int:
        """Print a value. Raises: ValueError."""
        text = go_text(value)
        self._text.add(text)
        return len(text)

    def text(self) -> str:
        """All that was put out."""
        return self._text.text()


class Record:
    """A struct of Go: fields that are fixed. One whose value is a ``Lazy`` is computed when it is first asked for."""

    __slots__ = ("fields",)

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def field(self, name: str) -> Any:
        """The value of a field. Raises: ValueError."""
        if name not in self.fields:
            raise ValueError(f"can't evaluate field {name[:80]}")
        value = self.fields[name]
        if isinstance(value, Lazy):
            value = self.fields[name] = value.make()
        return value

    def go_text(self) -> str:
        """As Go prints a struct."""
        return "{" + " ".join(go_text(self.field(name)) for name in list(self.fields)) + "}"


class Lazy(msgspec.Struct, frozen=True):
    """A value that is made when somebody asks for it."""

    make: Callable[[], Any]


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Expansion:
    """One expansion. functions: by name; set before ``expand``."""

    def __init__(self, defined: Mapping[str, Sequence[Node]], output: Output, steps_max: int) -> None:
        """defined: templates that may be included."""
        self.functions: Mapping[str, Function] = {}
        self._defined, self._output = defined, output
        self._steps_max = self._steps_left = steps_max

    def expand(self, nodes: Sequence[Node], data: Any, variables: dict[str, Any]) -> None:
        """Put out all that the nodes give. Raises: ValueError, and what functions raise."""
        self._nodes(nodes, data, [variables], 0)

    def charge(self, steps: int) -> None:
        """Take steps from those that are left. Raises: ValueError."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ValueError(f"the template takes more than {self._steps_max} steps")

    def _nodes(self, nodes: Sequence[Node], dot: Any, scopes: list[dict[str, Any]], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise ValueError(f"templates are included more than {DEPTH_MAX} deep")
        for node in nodes:
            self.charge(1)
            if isinstance(node, str):
                self._output.literal(node)
            elif isinstance(node, CommandPipe):
                value = self._pipeline(node, dot, scopes)
                if not node.declares:
                    characters = self._output.value(value, node.commands[-1].function)
                    self.charge(characters // (CHARS_PER_STEP if isinstance(value, str) else MADE_CHARS_PER_STEP))
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
        nodes = self._defined.get(node.name)
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
        if not value and (value is None or isinstance(value, Mapping | list | tuple | int)):
            self._nodes(node.otherwise, dot, scopes, depth)
            return
        declared = node.pipeline.declares
        for key, one in self._pairs(value):
            self.charge(1)
            scope = dict(zip(declared, (one,) if len(declared) == 1 else (key, one), strict=False))
            try:
                self._nodes(node.body, one, [*scopes, scope], depth)
            except _Break:
                break
            except _Continue:
                continue

    def _pairs(self, value: Any) -> Iterable[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            self.charge(len(value))
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, list | tuple):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool) and value <= RANGE_MAX:
            return ((number, number) for number in range(value))
        raise ValueError(f"range can't iterate over {go_text(value)[:40]}")

    def _pipeline(self, pipeline: CommandPipe, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        value: tuple[Any, ...] = ()
        for command in pipeline.commands:
            self.charge(1)
            value = (self._command(command, value, dot, scopes),)
        for name in pipeline.declares:
            scope = next((one for one in reversed(scopes) if name in one), scopes[-1])
            (scope if pipeline.assigns else scopes[-1])[name] = value[0]
        return value[0]

    def _command(self, command: Command, last: tuple[Any, ...], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        if command.function in ("and", "or"):
            return self._logic(command, last, dot, scopes)
        if not command.function:
            first, *more = command.arguments
            given = [self._operand(operand, dot, scopes) for operand in more]
            return self._operand(first, dot, scopes, (*given, *last))
        arguments = [self._operand(operand, dot, scopes) for operand in command.arguments]
        function = self.functions.get(command.function)
        if function is None:
            raise ValueError(f"function {command.function!r} not defined")
        return self._called(command.function, function, (*arguments, *last))

    def _called(self, name: str, function: Function, arguments: Sequence[Any]) -> Any:
        """The value of a function, when it is not too long and the steps for it are there."""
        self.charge(sum(len(one) for one in arguments if isinstance(one, str)) // CHARS_PER_STEP)
        try:
            value = function(*arguments)
        except TypeError as error:
            raise ValueError(f"wrong arguments for {name}: {error}") from None
        size = len(value) if isinstance(value, str) else 0
        if size > TEXT_CHARS_MAX:
            raise ValueError(f"{name}: the text is longer than {TEXT_CHARS_MAX} characters")
        self.charge(size // CHARS_PER_STEP)
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

    def _operand(
        self, operand: Operand, dot: Any, scopes: list[dict[str, Any]], arguments: tuple[Any, ...] = ()
    ) -> Any:
        """arguments: of the method that the operand ends in."""
        self.charge(1)
        if isinstance(operand, Literal):
            return operand.value
        self.charge(len(operand.fields))
        if isinstance(operand.root, CommandPipe):
            value = self._pipeline(operand.root, dot, scopes)
        elif operand.root == ".":
            value = dot
        else:
            value = next((one[operand.root] for one in reversed(scopes) if operand.root in one), None)
        for place, field in enumerate(operand.fields, 1):
            value = self._member(value, field, arguments if place == len(operand.fields) else ())
        return value

    def _member(self, value: Any, name: str, arguments: tuple[Any, ...]) -> Any:
        """The result of a method, or a field or element of this name."""
        method = getattr(value, "METHODS", {}).get(name)
        if method is not None:
            self.charge(sum(len(one) for one in (value, *arguments) if isinstance(one, Sized)))
            return self._called(name, method, (value, *arguments))
        if arguments:
            raise ValueError(f"{name} has arguments but cannot be invoked as function")
        if isinstance(value, Record):
            return value.field(name)
        return _field(value, name)


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"can't evaluate field {name} in {go_text(value)[:40]}")
    if name not in value and "Labels" in value and "Value" in value:
        raise ValueError(f"can't evaluate field {name}")
    return value.get(name, "")
