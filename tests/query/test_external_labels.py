"""External labels against the obvious: add them to all series, then judge."""

import itertools
import random

from nissa.model.matcher import Matcher, MatchOp
from nissa.model.predicate import takes
from nissa.query.external_labels import ExternalLabels

EXTERNAL = {"site": "a", "replica": "0"}
TEXTS = ["", "a", "b", "0", ".*", ".+", "a|b", "|b", "|a"]


def test_matchers_judge_what_is_answered():
    """For all operators, and series with and without labels of their own."""
    draw, external = random.Random(5), ExternalLabels(EXTERNAL)
    names = ("site", "replica", "job")
    values = (None, "a", "b", "0")
    stored = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in itertools.product(values, repeat=3)
    ]
    for _ in range(400):
        selector = tuple(
            Matcher(draw.choice(names), draw.choice(list(MatchOp)), draw.choice(TEXTS))
            for _ in range(draw.randint(0, 3))
        )
        for labels in stored:
            merged = {**EXTERNAL, **labels}
            expected = all(takes(one, merged.get(one.name, "")) for one in selector)
            chosen = all(takes(one, labels.get(one.name, "")) for one in external.stored(selector)) and all(
                takes(one, labels.get(one.name, "")) for one in selector if one.name == "job"
            )
            answered = external.answered(list(labels.items()), selector) if chosen else None
            assert answered == (sorted(merged.items()) if expected else None), (selector, labels)
