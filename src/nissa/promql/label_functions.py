"""label_replace and label_join: labels written from other labels, once per distinct text."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import re2

from nissa.model.matcher import NAME_LABEL
from nissa.model.replacement import expanded
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call, String
from nissa.promql.labels import Labels, SymbolColumn
from nissa.promql.limits import ExecutionFailed
from nissa.promql.same import merged
from nissa.promql.values import Vector

Pattern = Any  # a compiled pattern of re2, which ships no types
LABEL_CHARS_MAX: Final = 64 * 1024
CALL_CHARS_MAX: Final = 128 << 20


def label_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate label_replace(vector, target, replacement, source, pattern) or label_join(vector, target, separator, …).

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    texts = [argument.text if isinstance(argument, String) else "" for argument in call.arguments[1:]]
    target = texts[0]
    _check_name(call.name, "destination", target)
    pattern = None
    if call.name == "label_replace":
        pattern = _pattern(texts[3])
    else:
        for source in texts[2:]:
            _check_name(call.name, "source", source)
    vector = evaluator.vector(call.arguments[0], context)
    written = np.ones(len(vector), np.bool_)
    if pattern is not None:
        column, written = _replaced(vector.labels, target, texts[1], texts[2], pattern)
    else:
        column = _joined(vector.labels, texts[1], texts[2:])
    labels = vector.labels.put(target, column)
    if target == NAME_LABEL:
        labels = labels.marked(labels.drop_name & ~written)
    return merged(Vector(labels, vector.values, vector.present))


def _check_name(function: str, which: str, name: str) -> None:
    if not name or any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        raise ExecutionFailed(f"invalid {which} label name in {function}(): {name}")


def _pattern(text: str) -> Pattern:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    try:
        return re2.compile(f"^(?:{text})$", options)
    except re2.error:
        raise ExecutionFailed(f"invalid regular expression in label_replace(): {text}") from None


def _check_chars(chars: int, limit: int, function: str) -> None:
    """Refuse what a call would write, before it is written: nested calls double a text each time."""
    if chars > limit:
        raise ExecutionFailed(f"{function}(): {chars} characters of labels are over the limit of {limit}")


def _replaced(
    labels: Labels, target: str, replacement: str, source: str, pattern: Pattern
) -> tuple[SymbolColumn, npt.NDArray[np.bool_]]:
    """The replacement with the groups of the pattern put in where the source matches; else the target unchanged."""
    texts = labels.texts
    symbols, places = np.unique(labels.column(source), return_inverse=True)
    found = np.zeros(len(symbols), np.uint32)
    fits = np.zeros(len(symbols), np.bool_)
    chars = 0
    for at, symbol in enumerate(symbols.tolist()):
        match = pattern.match(texts.text(symbol))
        if match is not None:
            fits[at] = True
            references = replacement.count("$")
            _check_chars(len(replacement) + references * len(match.string), CALL_CHARS_MAX, "label_replace")
            text = expanded(replacement, match)
            _check_chars(len(text), LABEL_CHARS_MAX, "label_replace")
            chars += len(text)
            _check_chars(chars, CALL_CHARS_MAX, "label_replace")
            found[at] = texts.symbol(text)
    written = fits[places]
    return np.where(written, found[places], labels.column(target)).astype(np.uint32), written


def _joined(labels: Labels, separator: str, sources: list[str]) -> SymbolColumn:
    """The texts of the sources in each row, joined."""
    texts = labels.texts
    if not sources:
        return np.zeros(len(labels), np.uint32)
    columns = np.stack([labels.column(source) for source in sources])
    distinct, places = np.unique(columns, axis=1, return_inverse=True)
    found, chars = [], 0
    for at in range(distinct.shape[1]):
        parts = [texts.text(symbol) for symbol in distinct[:, at].tolist()]
        size = sum(map(len, parts)) + len(separator) * (len(parts) - 1)
        _check_chars(size, LABEL_CHARS_MAX, "label_join")
        chars += size
        _check_chars(chars, CALL_CHARS_MAX, "label_join")
        found.append(texts.symbol(separator.join(parts)))
    return np.array(found, np.uint32)[places.reshape(-1)] if found else np.empty(0, np.uint32)
