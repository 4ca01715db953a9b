"""Templates of Go in notifications: the language in which Alertmanager's configuration writes texts.

    templates: [texts/*.tmpl] ──► TextLibrary ──compiled('{{ template "title" . }}')──► GoText ──rendered──► text
    default_texts.py ─────────────┘              functions and included names are looked up

Texts that files define replace Alertmanager's own of the same name. What a text includes is looked up when it is
compiled, through all that it includes, so that a name that is missing is found when the configuration is read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from nissa.config.alertmanager_templates import BYTES_MAX, TemplateFile
from nissa.model.errors import ConfigInvalid
from nissa.notifiers.default_texts import TEXTS
from nissa.notifiers.go_data import FIELDS, data_of
from nissa.notifiers.go_functions import message_function_names, message_functions
from nissa.notifiers.notifier import Message
from nissa.rules.expansion import Expansion, TextOutput
from nissa.rules.template_html import HtmlOutput
from nissa.rules.template_names import check_fields, check_names, included_names
from nissa.rules.template_syntax import Node, Template, TemplateFault, is_white, parse_template

STEPS_MAX: Final = 200_000
CHARACTERS_MAX: Final = 256 * 1024
_WORDS: Final = "template|range|if|else|end|with|define|block|break|continue"
_CALLED: Final = "|".join(sorted(message_function_names() - {"not", "list", "dict"}))
_GO: Final = re.compile(
    r"\{\{(?:-\s)?\s*(?:/\*|(?:" + _WORDS + r")\b|\(*\s*(?:[.$\"`]|\w+\s+[.$\"`\d]|(?:" + _CALLED + r")\s+\())"
)


def is_go(text: str) -> bool:
    """True if actions of a text are in the language of Go, not in Jinja2."""
    return _GO.search(text) is not None


class Defined(msgspec.Struct, frozen=True):
    """A text that can be included. file: that defines it; None for Alertmanager's own."""

    nodes: tuple[Node, ...]
    file: Path | None = None


class TextLibrary:
    """Texts by name."""

    def __init__(self, files: Iterable[TemplateFile] = ()) -> None:
        """Raises: ConfigInvalid, naming the file and its line."""
        self._defined = dict(_own_texts())
        self._functions = message_function_names()
        for file in files:
            try:
                self._add(file)
            except TemplateFault as fault:
                raise ConfigInvalid("", f"{file.path}, line {fault.line}: {fault}") from None

    def redefines(self, name: str) -> bool:
        """True if a file defines this text."""
        found = self._defined.get(name)
        return found is not None and found.file is not None

    def compiled(self, text: str, *, html: bool = False) -> "GoText":
        """A text that can be rendered. Raises: ValueError where it cannot be parsed, or a name in it is not known."""
        try:
            template = parse_template(text)
            self._check(template)
            check_fields(template.nodes, FIELDS)
        except TemplateFault as fault:
            raise ValueError(f"line {fault.line} of the text: {fault}" if fault.line > 1 else str(fault)) from None
        defined = {name: one.nodes for name, one in self._defined.items()} | template.defined
        self._check_included(template)
        return GoText(template.nodes, defined, html)

    def _add(self, file: TemplateFile) -> None:
        template = parse_template(file.text, BYTES_MAX)
        self._check(template)
        for name, nodes in ((file.path.name, template.nodes), *template.defined.items()):
            known = self._defined.get(name)
            if known is None or not is_white(nodes):
                self._defined[name] = Defined(nodes, file.path)

    def _check(self, template: Template) -> None:
        for nodes in (template.nodes, *template.defined.values()):
            check_names(nodes, self._functions)

    def _check_included(self, template: Template) -> None:
        """Look up all that a text includes. Raises: ValueError."""
        waiting: list[tuple[Sequence[Node], Path | None]] = [(template.nodes, None)]
        seen: set[str] = set()
        while waiting:
            nodes, file = waiting.pop()
            for one in included_names(nodes):
                if one.name in seen:
                    continue
                seen.add(one.name)
                here = Defined(template.defined[one.name]) if one.name in template.defined else None
                found = here or self._defined.get(one.name)
                if found is None:
                    where = f"{file}, line {one.line}: " if file else ""
                    raise ValueError(f"{where}template {one.name[:80]!r} is not defined, in no file of `templates`")
                waiting.append((found.nodes, found.file))


class GoText(msgspec.Struct, frozen=True, eq=False):
    """A text of Go's language. html: values are escaped by their place."""

    nodes: tuple[Node, ...]
    defined: Mapping[str, tuple[Node, ...]]
    html: bool = False

    def rendered(self, message: Message) -> str:
        """The text for a message. Raises: ValueError, and what its functions raise."""
        output = HtmlOutput(CHARACTERS_MAX) if self.html else TextOutput(CHARACTERS_MAX)
        expansion = Expansion(self.defined, output, STEPS_MAX)
        expansion.functions = message_functions(message.notification.at_ms, expansion.charge)
        data = data_of(message)
        expansion.expand(self.nodes, data, {"$": data})
        return output.text()


@cache
def own_library() -> TextLibrary:
    """Alertmanager's own texts alone."""
    return TextLibrary()


@cache
def _own_texts() -> Mapping[str, Defined]:
    return {name: Defined(parse_template(text).nodes) for name, text in TEXTS.items()}
