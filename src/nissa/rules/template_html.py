"""Escapes the values of a template of HTML by the place they stand in, as Go's html/template does.

    <p>{{ x }}</p>               &lt; &gt; &amp; &#34; &#39; &#43;
    <a href="{{ x }}">           other schemes than http, https and mailto are replaced; behind ? and # all is encoded
    <a style="{{ x }}">          what could end the value is replaced
    <a onclick="{{ x }}">        JSON;  also in <script>

Literal texts of the template are followed by a small tokenizer; values never change where it stands. Comments of HTML
are left out. Text that is marked as safe (``SafeHtml``, ``SafeUrl``) passes where it fits.
"""

import html
import re
from typing import Any, Final

import orjson

from nissa.rules.template_numbers import TEXT_CHARS_MAX, BoundedText, go_text

REFUSED: Final = "ZgotmplZ"  # Go's mark of a value that is not safe in its place
_SPECIAL: Final = {0: "\ufffd", 34: "&#34;", 38: "&amp;", 39: "&#39;", 43: "&#43;", 60: "&lt;", 62: "&gt;"}
_NORMAL: Final = {code: text for code, text in _SPECIAL.items() if code != 38}
_BARE: Final = {**_SPECIAL, **{code: f"&#{code};" for code in (9, 10, 11, 12, 13, 32, 61, 96)}}
_BARE_NORMAL: Final = {code: text for code, text in _BARE.items() if code != 38}
_TABLES: Final = {  # (without quotes, escaped by html already)
    (False, False): _SPECIAL,
    (False, True): _NORMAL,
    (True, False): _BARE,
    (True, True): _BARE_NORMAL,
}
_TAG: Final = re.compile(r"</?([a-zA-Z][\w:-]*)")
_TAG_PART: Final = re.compile(
    r"""\s+|(?P<end>/?>)|(?P<equals>=\s*(?P<quote>["']?))|(?P<name>[^\s=>"'/]+)|(?P<other>.)""", re.DOTALL
)
_URL_NAMES: Final = frozenset(
    (
        *("action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "href", "icon"),
        *("longdesc", "manifest", "poster", "profile", "src", "usemap", "xmlns"),
    )
)
_RAW_TAGS: Final = frozenset(("script", "style", "title", "textarea"))
_SCHEMES: Final = frozenset(("http", "https", "mailto"))
_UNRESERVED: Final = re.compile(r"[^A-Za-z0-9._~-]")  # all that a part of an address encodes
_UNFIT: Final = re.compile(r"(?!%[0-9a-fA-F]{2})[^A-Za-z0-9._~!#$&*+,/:;=?@\[\]-]")  # what no address has
_SCRIPT_PART: Final = re.compile(r"""\\.|["'`\n]""", re.DOTALL)
_UNSAFE_CSS: Final = re.compile(r"""[\0"'()/;@\[\\\]`{}<>]|--|expression|mozbinding""", re.IGNORECASE)


class SafeHtml(str):
    """A text that is HTML already."""

    __slots__ = ()


class SafeUrl(str):
    """An address whose scheme is trusted."""

    __slots__ = ()


class HtmlOutput:
    """HTML of a template: literal texts as they are, values escaped."""

    def __init__(self, characters_max: int = TEXT_CHARS_MAX) -> None:
        self._text = BoundedText(characters_max)
        self._state = "text"  # or: tag, comment, raw, and value of an attribute
        self._tag = self._name = self._quote = ""
        self._begin_value("text")

    def text(self) -> str:
        """All that was put out."""
        return self._text.text()

    def literal(self, text: str) -> None:
        """A text of the template. Raises: ValueError where the output is too long."""
        at = 0
        while at < len(text):
            at = getattr(self, f"_in_{self._state}")(text, at)

    def value(self, value: Any, function: str) -> int:
        """A value, escaped. function: ``html`` and ``urlquery`` have done so already. Raises: ValueError."""
        if self._state == "comment":
            return 0
        plain = go_text(value)
        self._text.add(self._escaped(plain, value, function))
        if self._state == "tag" and self._quote == "=":
            self._quote = ""
        return len(plain)

    # ---- Where a value stands --------------------

    def _begin_value(self, state: str) -> None:
        """state: that of an attribute's value, or of an element that holds no tags."""
        self._state, self._is_begun, self._is_in_query, self._script_quote = state, False, False, ""

    def _follow(self, text: str) -> None:
        """Note what a literal part of a value says about those behind it."""
        self._is_begun = self._is_begun or bool(text)
        self._is_in_query = self._is_in_query or "?" in text or "#" in text
        for part in _SCRIPT_PART.finditer(text):
            if not self._script_quote:
                self._script_quote = part[0] if part[0] in "\"'`" else ""
            elif part[0] == self._script_quote or (part[0] == "\n" and self._script_quote != "`"):
                self._script_quote = ""

    def _in_text(self, text: str, at: int) -> int:
        begin = text.find("<", at)
        if begin < 0:
            self._text.add(text[at:])
            return len(text)
        self._text.add(text[at:begin])
        if text.startswith("<!--", begin):
            self._state = "comment"
            return begin + 4
        tag = _TAG.match(text, begin)
        if tag is None:
            self._text.add("<" if text.startswith("<!", begin) else "&lt;")
            return begin + 1
        self._tag = "" if text[begin + 1] == "/" else tag[1].lower()
        self._state, self._name, self._quote = "tag", "", ""
        self._text.add(tag[0])
        return tag.end()

    def _in_comment(self, text: str, at: int) -> int:
        end = text.find("-->", at)
        if end < 0:
            return len(text)
        self._state = "text"
        return end + 3

    def _in_tag(self, text: str, at: int) -> int:
        if self._quote == "=" and text[at] not in "\"'> \t\r\n":  # the value of an attribute, without quotes
            self._quote = ""
            self._begin_value("value")
            return at
        part = _TAG_PART.match(text, at)
        if part is None:  # there is a character, and any is matched
            return len(text)
        self._text.add(part[0])
        if part["end"]:
            self._begin_value("raw" if self._tag in _RAW_TAGS else "text")
        elif part["equals"]:
            self._quote = part["quote"] or "="
            if part["quote"]:
                self._begin_value("value")
        elif part["other"] in ('"', "'") and self._quote == "=":
            self._quote = part[0]
            self._begin_value("value")
        elif part["name"]:
            self._name, self._quote = part["name"].lower(), ""
        return part.end()

    def _in_value(self, text: str, at: int) -> int:
        if self._quote:
            end = text.find(self._quote, at)
        else:
            found = re.compile(r"[\s>]").search(text, at)
            end = found.start() if found else -1
        inner = text[at:] if end < 0 else text[at:end]
        self._text.add(inner)
        self._follow(html.unescape(inner))
        if end < 0:
            return len(text)
        self._text.add(self._quote)
        end += len(self._quote)
        self._state, self._quote = "tag", ""
        return end

    def _in_raw(self, text: str, at: int) -> int:
        found = re.compile(rf"</{self._tag}", re.IGNORECASE).search(text, at)
        end = found.start() if found else len(text)
        self._text.add(text[at:end])
        self._follow(text[at:end])
        if found:
            self._state = "text"
        return end

    # ---- Escaping --------------------

    def _escaped(self, plain: str, value: Any, function: str) -> str:
        if self._state == "text":
            return plain if isinstance(value, SafeHtml) or function == "html" else plain.translate(_SPECIAL)
        if self._state == "raw":
            return self._in_element(plain)
        if self._state == "tag" and self._quote != "=":  # a name of an attribute, or nothing that is known
            return plain if re.fullmatch(r"[a-zA-Z][\w-]*", plain) and not _is_special(plain.lower()) else REFUSED
        is_bare, is_html = self._state == "tag" or not self._quote, function == "html"
        made = self._for_attribute(plain, value, function)
        return made.translate(_TABLES[is_bare, is_html])

    def _in_element(self, plain: str) -> str:
        if self._tag == "style":
            return _css(plain)
        return self._script(plain) if self._tag == "script" else plain.translate(_SPECIAL)

    def _for_attribute(self, plain: str, value: Any, function: str) -> str:
        name = self._name.removeprefix("data-")
        if name == "style":
            return _css(plain)
        if name.startswith("on"):
            return self._script(plain)
        if _is_url(self._name):
            return self._url(plain, isinstance(value, SafeUrl), function)
        return re.sub(r"<[^<>]*>", "", plain) if isinstance(value, SafeHtml) else plain

    def _url(self, plain: str, is_safe: bool, function: str) -> str:
        if self._state == "value" and self._is_in_query:
            if function == "urlquery":
                return plain
            return (_UNFIT if is_safe else _UNRESERVED).sub(_percent, plain)
        scheme, colon, _ = plain.partition(":")
        is_first = self._state != "value" or not self._is_begun
        if is_first and not is_safe and colon and "/" not in scheme and scheme.lower() not in _SCHEMES:
            return f"#{REFUSED}"
        return _UNFIT.sub(_percent, plain)

    def _script(self, plain: str) -> str:
        text = orjson.dumps(plain).decode()
        for sign, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
            text = text.replace(sign, code)
        quote = self._script_quote if self._state != "tag" else ""
        if quote == "`":
            text = text.replace("`", "\\u0060").replace("$", "\\u0024")
        return text[1:-1].replace("'", "\\u0027") if quote else text


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02x}" for byte in match[0].encode())


def _css(plain: str) -> str:
    return REFUSED if _UNSAFE_CSS.search(plain) else plain


def _is_url(name: str) -> bool:
    bare = name.removeprefix("data-").rpartition(":")[2]
    return bare in _URL_NAMES or (name.startswith("data-") and any(one in bare for one in ("src", "uri", "url")))


def _is_special(name: str) -> bool:
    return _is_url(name) or name == "style" or name.startswith("on")
