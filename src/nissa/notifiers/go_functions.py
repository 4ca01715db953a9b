"""Functions that Alertmanager adds to those of Go's templates, such as ``toUpper``, ``join``, ``reReplaceAll``.

{{ .CommonLabels.Remove (stringSlice "job" "env") }}   {{ .StartsAt | tz "Europe/Paris" | date "15:04" }}
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

import orjson

from nissa.rules.expansion import CHARS_PER_STEP, Record
from nissa.rules.template_functions import CASES, COPIED_PER_STEP, GO, Charge, Function, TextWork, float_of, go_string
from nissa.rules.template_html import SafeHtml, SafeUrl
from nissa.rules.template_numbers import BoundedText, humanize_duration
from nissa.rules.template_times import SECOND, GoDuration, GoTime, in_zone, moment_of, time_format

LIST_MAX: Final = 10_000  # elements of a list or dict that a template makes
JSON_DEPTH_MAX: Final = 20
JOINED_PER_STEP: Final = 4  # texts of a list
_WORD: Final = re.compile(r"[^\W_][\w]*(?:['\u2019.:][^\W_][\w]*)*")
_LETTER: Final = re.compile(r"[^\W\d_]")


def message_functions(now_ms: int, charge: Charge) -> Mapping[str, Function]:
    """Every function by its name, for one text. charge: takes steps for work that grows."""
    work = TextWork(charge)

    def title(text: str) -> str:
        charge(len(go_string(text)) // 4)
        return _WORD.sub(lambda match: _LETTER.sub(lambda one: one[0].upper(), match[0].lower(), count=1), text)

    return {
        **_PURE,
        "printf": work.printf,
        "match": work.match,
        "reReplaceAll": work.replace_all,
        "title": title,
        "since": lambda moment: _since(moment, now_ms),
        "now": lambda: moment_of(now_ms),
        "slice": work.slice,
        "join": lambda separator, texts: _join(separator, texts, charge),
        "append": lambda values, *more: _append(values, more, charge),
        "toJson": lambda value: _json(value, charge),
    }


def message_function_names() -> frozenset[str]:
    """Names of all functions."""
    return frozenset(message_functions(0, lambda _: None)) | {"and", "or"}


def _join(separator: Any, texts: Any, charge: Charge) -> str:
    charge(len(texts) // JOINED_PER_STEP if isinstance(texts, list) else 0)
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("join expects a separator, and a list of texts")
    found = BoundedText()
    for place, one in enumerate(texts):
        found.add((go_string(separator) if place else "") + one)
    return found.text()


def _string_slice(*texts: Any) -> list[str]:
    return [go_string(one) for one in texts]


def _append(values: Any, more: Sequence[Any], charge: Charge) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError("append expects a list first")
    charge(len(values) // COPIED_PER_STEP)
    return _few([*values, *more])


def _few(values: list[Any]) -> list[Any]:
    if len(values) > LIST_MAX:
        raise ValueError(f"a list has at most {LIST_MAX} elements")
    return values


def _dict(*values: Any) -> dict[str, Any]:
    if len(values) % 2:
        raise ValueError("dict expects names and values in turn")
    return {go_string(name): value for name, value in zip(values[::2], values[1::2], strict=True)}


def _moment(value: Any) -> GoTime:
    if not isinstance(value, GoTime):
        raise ValueError("expected a time, such as .StartsAt")
    return value


def _since(moment: Any, now_ms: int) -> GoDuration:
    since: GoDuration = GoTime.METHODS["Sub"](moment_of(now_ms), _moment(moment))
    return since


def _humanize_duration(value: Any) -> str:
    if isinstance(value, GoDuration):
        return humanize_duration(int(value) / SECOND)
    return humanize_duration(float_of(value))


def _json(value: Any, charge: Charge) -> str:
    text = orjson.dumps(_plain(value, 0, charge)).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(value: Any, depth: int, charge: Charge) -> Any:
    """The value as JSON has it. Raises: ValueError."""
    charge(1)
    if depth > JSON_DEPTH_MAX:
        raise ValueError(f"toJson: the value is nested more than {JSON_DEPTH_MAX} deep")
    if isinstance(value, Record):
        names = [
            name for name in value.fields if name not in _NOT_IN_JSON and (name != "Value" or "Name" in value.fields)
        ]
        return {_json_name(name): _plain(value.field(name), depth + 1, charge) for name in names}
    if isinstance(value, Mapping):
        return {str(name): _plain(value[name], depth + 1, charge) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(one, depth + 1, charge) for one in value]
    if isinstance(value, GoTime):
        return time_format(value.at, "2006-01-02T15:04:05.999999999Z07:00")
    if isinstance(value, str):
        charge(len(value) // CHARS_PER_STEP)
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _json_name(name: str) -> str:
    return name if name in ("Name", "Value") else name[0].lower() + name[1:]


_NOT_IN_JSON: Final = frozenset(("GroupKey", "TruncatedAlerts", "DigestOf"))
_PURE: Final[dict[str, Function]] = {
    **GO,
    **CASES,
    "trimSpace": lambda text: go_string(text).strip(),
    "safeHtml": lambda text: SafeHtml(go_string(text)),
    "safeUrl": lambda text: SafeUrl(go_string(text)),
    "urlUnescape": lambda text: unquote_plus(go_string(text)),
    "stringSlice": _string_slice,
    "list": lambda *values: list(values),
    "dict": _dict,
    "date": lambda layout, moment: time_format(_moment(moment).at, layout),
    "tz": in_zone,
    "humanizeDuration": _humanize_duration,
}
