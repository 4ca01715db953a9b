"""Labels of a frame's context, beside a dictionary that follows Prometheus' rules for the labels of a target."""

import random
from typing import Any

import pytest

from nissa._fast.context import set_context
from oracle.bodies import Rig, request_2, series

NAMES = ("job", "instance", "exported_job", "zone", "exported_exported_job", "a")


def expect(sent: list[tuple[str, str]], rules: list[tuple[str, str, Any]]) -> dict[str, str]:
    """The labels of a series, label by label. Senders' labels have distinct names."""
    labels = dict(sent)
    for name, value, conflict in rules:
        if name in labels and conflict == "keep":
            continue
        if labels.get(name) and conflict == "rename":
            renamed = name
            while renamed in labels or renamed in [one for one, _, _ in rules]:
                renamed = f"exported_{renamed}"
            labels[renamed] = labels[name]
        labels[name] = value
    return {name: value for name, value in labels.items() if value}


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_added_as_a_dictionary_would(seed: int) -> None:
    """Random labels, contexts and rules, in both versions, twice: the same labels as the twin's, the same series."""
    rng = random.Random(seed)
    rig = Rig()
    for _ in range(60):
        conflict = rng.choice(("rename", "keep", "replace"))
        names = rng.sample(NAMES, rng.randrange(5))
        rules = [(name, rng.choice(("x", "y")), rng.choice((conflict, "replace"))) for name in names]
        sent = [("__name__", "up")]
        sent += [(name, rng.choice(("", "1", "2"))) for name in sorted(rng.sample(NAMES, rng.randrange(5)))]
        version = rng.choice((1, 2))
        body = series(sent) if version == 1 else request_2(sent)
        set_context(rig.batch, rules)
        known = None
        for _ in range(2):
            rig.decode(body, version)
            one = int(rig.batch.columns()[0][0])
            assert dict(rig.index.labels(one)) == expect(sent, rules), (sent, rules)
            assert known in (None, one)
            known = one


def test_one_raw_form_is_another_series_in_another_context() -> None:
    """The shortcut for known raw forms does not mix contexts up, nor frames without one."""
    rig = Rig()
    for context in ([], [("tenant", "a", "replace")], [("tenant", "b", "replace")], [("tenant", "a", "keep")], []):
        set_context(rig.batch, context)
        rig.decode(series([("__name__", "up"), ("z", "1")]))
    plain = [("__name__", "up"), ("z", "1")]
    assert rig.labels() == [plain, [plain[0], ("tenant", "a"), plain[1]], [plain[0], ("tenant", "b"), plain[1]]]


def test_limits_hold_for_both_together() -> None:
    """Too many labels with those of the context, or a name too long once renamed: the series is refused by itself."""
    rig = Rig(bytes(32), 1_000, 4)
    set_context(rig.batch, [("a", "1", "rename"), ("b", "1", "rename")])
    rig.decode(series([("__name__", "up"), ("c", "1")]) + series([("__name__", "up"), ("c", "1"), ("d", "1")]))
    assert rig.batch.refused == {"labels_too_many": 1}
    assert 'b="1"' in rig.batch.examples["labels_too_many"].series
    rig = Rig()
    long = "n" * 4_090
    set_context(rig.batch, [(long, "1", "rename")])
    rig.decode(series([("__name__", "up"), (long, "2")]))
    assert rig.batch.refused == {"label_too_long": 1}


def test_wrong_rules_are_refused() -> None:
    """More labels than a context may have, or a rule that there is not."""
    rig = Rig()
    with pytest.raises(ValueError, match="65 labels; at most 64"):
        set_context(rig.batch, [(f"l{n}", "v", "keep") for n in range(65)])
    with pytest.raises(ValueError, match="no such conflict rule: 'merge'"):
        set_context(rig.batch, [("a", "b", "merge")])  # type: ignore[list-item]
