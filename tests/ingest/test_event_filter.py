"""What of events is kept: levels dropped, texts redacted, and rows taken out of columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.config.redaction import Redaction, RedactionRule
from nissa.config.tree import Config, Events
from nissa.ingest.event_filter import event_filter, take_events
from nissa.model.errors import ConfigInvalid
from oracle.events import event_batch, event_row

SECRET = bytes(32)
ROWS = [{**event_row(at, at), "attributes": {f"n{pair}": "é" * pair for pair in range(at % 4)}} for at in range(12)]


@settings(deadline=None)  # the first call loads a library
@given(st.lists(st.integers(0, len(ROWS) - 1)))
def test_rows_are_taken_whole(chosen: list[int]) -> None:
    """In the order asked for, also twice, also none."""
    taken = take_events(event_batch(ROWS), np.array(chosen, np.int64))
    assert [taken.row(at) for at in range(len(taken))] == [ROWS[place] for place in chosen]


def test_levels_are_dropped_and_the_rest_redacted() -> None:
    """Counts tell both; where nothing is to do the very batch comes back."""
    rows = [{**row, "description": f"a{row['level']}@b.org"} for row in ROWS[:5]]
    config = Config(events=Events(drop_levels=("unspecified", "warning")))
    kept = event_filter(config, SECRET)(event_batch(rows))
    assert kept.events is not None
    assert [kept.events.row(at) for at in range(3)] == [
        {**row, "description": "[redacted:email]"} for row in rows if row["level"] not in (0, 2)
    ]
    assert (kept.dropped, kept.redacted) == (2, {"email": 3})
    batch = event_batch(ROWS)
    assert event_filter(Config(), SECRET)(batch).events is batch


def test_nothing_may_be_left() -> None:
    """Then there are no events at all."""
    kept = event_filter(Config(events=Events(drop_levels=("info",))), SECRET)(event_batch([ROWS[1], ROWS[6]]))
    assert (kept.events, kept.dropped, kept.redacted) == (None, 2, {})


def test_a_rule_that_cannot_be_read_is_named() -> None:
    """Also where nobody checked the settings before."""
    config = Config(redaction=Redaction(keys=(RedactionRule("a", "("),)))
    with pytest.raises(ConfigInvalid, match=r"redaction\.keys\[0\]\.pattern"):
        event_filter(config, SECRET)
