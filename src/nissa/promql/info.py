"""info(vector): labels of info series such as ``target_info`` added to the series they describe.

    http_requests{job=a, instance=1} 5        target_info{job=a, instance=1, version=2} 1
    ──▶  http_requests{job=a, instance=1, version=2} 5

Series meet by ``instance`` and ``job``. The second argument chooses which labels are added, by matchers on them, and
which info series are meant, by ``__name__``. Of several info series at one step, the newest sample is taken.
"""

from collections.abc import Iterator

import numpy as np

from nissa.model.matcher import NAME_LABEL, Matcher, Selector
from nissa.model.predicate import equals, takes
from nissa.promql.context import EvaluationContext, Evaluator
from nissa.promql.expression import Call, Expression, Select, parts_of
from nissa.promql.labels import Labels
from nissa.promql.limits import ExecutionFailed
from nissa.promql.values import Vector, join_vectors

DEFAULT_NAME = "target_info"
IDENTIFYING = ("instance", "job")


def info_selectors(expression: Expression) -> list[Selector]:
    """The matchers of the info series that an expression needs."""
    return [_info_select(call).matchers for call in _info_calls(expression)]


def info_call(evaluator: Evaluator, call: Call, context: EvaluationContext) -> Vector:
    """Evaluate ``info``: the series of the first argument with labels of the matching info series.

    evaluator: of the query. call: the function and its arguments. context: steps to evaluate.
    """
    base = evaluator.vector(call.arguments[0], context)
    matchers = _data_matchers(call)
    select = _info_select(call)
    infos = evaluator.select(select, context)
    times = evaluator.select(select, context, times=True)
    is_info = _fits(base.labels, _name_matchers(call))
    others = base.take(np.flatnonzero(~is_info))
    described = _described(others, infos, times, matchers)
    return join_vectors([base.take(np.flatnonzero(is_info)), described])


def _info_calls(expression: Expression) -> Iterator[Call]:
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Call) and part.name == "info":
            yield part
        waiting += parts_of(part)


def _second(call: Call) -> Selector:
    second = call.arguments[1] if len(call.arguments) > 1 else None
    return second.matchers if isinstance(second, Select) else ()


def _name_matchers(call: Call) -> Selector:
    named = tuple(matcher for matcher in _second(call) if matcher.name == NAME_LABEL)
    return named or (equals(NAME_LABEL, DEFAULT_NAME),)


def _data_matchers(call: Call) -> dict[str, list[Matcher]]:
    found: dict[str, list[Matcher]] = {}
    for matcher in _second(call):
        if matcher.name != NAME_LABEL:
            found.setdefault(matcher.name, []).append(matcher)
    return found


def _info_select(call: Call) -> Select:
    """Info series whose labels fit. A matcher that takes the empty text does not choose series, only labels."""
    chosen = [matcher for matcher in _second(call) if matcher.name != NAME_LABEL and not takes(matcher, "")]
    return Select((*_name_matchers(call), *chosen))


def _fits(labels: Labels, matchers: Selector) -> np.ndarray:
    texts = labels.text_of(NAME_LABEL)
    return np.array([all(takes(matcher, text) for matcher in matchers) for text in texts], np.bool_)


def _described(base: Vector, infos: Vector, times: Vector, matchers: dict[str, list[Matcher]]) -> Vector:
    """Each base row at each step with the labels of the info rows that have its identity then."""
    by_identity: dict[tuple[str, ...], list[int]] = {}
    identities = list(zip(*(infos.labels.text_of(name) for name in IDENTIFYING), strict=True))
    for row, identity in enumerate(identities):
        by_identity.setdefault(identity, []).append(row)
    pieces: list[Vector] = [base.take(np.empty(0, np.int64))]
    rows = list(zip(*(base.labels.text_of(name) for name in IDENTIFYING), strict=True))
    required = any(not takes(matcher, "") for group in matchers.values() for matcher in group)
    for row, identity in enumerate(rows):
        candidates = by_identity.get(identity, [])
        pieces += _row_described(base, row, infos, times, candidates, matchers, required=required)
    return join_vectors(pieces)


def _row_described(
    base: Vector,
    row: int,
    infos: Vector,
    times: Vector,
    candidates: list[int],
    matchers: dict[str, list[Matcher]],
    *,
    required: bool,
) -> Iterator[Vector]:
    """One base row, split by which info rows describe it at which steps. required: left out where none does."""
    text = infos.labels.text_of(NAME_LABEL) if candidates else []
    names = sorted({text[candidate] for candidate in candidates})
    best: dict[str, np.ndarray] = {}
    for name in names:
        group = np.array([candidate for candidate in candidates if text[candidate] == name])
        seen = np.where(infos.present[group] != 0, times.values[group], -np.inf)
        newest = group[np.argmax(seen, axis=0)]
        best[name] = np.where(seen.max(axis=0) > -np.inf, newest, -1)
    choices = np.stack([best[name] for name in names]) if names else np.full((1, base.steps), -1)
    for combination in np.unique(choices, axis=1).T:
        here = (choices == combination[:, None]).all(axis=0)
        present = base.present[row : row + 1] & here
        added = [infos.labels.row(int(choice)) for choice in combination if choice >= 0]
        if not present.any() or (required and not added):
            continue
        labels = base.labels.take(slice(row, row + 1))
        taken = labels.row(0)
        for label, value in _added(added, taken, matchers).items():
            labels = labels.put(label, np.array([labels.texts.symbol(value)], np.uint32))
        yield Vector(labels, base.values[row : row + 1], present.astype(np.uint8))


def _added(infos: list[dict[str, str]], base: dict[str, str], matchers: dict[str, list[Matcher]]) -> dict[str, str]:
    added: dict[str, str] = {}
    for info in infos:
        for name, value in info.items():
            if name == NAME_LABEL or name in IDENTIFYING or name in base or (matchers and name not in matchers):
                continue
            if added.setdefault(name, value) != value:
                raise ExecutionFailed(f"conflicting label: {name}")
    return added
