"""Functions of templates: those of Go's text/template and those that Prometheus adds.

Names and behaviour are the published ones. ``query`` is asked through the interface ``Ask``; what needs a console of
Prometheus (``tmpl``, ``safeHtml``, ``pathPrefix``) gives a plain text.
"""

import html
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlsplit

from nissa.rules.template_numbers import (
    BoundedText,
    go_format,
    go_text,
    humanize,
    humanize_1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
    printed,
    time_text,
)

Ask = Callable[[str], list[dict[str, Any]]]  # samples: {"Labels": {…}, "Value": 1.0}
Function = Callable[..., Any]
Charge = Callable[[int], object]  # takes steps from those a template has left. Raises: ValueError
QUERIES_MAX: Final = 50
PATTERN_CHARS_MAX: Final = 1_000
PATTERNS_KEPT_MAX: Final = 64
PATTERN_STEPS: Final = 1_000  # of a regular expression the first time a template uses it
SEARCH_CHARS_PER_STEP: Final = 4
SEARCHED_AGAIN_CHARS_PER_STEP: Final = 1_024  # a search may look at all that follows before it finds what is near
COPIED_PER_STEP: Final = 256  # elements of a list
_REFERENCE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)\}|\$)")


def functions(ask: Ask, external_url: str, now_ms: int, charge: Charge) -> Mapping[str, Function]:
    """Every function by its name, for one text.

    ask: evaluates an expression at ``now_ms``. external_url: of Nissa's own pages. charge: takes steps for work that
    grows with more than the characters of arguments.
    """
    path = urlsplit(external_url).path.rstrip("/")
    asking, work = _QueryWork(ask, charge), TextWork(charge)
    return {
        **PURE,
        "query": asking.query,
        "sortByLabel": asking.sort_by_label,
        "printf": work.printf,
        "slice": work.slice,
        "title": work.title,
        "match": work.match,
        "reReplaceAll": work.replace_all,
        "externalURL": lambda: external_url,
        "pathPrefix": lambda: path,
        "now": lambda: now_ms / 1000,
    }


def names() -> frozenset[str]:
    """Names of all functions."""
    return frozenset(PURE) | _CHARGED


def is_true(value: Any) -> bool:
    """Go's truth of a value: not empty and not zero."""
    return not (isinstance(value, float) and value == 0) and bool(value)


def float_of(value: Any) -> float:
    """A number, or a text that is one. Raises: ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"can't convert {go_text(value)[:40]} to float")
    return float(value)


def go_string(value: Any) -> str:
    """A value that is a text. Raises: ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"expected string; got {go_text(value)[:40]}")
    return value


# ---- of Go --------------------


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_comparable(first, other) and first == other for other in others)


def _comparable(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return True
    if _kind_of(left) is not _kind_of(right):
        raise ValueError("incompatible types for comparison")
    if not isinstance(left, bool | int | float | str):
        raise ValueError("non-comparable type")
    return True


def _kind_of(value: Any) -> type:
    """Of a duration, say, that of its number."""
    return next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), type(value))


def _less(left: Any, right: Any) -> bool:
    _comparable(left, right)
    if isinstance(left, bool) or left is None or right is None:
        raise ValueError("invalid type for comparison")
    return bool(left < right)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(go_string(key), "")
        elif isinstance(value, list | tuple | str):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise ValueError(f"index out of range: {go_text(key)[:40]}")
            value = value[key] if not isinstance(value, str) else ord(value[key])
        else:
            raise ValueError(f"can't index {go_text(value)[:40]}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, list | str) or any(not 0 <= bound <= len(value) for bound in bounds):
        raise ValueError("slice out of range")
    return value[slice(*(bounds or (None,)))] if len(bounds) != 1 else value[bounds[0] :]


def _print(*values: Any) -> str:
    text = BoundedText()
    for place, value in enumerate(values):
        both = place and not isinstance(value, str) and not isinstance(values[place - 1], str)
        text.add((" " if both else "") + printed(value))
    return text.text()


def _print_line(*values: Any) -> str:
    text = BoundedText()
    for place, value in enumerate(values):
        text.add((" " if place else "") + printed(value))
    text.add("\n")
    return text.text()


def _length(value: Any) -> int:
    if not isinstance(value, Mapping | list | tuple | str):
        raise ValueError(f"len of {go_text(value)[:40]}")
    return len(value.encode()) if isinstance(value, str) else len(value)


# ---- of Prometheus --------------------


def _first(samples: Any) -> Any:
    if not isinstance(samples, list) or not samples:
        raise ValueError("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: Any) -> str:
    return str(sample["Labels"].get(go_string(name), ""))


class _QueryWork:
    """Functions that ask queries; they take steps for the samples."""

    def __init__(self, ask: Ask, charge: Charge) -> None:
        self._ask = ask
        self._charge = charge
        self._queries = 0

    def query(self, expression: str) -> list[dict[str, Any]]:
        self._queries += 1
        if self._queries > QUERIES_MAX:
            raise ValueError(f"the template asks more than {QUERIES_MAX} queries")
        samples = self._ask(go_string(expression))
        self._charge(len(samples))
        return samples

    def sort_by_label(self, name: str, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._charge(len(samples))
        return sorted(samples, key=lambda sample: sample["Labels"].get(name, ""))


class TextWork:
    """Functions whose work grows with more than their arguments' characters; they take steps before they do it."""

    def __init__(self, charge: Charge) -> None:
        self._charge = charge
        self._patterns: dict[str, Any] = {}

    def printf(self, form: str, *values: Any) -> str:
        self._charge(go_string(form).count("%"))
        return go_format(form, *values)

    def slice(self, value: Any, *bounds: int) -> Any:
        self._charge(len(value) // COPIED_PER_STEP if isinstance(value, list) else 0)
        return _slice(value, *bounds)

    def title(self, text: str) -> str:
        self._charge(len(go_string(text)) // SEARCH_CHARS_PER_STEP)
        return re.sub(r"(?:^|(?<=[^\w']))\w", lambda match: match[0].upper(), text)

    def match(self, pattern: str, text: str) -> bool:
        return bool(self._searched(pattern, text).search(text))

    def replace_all(self, pattern: str, replacement: str, text: str) -> str:
        parts = _replacement_parts(go_string(replacement))
        found, at = BoundedText(), 0
        for match in self._searched(pattern, text).finditer(text):
            self._charge(1 + len(parts) + (len(text) - at) // SEARCHED_AGAIN_CHARS_PER_STEP)
            found.add(text[at : match.start()])
            at = match.end()
            for plain, name in parts:
                found.add(_group(match, name) if name else plain)
        found.add(text[at:])
        return found.text()

    def _searched(self, pattern: str, text: str) -> Any:
        """The compiled pattern, when the steps for it and for one search of the text are there."""
        self._charge(len(go_string(text)) // SEARCH_CHARS_PER_STEP)
        if go_string(pattern) not in self._patterns:
            self._charge(PATTERN_STEPS)
            self._patterns[pattern] = _pattern(pattern)
        return self._patterns[pattern]


def _replacement_parts(text: str) -> list[tuple[str, str]]:
    """(plain text, "") or ("", group) in order."""
    parts, at = [], 0
    for match in _REFERENCE.finditer(text):
        parts += [(text[at : match.start()], ""), ("", match[1] or match[2]) if match[0] != "$$" else ("$", "")]
        at = match.end()
    parts.append((text[at:], ""))
    return [part for part in parts if part != ("", "")]


@lru_cache(PATTERNS_KEPT_MAX)
def _pattern(text: str) -> Any:
    import re2  # linear time, and the syntax of Go

    if len(text) > PATTERN_CHARS_MAX:
        raise ValueError("regular expression is too long")
    try:
        options = re2.Options()
        options.log_errors = False
        return re2.compile(text, options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        raise ValueError(f"error parsing regexp: {told.decode() if isinstance(told, bytes) else told}") from None


def _group(match: Any, name: str) -> str:
    try:
        return match.group(int(name) if name.isdigit() else name) or ""
    except (IndexError, KeyError):
        return ""


def _strip_port(address: str) -> str:
    host, colon, port = go_string(address).rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        return address
    return host.removeprefix("[").removesuffix("]")


def _strip_domain(address: str) -> str:
    host = _strip_port(address)
    port = address[len(host) :] if address.startswith(host) else ""
    if re.fullmatch(r"[0-9.]+|[0-9a-fA-F:]+", host):
        return host + port
    return host.split(".")[0] + port


def _parse_duration(text: str) -> float:
    from nissa.rules.rule_file import read_duration_ms

    return read_duration_ms(go_string(text)) / 1000


def _link(which: int) -> Callable[[str], str]:
    return lambda expression: f"/graph?g0.expr={quote_plus(go_string(expression))}&g0.tab={which}"


def _number_function(write: Callable[[float], str]) -> Function:
    return lambda value: write(float_of(value))


_CHARGED: Final = frozenset(
    (
        "query",
        "sortByLabel",
        "printf",
        "slice",
        "title",
        "match",
        "reReplaceAll",
        "externalURL",
        "pathPrefix",
        "now",
        "and",
        "or",
    )
)
_JS: Final = {
    **{code: f"\\u{code:04X}" for code in (*range(32), 38, 60, 61, 62)},
    39: "\\'",
    34: '\\"',
    92: "\\\\",
}
GO: Final[dict[str, Function]] = {
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _less,
    "le": lambda left, right: _less(left, right) or _equal(left, right),
    "gt": lambda left, right: not _less(left, right) and not _equal(left, right) and not _is_nan(left, right),
    "ge": lambda left, right: not _less(left, right) and not _is_nan(left, right),
    "len": _length,
    "index": _index,
    "print": _print,
    "println": _print_line,
    "html": lambda *values: html.escape(_print(*values)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "js": lambda *values: _print(*values).translate(_JS),
    "urlquery": lambda *values: quote_plus(_print(*values)),
}
CASES: Final[dict[str, Function]] = {  # letter by letter, so that no text becomes longer
    "toUpper": lambda text: "".join(c if len(c.upper()) > 1 else c.upper() for c in go_string(text)),
    "toLower": lambda text: "".join(c if len(c.lower()) > 1 else c.lower() for c in go_string(text)),
}
PURE: Final[dict[str, Function]] = {
    **GO,
    "first": _first,
    "label": _label,
    "value": lambda sample: sample["Value"],
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "args": lambda *values: {f"arg{place}": value for place, value in enumerate(values)},
    **CASES,
    "safeHtml": go_text,
    "graphLink": _link(0),
    "tableLink": _link(1),
    "stripPort": _strip_port,
    "stripDomain": _strip_domain,
    "urlQueryEscape": lambda text: quote(go_string(text), safe="-_.~").replace("%20", "+"),
    "parseDuration": _parse_duration,
    "humanize": _number_function(humanize),
    "humanize1024": _number_function(humanize_1024),
    "humanizeDuration": _number_function(humanize_duration),
    "humanizePercentage": _number_function(humanize_percentage),
    "humanizeTimestamp": _number_function(humanize_timestamp),
    "toTime": _number_function(time_text),
}


def _is_nan(*values: Any) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for value in values)
