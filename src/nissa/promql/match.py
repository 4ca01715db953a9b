"""Binary operators between two vectors: matches their series.

    a{x=1,y=2} ┐              ┌ b{x=1}        keys: labels of ``on``, or all but the ignored and the name
    a{x=1,y=3} ┴─ key {x=1} ──┘               one side has at most one series per key and step; the other may have
    a{x=2}     ── key {x=2}    ·              many, with group_left or group_right

Keys are numbered once over the labels of both sides; the rest is arithmetic on rows. If one side has several rows of
one key at different steps (one ends, another begins), they are merged into one row first.
"""

import numpy as np
import numpy.typing as npt

from nissa._fast.groups import add_counts
from nissa.model.matcher import NAME_LABEL
from nissa.promql.expression import Binary, Matching
from nissa.promql.labels import Labels, SymbolColumn, join_labels
from nissa.promql.limits import ExecutionFailed
from nissa.promql.operators import apply, drops_name
from nissa.promql.values import Present, Values, Vector, join_vectors


def between_vectors(binary: Binary, left: Vector, right: Vector) -> Vector:
    """Evaluate a binary operator between two vectors, for every pair of matching series.

    binary: the operator with its matching. left, right: the operands. Raises: ExecutionFailed for an ambiguous match.
    """
    keys_left, keys_right, count = _keys(binary.matching, left.labels, right.labels)
    if binary.operator in ("and", "or", "unless"):
        return _set(binary.operator, left, right, keys_left, keys_right, count)
    if binary.matching.many == "right":
        return _matched(binary, right, left, keys_right, keys_left, count, swapped=True)
    return _matched(binary, left, right, keys_left, keys_right, count, swapped=False)


def _keys(matching: Matching, left: Labels, right: Labels) -> tuple[SymbolColumn, SymbolColumn, int]:
    """The number of each row's key, on both sides, and how many keys there are."""
    both = join_labels([left, right])
    chosen = both.keep(matching.labels) if matching.on else both.without([*matching.labels, NAME_LABEL])
    keys, firsts = chosen.groups()
    return np.ascontiguousarray(keys[: len(left)]), np.ascontiguousarray(keys[len(left) :]), len(firsts)


def _counts(keys: SymbolColumn, present: Present, count: int) -> npt.NDArray[np.uint64]:
    """Number of rows of each key that have a value, by step."""
    counts = np.zeros((count, present.shape[1]), np.uint64)
    add_counts(keys, np.ascontiguousarray(present), counts)
    return counts


def _set(
    operator: str, left: Vector, right: Vector, keys_left: SymbolColumn, keys_right: SymbolColumn, count: int
) -> Vector:
    if operator == "or":
        there = _counts(keys_left, left.present, count) > 0
        rest = Vector(right.labels, right.values, right.present & ~there[keys_right])
        return join_vectors([left, rest.without_empty()])
    there = _counts(keys_right, right.present, count) > 0
    met = there[keys_left] if operator == "and" else ~there[keys_left]
    return Vector(left.labels, left.values, left.present & met)


def _matched(
    binary: Binary,
    many: Vector,
    one: Vector,
    keys_many: SymbolColumn,
    keys_one: SymbolColumn,
    count: int,
    *,
    swapped: bool,
) -> Vector:
    """many: the side that may have several rows of a key, the left one where neither may. swapped: it is the right."""
    alive = many.present.any(axis=0) & one.present.any(axis=0)  # at other steps nothing meets, so nothing is wrong
    filled = binary.matching.fill_left is not None or binary.matching.fill_right is not None
    if not filled:
        one = Vector(one.labels, one.values, (one.present & alive).astype(np.uint8))
    _check_one(binary, one, keys_one, count, swapped=swapped)
    if filled:
        many, keys_many, one, keys_one = _filled(binary, many, one, keys_many, keys_one, count, swapped=swapped)
    rows_many, rows_one = _pairs(keys_many, keys_one, count)
    many_values, one_values = many.values[rows_many], one.values[rows_one]
    present = many.present[rows_many] & one.present[rows_one]
    labels = _result_labels(binary, many.labels.take(rows_many), one.labels.take(rows_one))
    if binary.matching.many:
        _check_unique(labels, present, keys_many[rows_many])
    else:
        _check_single(present, keys_many[rows_many], count)
    left, right = (one_values, many_values) if swapped else (many_values, one_values)
    values, present = apply(binary.operator, binary.returns_bool, left, right, present, left)
    return Vector(labels, values, present).without_empty()


def _pairs(
    keys_many: SymbolColumn, keys_one: SymbolColumn, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that meet: each row of the many with each of the one that has its key, mostly a single one."""
    order = np.argsort(keys_one, kind="stable")
    starts = np.searchsorted(keys_one[order], np.arange(count + 1))
    sizes = np.diff(starts)[keys_many]
    rows_many = np.repeat(np.arange(len(keys_many)), sizes)
    within = np.arange(len(rows_many)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rows_many, order[starts[keys_many[rows_many]] + within]


def _result_labels(binary: Binary, many: Labels, one: Labels) -> Labels:
    """Labels of pairs: those of the many, with what is included from the one; of one to one, the key's."""
    matching = binary.matching
    labels = many
    if not matching.many:
        labels = labels.keep(matching.labels) if matching.on else labels.without(matching.labels)
    for name in matching.include:
        labels = labels.put(name, one.column(name))
    if drops_name(binary):
        return labels.marked()
    return labels


def _check_one(binary: Binary, one: Vector, keys: SymbolColumn, count: int, *, swapped: bool) -> None:
    """The side of one has at most one value per key and step."""
    counts = _counts(keys, one.present, count)
    if not (counts > 1).any():
        return
    key, step = (int(found[0]) for found in np.nonzero(counts > 1))
    rows = np.flatnonzero((keys == key) & (one.present[:, step] != 0))[:2]
    matching = binary.matching
    first = one.labels.take(rows)
    group = first.keep(matching.labels) if matching.on else first.without([*matching.labels, NAME_LABEL])
    side = "left" if swapped else "right"
    raise ExecutionFailed(
        f"found duplicate series for the match group {label_set_text(group.row(0))} on the {side} hand-side of the "
        f"operation: [{label_set_text(first.row(1))}, {label_set_text(first.row(0))}];many-to-many matching not "
        "allowed: matching labels must be unique on one side"
    )


def _check_single(present: Present, keys: SymbolColumn, count: int) -> None:
    """Without group_left or group_right, no two rows meet the same one at a step, whatever a comparison leaves."""
    if (_counts(keys, present, count) > 1).any():
        what = "many-to-one matching must be explicit (group_left/group_right)"
        raise ExecutionFailed(f"multiple matches for labels: {what}")


def _check_unique(labels: Labels, present: Present, keys: SymbolColumn) -> None:
    """Rows of one key with the same labels take turns."""
    ids, firsts = labels.groups()
    if len(firsts) == len(labels):
        return
    pairs = ids.astype(np.uint64) * np.uint64(int(keys.max()) + 1) + keys
    numbers = np.unique(pairs, return_inverse=True)[1].astype(np.uint32)
    if (_counts(numbers, present, int(numbers.max()) + 1) > 1).any():
        raise ExecutionFailed("multiple matches for labels: grouping labels must ensure unique matches")


def _filled(
    binary: Binary,
    many: Vector,
    one: Vector,
    keys_many: SymbolColumn,
    keys_one: SymbolColumn,
    count: int,
    *,
    swapped: bool,
) -> tuple[Vector, SymbolColumn, Vector, SymbolColumn]:
    """Both sides with rows of fill values where the other side has a value and this one has none."""
    matching = binary.matching
    fill_many, fill_one = matching.fill_left, matching.fill_right
    if swapped:
        fill_many, fill_one = fill_one, fill_many
    has_many = _counts(keys_many, many.present, count) > 0
    has_one = _counts(keys_one, one.present, count) > 0
    new_many, new_one = many, one
    new_keys_many, new_keys_one = keys_many, keys_one
    if fill_many is not None:
        missing = has_one & ~has_many
        new_many, new_keys_many = _with_fill(matching, many, keys_many, one.labels, keys_one, missing, fill_many)
    if fill_one is not None:
        missing = has_many & ~has_one
        new_one, new_keys_one = _with_fill(matching, one, keys_one, many.labels, keys_many, missing, fill_one)
    return new_many, new_keys_many, new_one, new_keys_one


def _with_fill(
    matching: Matching,
    side: Vector,
    keys: SymbolColumn,
    others: Labels,
    other_keys: SymbolColumn,
    missing: npt.NDArray[np.bool_],
    fill: float,
) -> tuple[Vector, SymbolColumn]:
    wanted = np.flatnonzero(missing.any(axis=1)).astype(np.uint32)
    if not len(wanted):
        return side, keys
    first = {int(key): row for row, key in reversed(list(enumerate(other_keys.tolist())))}
    labels = others.take(np.array([first[int(key)] for key in wanted], np.int64))
    labels = labels.keep(matching.labels) if matching.on else labels.without([*matching.labels, NAME_LABEL])
    values: Values = np.full((len(wanted), side.steps), fill)
    rows = Vector(labels.marked(False), values, missing[wanted].astype(np.uint8))
    return join_vectors([side, rows]), np.concatenate([keys, wanted])


def label_set_text(labels: dict[str, str]) -> str:
    """A label set as Prometheus writes it in errors."""
    pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != NAME_LABEL)
    return f"{labels.get(NAME_LABEL, '')}{{{pairs}}}"
