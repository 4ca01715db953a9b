"""Selection over the compiled index, against a twin that looks at every series with Python's re."""

import random

import numpy as np
import pytest

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp
from nissa.model.predicate import is_selective, takes
from nissa.series.select import select, select_any
from oracle.series_twin import SeriesTwin, index_of, judged_one_by_one

SERIES = [
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "up", "job": "db", "instance": "b:1"},
    {"__name__": "up", "job": "api"},
    {"__name__": "requests", "job": "api", "path": "/v1/items\nnext"},
    {"__name__": "requests", "path": 'quote " back \\ slash'},
    {"__name__": "größe", "job": "日本", "unit": "😀"},
]
EQUAL, NOT_EQUAL, FITS, NOT_FITS = MatchOp


def ids(*matchers: Matcher) -> list[int]:
    return select(index_of(SERIES), matchers).tolist()


def test_equality_finds_the_series_with_that_value():
    """``=`` means the series whose label has exactly that value."""
    assert ids(Matcher("job", EQUAL, "api")) == [0, 2, 3]
    assert ids(Matcher("job", EQUAL, "ap")) == []


def test_all_matchers_must_hold():
    """Several matchers narrow each other."""
    assert ids(Matcher("__name__", EQUAL, "up"), Matcher("job", NOT_EQUAL, "db")) == [0, 2]


def test_an_empty_value_means_a_missing_label():
    """``=""`` takes series without the label, ``!=""`` those with it; so do patterns that take the empty text."""
    up = Matcher("__name__", EQUAL, "up")
    assert ids(up, Matcher("instance", EQUAL, "")) == [2]
    assert ids(up, Matcher("instance", NOT_EQUAL, "")) == [0, 1]
    assert ids(up, Matcher("instance", FITS, "|a:1")) == [0, 2]
    assert ids(up, Matcher("instance", NOT_FITS, ".+")) == [2]
    assert ids(up, Matcher("instance", NOT_EQUAL, "a:1")) == [1, 2]


def test_a_label_nobody_has():
    """A label name no series carries behaves as empty everywhere."""
    up = Matcher("__name__", EQUAL, "up")
    assert ids(up, Matcher("nowhere", EQUAL, "")) == [0, 1, 2]
    assert ids(up, Matcher("nowhere", NOT_EQUAL, "x")) == [0, 1, 2]
    assert ids(up, Matcher("nowhere", FITS, ".+")) == []


def test_a_value_is_not_taken_for_a_name():
    """A text known only as a value of another label selects nothing as a name, and the other way round."""
    assert ids(Matcher("api", EQUAL, "job")) == []
    assert ids(Matcher("job", EQUAL, "path")) == []


def test_patterns_are_anchored_and_dots_take_newlines():
    """A pattern must fit the whole value; ``.`` fits a newline as in Prometheus 3."""
    assert ids(Matcher("path", FITS, "/v1")) == []
    assert ids(Matcher("path", FITS, "/v1.*")) == [3]
    assert ids(Matcher("path", FITS, "/v1/items.next")) == [3]
    assert ids(Matcher("job", FITS, "api$|^db")) == [0, 1, 2, 3]


def test_text_beyond_ascii_is_compared_as_text():
    """Labels of any UTF-8 are found by equality and by pattern, one code point per dot."""
    assert ids(Matcher("__name__", EQUAL, "größe")) == [5]
    assert ids(Matcher("unit", FITS, ".")) == [5]
    assert ids(Matcher("job", FITS, "日.")) == [5]


def test_a_bad_pattern_is_refused_with_its_reason():
    """RE2's complaint reaches the author of the query, also for lookaheads and huge repetitions."""
    for pattern in ("(", "(?=x)", "a{2000}", r"\1"):
        with pytest.raises(BadQuery, match="cannot be read"):
            takes(Matcher("job", FITS, pattern), "x")


def test_patterns_that_blow_up_backtracking_engines_are_linear():
    """Patterns with exponential backtracking answer at once on long values."""
    series = [{"__name__": "up", "path": "a" * 30_000 + "!"}]
    for pattern in ("(a+)+", "(a|aa)+", "(a*)*b", "([a-z]+)*x", "a*" * 200 + "b"):
        assert select(index_of(series), (Matcher("path", FITS, pattern),)).tolist() == []


def test_selection_agrees_with_the_twin_on_random_questions():
    """Random series and matchers select the same in the compiled index, in the twin index and one by one."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    words = ["a", "b", "ab", "abc", "x.y", "a|b", "", "\n", "é", "aa"]
    patterns = [
        "",
        ".*",
        ".+",
        "a",
        "a|b",
        "a.*",
        "(a|b)+",
        "[ab]*",
        "a|",
        "x\\.y",
        "x.y",
        "^a$",
        "ab?c?",
        "a.*|b",
        ".",
    ]
    for _ in range(150):
        series = [
            {"__name__": f"m{at}"} | {name: value for name in "pqr" if (value := chance.choice(words))}
            for at in range(20)
        ]
        selector = tuple(
            Matcher(chance.choice("pqrs"), op, chance.choice(patterns if op.by_pattern else words))
            for op in chance.choices(list(MatchOp), k=chance.randint(1, 4))
        )
        expected = judged_one_by_one(series, selector)
        assert select(index_of(series), selector).tolist() == expected, selector
        assert select(SeriesTwin(series), selector).tolist() == expected, selector


def test_selectors_are_united_without_repetition():
    """Series meant by several selectors appear once, ascending."""
    index = index_of(SERIES)
    both = [(Matcher("job", EQUAL, "api"),), (Matcher("__name__", EQUAL, "up"),)]
    assert select_any(index, both).tolist() == [0, 1, 2, 3]
    assert select_any(index, []).tolist() == []


def test_a_selector_of_empty_takers_is_not_selective():
    """Matchers that all take the empty text would mean every series."""
    assert not is_selective((Matcher("a", FITS, ".*"), Matcher("b", NOT_EQUAL, "x")))
    assert is_selective((Matcher("a", FITS, ".*"), Matcher("b", FITS, "x.*")))


def test_the_deadline_is_looked_at_between_values():
    """A check that raises ends the judging of values."""
    index = index_of([{"__name__": "m", "v": str(at)} for at in range(20)])

    def late(taken_bytes: int = 0, /) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        select(index, (Matcher("v", FITS, "1.+"),), late)


def test_ids_are_dense_numbers():
    """Selection gives uint32, as the columns of samples hold."""
    assert select(index_of(SERIES), (Matcher("job", EQUAL, "api"),)).dtype == np.uint32


class Held:
    """Counts the bytes a question holds."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def check(self, taken_bytes: int = 0, /) -> None:
        self.now += taken_bytes
        self.most = max(self.most, self.now)


def test_memory_does_not_grow_with_matchers():
    """A thousand matchers of many labels and of one hold what two do, and give it back."""
    index = index_of([{"__name__": "m"} | {f"l{name}": f"v{at}" for name in range(40)} for at in range(2_000)])
    few, many = Held(), Held()
    select(index, (Matcher("l0", NOT_EQUAL, "x"), Matcher("l1", EQUAL, "v1")), few.check)
    matchers = [Matcher(f"l{number % 40}", NOT_EQUAL, f"v{number}") for number in range(1_000)]
    found = select(index, (*matchers, Matcher("l0", NOT_EQUAL, "")), many.check)
    assert found.tolist() == list(range(1_000, 2_000))
    assert (many.most, many.now, few.now) == (few.most, 0, 0)
    assert few.most > index.symbol_count


def test_a_pattern_is_judged_once_in_a_question(monkeypatch):
    """However many selectors repeat a matcher, each distinct value of the label is looked at once for it."""
    twin = SeriesTwin([{"__name__": f"m{at % 7}", "v": str(at)} for at in range(500)])
    looked: list[int] = []
    text_of = twin.symbol_text
    monkeypatch.setattr(twin, "symbol_text", lambda symbol: (looked.append(symbol), text_of(symbol))[1])
    selectors = [(Matcher("__name__", EQUAL, f"m{one}"), Matcher("v", FITS, ".*[13]+")) for one in range(7)]
    found = select_any(twin, selectors)
    assert found.tolist() == [at for at in range(500) if str(at)[-1] in "13"]
    assert len(looked) == 500
