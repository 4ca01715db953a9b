"""Parses the language of Go's text/template into nodes, as annotations of Prometheus and texts of Alertmanager use it.

    text {{ if gt $value 10.0 }} … {{ else }} … {{ end }}      {{- trims the white space before it
         {{ range query "up" }} … {{ .Labels.job }} {{ end }}  -}} that behind it
         {{ with … }} {{ define "x" }} {{ template "x" . }} {{ $x := … }} {{/* comment */}}

A pipeline is commands with ``|`` between them; the value of each is the last argument of the next. Sizes and depths are
bounded; evaluation is in ``template.py``.
"""

import re
from typing import Any, Final

import msgspec

TEMPLATE_CHARS_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 50
_ACTION: Final = re.compile(  # to the braces that close it: those within strings close nothing
    r"""\{\{(-\s)?(?:[^"`'}]|"(?:[^"\\\n]|\\[^\n])*+"|`[^`]*+`|'(?:[^'\\\n]|\\[^\n])*+'|\}(?!\}))*+\}\}"""
)
_COMMENT_BEGIN: Final = re.compile(r"\{\{(-\s+)?/\*")
_COMMENT: Final = re.compile(r"\{\{(-\s+)?/\*.*?\*/(\s+-)?\}\}", re.DOTALL)
_KEYWORD: Final = re.compile(r"(if|with|range|else|end|define|block|template|break|continue)\b\s*", re.ASCII)
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)+')
    |(?P<number>[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))
    |(?P<declare>:=)
    |(?P<sign>[=|(),])
    |(?P<field>(?:\.[A-Za-z_]\w*)+)
    |(?P<dot>\.)
    |(?P<variable>\$\w*)
    |(?P<word>[A-Za-z_]\w*)
    )""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)


class Literal(msgspec.Struct, frozen=True):
    """A constant: text, number, truth value or nothing."""

    value: Any


class Path(msgspec.Struct, frozen=True):
    """A variable, the dot (``.``), or a pipeline in parentheses, with fields behind it."""

    root: "str | CommandPipe"
    fields: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True):
    """A call of a function. Where ``function`` is empty: an operand, and arguments of the method that it ends in."""

    function: str
    arguments: tuple["Operand", ...]


class CommandPipe(msgspec.Struct, frozen=True):
    """Commands. declares: variables set to the value. assigns: they were declared before. line: of the text, from 1."""

    commands: tuple[Command, ...]
    declares: tuple[str, ...] = ()
    assigns: bool = False
    line: int = 0


class Branch(msgspec.Struct, frozen=True):
    """``if``, ``with`` or ``range``."""

    kind: str
    pipeline: CommandPipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...] = ()


class Include(msgspec.Struct, frozen=True):
    """``template "name" pipeline``."""

    name: str
    pipeline: CommandPipe | None
    line: int = 0


class Jump(msgspec.Struct, frozen=True):
    """``break`` or ``continue``."""

    kind: str


class TemplateFault(ValueError):
    """A text that cannot be parsed. line: of the text, from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


class Template(msgspec.Struct, frozen=True):
    """A parsed text, and those it defines by name."""

    nodes: tuple["Node", ...]
    defined: dict[str, tuple["Node", ...]]


Operand = Literal | Path
Node = str | CommandPipe | Branch | Include | Jump


def parse_template(text: str, characters_max: int = TEMPLATE_CHARS_MAX) -> Template:
    """Nodes of a text. Raises: TemplateFault, naming the action."""
    if len(text) > characters_max:
        raise TemplateFault(f"template of {len(text)} characters is over the limit of {characters_max}", 1)
    parser = _Parser(_pieces(text))
    try:
        nodes, end = parser.nodes(0)
    except TemplateFault:
        raise
    except ValueError as error:
        raise TemplateFault(str(error), parser.line) from None
    if end:
        raise TemplateFault(f"template: unexpected {{{{{end}}}}}", parser.line)
    return Template(nodes, parser.defined)


def _pieces(text: str) -> list[tuple[bool, str, int]]:
    """(is an action, text, line) in order; white space trimmed, comments taken out."""
    found: list[tuple[bool, str, int]] = []
    at, trim, line, counted = 0, False, 1, 0
    while True:
        begin = text.find("{{", at)
        plain = text[at:] if begin < 0 else text[at:begin]
        line += text.count("\n", counted, begin) if begin >= 0 else 0
        counted = begin
        action = None if begin < 0 else _action_at(text, begin, line)
        plain = plain.lstrip(" \t\r\n") if trim else plain
        if action is not None and action[1]:
            plain = plain.rstrip(" \t\r\n")
        if plain:
            found.append((False, plain, line))
        if action is None:
            return found
        is_comment = action.re is _COMMENT
        trim = is_comment and bool(action[2])
        at = action.end()
        if not is_comment:
            inner = text[begin + 2 + bool(action[1]) : at - 2]
            trim = inner[-1:] == "-" and inner[-2:-1].isspace()
            found.append((True, (inner[:-1] if trim else inner).strip(), line))


def _action_at(text: str, begin: int, line: int) -> re.Match[str]:
    """The action or comment that begins here. Raises: TemplateFault."""
    if _COMMENT_BEGIN.match(text, begin):
        action, what = _COMMENT.match(text, begin), "unclosed comment"
    else:
        action = _ACTION.match(text, begin)
        what = "unclosed action" if text.find("}}", begin) < 0 else "unterminated string in an action"
    if action is None:
        raise TemplateFault(f"template: {what}", line)
    return action


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str, int]]) -> None:
        self._pieces = pieces
        self._at = 0
        self.line = 1
        self._ranges = 0
        self.defined: dict[str, tuple[Node, ...]] = {}

    def nodes(self, depth: int) -> tuple[tuple[Node, ...], str]:
        """Nodes up to ``end``, ``else`` or the end of the text, and that word with what follows it."""
        if depth > DEPTH_MAX:
            raise ValueError(f"template: nested more than {DEPTH_MAX} deep")
        found: list[Node] = []
        while self._at < len(self._pieces):
            is_action, text, self.line = self._pieces[self._at]
            self._at += 1
            if not is_action:
                found.append(text)
                continue
            keyword = _KEYWORD.match(text)
            word, rest = (keyword[1], text[keyword.end() :]) if keyword else ("", text)
            if word in ("end", "else"):
                return tuple(found), f"{word} {rest}".strip()
            node = self._action(word, rest, text, depth)
            if node is not None:
                found.append(node)
        return tuple(found), ""

    def _action(self, word: str, rest: str, text: str, depth: int) -> Node | None:
        if word in ("if", "with", "range"):
            return self._branch(word, rest, depth)
        if word in ("define", "block"):
            return self._definition(word, rest, depth)
        if word == "template":
            return self._include(rest)
        if text in ("break", "continue"):
            if not self._ranges:
                raise ValueError(f"template: {{{{{text}}}}} outside {{{{range}}}}")
            return Jump(text)
        return self._pipeline(text)

    def _pipeline(self, text: str) -> CommandPipe:
        return msgspec.structs.replace(parse_pipeline(text), line=self.line)

    def _include(self, text: str) -> Include:
        name, argument = _named(text)
        return Include(name, self._pipeline(argument) if argument else None, self.line)

    def _branch(self, kind: str, text: str, depth: int) -> Branch:
        begin = self.line
        pipeline = self._pipeline(text)
        self._ranges += kind == "range"
        body, end = self.nodes(depth + 1)
        self._ranges -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        word, _, rest = end.partition(" ")
        if word == "else" and rest:
            inner = _KEYWORD.match(rest)
            if inner is None or inner[1] not in ("if", "with") or kind == "range":
                raise ValueError(f"template: unexpected {{{{{end}}}}}")
            return Branch(kind, pipeline, body, (self._branch(inner[1], rest[inner.end() :], depth + 1),))
        if word == "else":
            otherwise, end = self.nodes(depth + 1)
        if end != "end":
            raise TemplateFault(f"template: {{{{{kind}}}}} without {{{{end}}}}", begin)
        return Branch(kind, pipeline, body, otherwise)

    def _definition(self, word: str, text: str, depth: int) -> Node | None:
        begin = self.line
        name, argument = _named(text)
        value = self._pipeline(argument) if argument else None
        around, self._ranges = self._ranges, 0
        body, end = self.nodes(depth + 1)
        self._ranges = around
        if end != "end":
            raise TemplateFault(f"template: {{{{{word}}}}} without {{{{end}}}}", begin)
        if is_white(self.defined.get(name, ())):
            self.defined[name] = body
        elif not is_white(body):
            raise TemplateFault(f"template: multiple definition of template {name[:80]!r}", begin)
        return Include(name, value, begin) if word == "block" else None


def is_white(nodes: tuple[Node, ...]) -> bool:
    """True if nodes are nothing but white space: such a definition replaces no other."""
    return all(isinstance(node, str) and not node.strip() for node in nodes)


def _named(text: str) -> tuple[str, str]:
    """A quoted name, and what stands behind it."""
    found = _TOKEN.match(text)
    if found is None or found["string"] is None:
        raise ValueError(f"template: expected a name in quotes, got {text[:40]!r}")
    return _unquoted(found["string"]), text[found.end() :].strip()


# ---- Pipelines --------------------


def parse_pipeline(text: str) -> CommandPipe:
    """The inside of an action as commands. Raises: ValueError."""
    tokens = _tokens(text)
    reading = _Tokens(tokens, text)
    pipeline = reading.pipeline(0)
    if reading.kind:
        raise reading.unexpected()
    return pipeline


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """(kind, text, white space stood before it)."""
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"template: unexpected {text[at : at + 20]!r} in {{{{{text[:80]}}}}}")
        found.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) > at or at == 0))
        at = match.end()
    return found


class _Tokens:
    def __init__(self, tokens: list[tuple[str, str, bool]], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._at = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def word(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def unexpected(self) -> ValueError:
        return ValueError(f"template: unexpected {self.word[:40]!r} in {{{{{self._text[:80]}}}}}")

    def _take(self) -> str:
        word = self.word
        self._at += 1
        return word

    def pipeline(self, depth: int) -> CommandPipe:
        if depth > DEPTH_MAX:
            raise ValueError(f"template: nested more than {DEPTH_MAX} deep")
        names, assigns = self._declaration()
        commands = [self._command(depth)]
        while self.kind == "sign" and self.word == "|":
            self._take()
            commands.append(self._command(depth))
        for command in commands[1:]:
            first = command.arguments[0] if command.arguments else None
            if not command.function and not (isinstance(first, Path) and first.fields):
                raise ValueError(f"template: a value cannot take an argument in {{{{{self._text[:80]}}}}}")
        return CommandPipe(tuple(commands), names, assigns)

    def _declaration(self) -> tuple[tuple[str, ...], bool]:
        begin, names = self._at, []
        while self.kind == "variable":
            names.append(self._take())
            if self.kind == "declare" or (self.kind == "sign" and self.word == "="):
                return tuple(names), self._take() == "="
            if self.word != ",":
                break
            self._take()
        self._at = begin
        return (), False

    def _command(self, depth: int) -> Command:
        if self.kind == "word" and self.word not in ("true", "false", "nil"):
            function, arguments = self._take(), list[Operand]()
            while self.kind and not (self.kind == "sign" and self.word in "|),"):
                arguments.append(self._operand(depth))
            return Command(function, tuple(arguments))
        operands = [self._operand(depth)]
        takes = isinstance(operands[0], Path) and operands[0].fields  # a method
        while self.kind and not (self.kind == "sign" and self.word in "|)"):
            if not takes or (self.kind == "sign" and self.word != "("):
                raise self.unexpected()
            operands.append(self._operand(depth))
        if operands[0] == Literal(None):
            raise ValueError(f"template: nil is not a command in {{{{{self._text[:80]}}}}}")
        return Command("", tuple(operands))

    def _operand(self, depth: int) -> Operand:
        kind = self.kind
        if kind == "sign" and self.word == "(":
            self._take()
            inner = self.pipeline(depth + 1)
            if self.word != ")":
                raise ValueError(f"template: missing ) in {{{{{self._text[:80]}}}}}")
            self._take()
            return Path(inner, self._fields())
        if kind == "variable":
            return Path(self._take(), self._fields())
        if kind == "dot":
            self._take()
            return Path(".")
        if kind == "field":
            return Path(".", tuple(self._take()[1:].split(".")))
        return self._literal(kind)

    def _literal(self, kind: str) -> Operand:
        if kind not in ("string", "number", "char", "word"):
            raise self.unexpected() if kind else ValueError(f"template: missing value in {{{{{self._text[:80]}}}}}")
        word = self._take()
        if kind == "string":
            return Literal(_unquoted(word))
        if kind == "char":
            return Literal(ord(_unquoted(f'"{word[1:-1]}"')[:1] or "\0"))
        if kind == "number":
            return Literal(_number(word))
        if word in ("true", "false", "nil"):
            return Literal({"true": True, "false": False, "nil": None}[word])
        return Path(CommandPipe((Command(word, ()),)))  # a function without arguments, as an argument

    def _fields(self) -> tuple[str, ...]:
        if self.kind == "field" and not self._tokens[self._at][2]:
            return tuple(self._take()[1:].split("."))
        return ()


def _number(text: str) -> int | float:
    try:
        return int(text, 0 if text.lstrip("+-")[1:2].lower() in ("x", "b", "o") else 10)
    except ValueError:
        return float(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] == "`" else _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code and (0xD800 <= int(code, 16) <= 0xDFFF or int(code, 16) > 0x10FFFF):
        raise ValueError(f"template: \\u{code} is no character")
    return chr(int(code, 16)) if code else _ESCAPES.get(match[4], match[4])
