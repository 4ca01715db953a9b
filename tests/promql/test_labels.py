"""Label sets as columns of symbols, against dictionaries."""

import random

from nissa.promql.labels import join_labels, label_rows
from nissa.promql.memory_source import OwnTexts

SETS = [
    {"__name__": "x", "a": "1"},
    {"__name__": "x", "a": "1", "b": "2"},
    {"__name__": "x", "b": "1"},
    {"__name__": "x"},
    {},
    {"a": "2", "c": "é"},
    {"a": "10"},
]


def test_rows_are_the_sets_they_were_made_of() -> None:
    """Rows equal the label sets they were made from, also after selections of rows and names."""
    table = label_rows(OwnTexts(), SETS)
    assert [table.row(row) for row in range(len(table))] == SETS
    assert table.take(slice(1, 3)).row(1) == SETS[2]
    assert table.keep(["a"]).row(1) == {"a": "1"}
    assert table.without(["a"]).row(1) == {"__name__": "x", "b": "2"}
    assert table.text_of("a") == ["1", "1", "", "", "", "2", "10"]


def test_groups_are_equal_sets() -> None:
    """Rows have the same group exactly when their labels are equal; the first row of each is named."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sets = [{name: chance.choice("12") for name in "abc" if chance.random() < 0.7} for _ in range(500)]
    groups, firsts = label_rows(OwnTexts(), sets).groups()
    expected: dict[tuple[tuple[str, str], ...], int] = {}
    for row, one in enumerate(sets):
        number = expected.setdefault(tuple(sorted(one.items())), len(expected))
        assert groups[row] == number
        assert sets[firsts[number]] == one


def test_order_is_that_of_label_sets() -> None:
    """Rows sort by the first name that differs, then by its value; a shorter set comes first."""
    table = label_rows(OwnTexts(), SETS)
    wanted = sorted(range(len(SETS)), key=lambda row: sorted(SETS[row].items()))
    assert table.order().tolist() == wanted


def test_names_are_dropped_at_the_end() -> None:
    """A mark leaves the name visible until ``named``."""
    table = label_rows(OwnTexts(), SETS[:2]).marked()
    assert table.row(0) == SETS[0]
    assert table.named().row(0) == {"a": "1"}


def test_tables_join() -> None:
    """Tables of one query join, whatever names each has."""
    texts = OwnTexts()
    joined = join_labels([label_rows(texts, SETS[:3]), label_rows(texts, SETS[3:]).marked()])
    assert [joined.row(row) for row in range(len(joined))] == SETS
    assert joined.drop_name.tolist() == [False] * 3 + [True] * 4
    assert joined.put("a", joined.column("b")).row(1) == {"__name__": "x", "a": "2", "b": "2"}
