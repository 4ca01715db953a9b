"""The event filter: drops events by level, redacts texts, and takes rows out of columns."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.redaction import Redaction, RedactionRule
from nissa.config.tree import Acceptance, Config, Events
from nissa.model.errors import ConfigInvalid
from nissa.redaction.event_filter import event_filter, of_categories, take_events
from oracle.events import event_batch, event_row

SECRET = bytes(32)
ROWS = [{**event_row(at, at), "attributes": {f"n{pair}": "é" * pair for pair in range(at % 4)}} for at in range(12)]


@settings(deadline=None)  # the first call loads a library
@given(st.lists(st.integers(0, len(ROWS) - 1)))
def test_rows_are_taken_whole(chosen: list[int]) -> None:
    """Rows are taken in the given order, also twice, also none."""
    taken = take_events(event_batch(ROWS), np.array(chosen, np.int64))
    assert [taken.row(at) for at in range(len(taken))] == [ROWS[place] for place in chosen]


def test_levels_are_dropped_and_the_rest_redacted() -> None:
    """Dropped and redacted events are counted; a batch without changes is returned as it is."""
    rows = [{**row, "description": f"a{row['level']}@b.org"} for row in ROWS[:5]]
    config = Config(events=Events(drop_levels=("unspecified", "warning")))
    kept = event_filter(config, SECRET)(event_batch(rows), 0)
    assert kept.events is not None
    assert [kept.events.row(at) for at in range(3)] == [
        {**row, "description": "[redacted:email]"} for row in rows if row["level"] not in (0, 2)
    ]
    assert (kept.refused, kept.redacted) == ({"dropped_level": 2}, {"email": 3})
    batch = event_batch(ROWS)
    assert event_filter(Config(), SECRET)(batch, 0).events is batch


def test_nothing_may_be_left() -> None:
    """Then there are no events at all."""
    kept = event_filter(Config(events=Events(drop_levels=("info",))), SECRET)(event_batch([ROWS[1], ROWS[6]]), 0)
    assert (kept.events, kept.refused, kept.redacted) == (None, {"dropped_level": 2}, {})


@pytest.mark.parametrize("past_ms", [0, 1_000, 2**64])
@pytest.mark.parametrize("future_ms", [0, 1_000, 2**64])
@pytest.mark.parametrize("received_ms", [0, 1_758_000_000_000, 2**47])
def test_events_outside_the_acceptance_window_are_refused(past_ms: int, future_ms: int, received_ms: int) -> None:
    """Each is counted once, by the first reason that fits, over the whole of int64."""
    edges = (received_ms - past_ms, received_ms, received_ms + future_ms)
    times = [edge + step for edge in edges for step in (-1, 0, 1)] + [-(2**63), -(2**63) + 1, -1, 0, 2**63 - 1]
    rows = [event_row(time_ms, at) for at, time_ms in enumerate(times) if -(2**63) <= time_ms < 2**63]
    config = Config(
        acceptance=Acceptance(event_past_ms=past_ms, event_future_ms=future_ms), events=Events(drop_levels=("warning",))
    )
    kept = event_filter(config, SECRET)(event_batch(rows), received_ms)
    expected, refused = [], Counter[str]()
    for row in rows:
        if row["time_ms"] < received_ms - past_ms:
            refused["too_old"] += 1
        elif row["time_ms"] > received_ms + future_ms:
            refused["too_new"] += 1
        elif row["level"] == 2:
            refused["dropped_level"] += 1
        else:
            expected.append(row)
    found = [] if kept.events is None else [kept.events.row(at) for at in range(len(kept.events))]
    assert (found, kept.refused) == (expected, refused)


def test_a_rule_that_cannot_be_read_is_named() -> None:
    """The error names the rule, even if the settings were not checked before."""
    config = Config(redaction=Redaction(keys=(RedactionRule("a", "("),)))
    with pytest.raises(ConfigInvalid, match=r"redaction\.keys\[0\]\.pattern"):
        event_filter(config, SECRET)


@given(
    st.lists(
        st.sampled_from(
            [
                {},
                {"category": "debug"},
                {"category": "Trace"},
                {"level": "x", "severity_text": "DEBUG"},
                {"categories": "debug"},
                {"a": "debug", "category": "other"},
            ]
        )
    )
)
@settings(deadline=None)
def test_categories_are_those_of_the_twin(attributes: list[dict[str, str]]) -> None:
    """An event is dropped for its level, or for an attribute that names a category in any case."""
    rows = [{**event_row(at, at), "attributes": each} for at, each in enumerate(attributes)]
    words = ("debug", "trace", "warning")
    names = ("category", "severity_text", "level")
    expected = [
        row["level"] == 2 or any(row["attributes"].get(name, "").lower() in words for name in names) for row in rows
    ]
    assert of_categories(event_batch(rows), words).tolist() == expected
    kept = event_filter(Config(), SECRET)(event_batch(rows), 0, words)
    assert kept.refused == ({"dropped_category": sum(expected)} if any(expected) else {})
    assert (0 if kept.events is None else len(kept.events)) == expected.count(False)
    assert not kept.examples
