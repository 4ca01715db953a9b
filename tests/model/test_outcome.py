"""Outcomes of messages, as an edge reads them."""

import numpy as np

from nissa.model.outcome import NO_REASON, MessageOutcome, MessageOutcomes
from nissa.model.refusal import Refusal


def test_each_message_has_an_outcome_and_a_word() -> None:
    """The word is that of the first refusal, and empty where nothing is refused."""
    outcomes = MessageOutcomes(
        np.array([MessageOutcome.TAKEN, MessageOutcome.SET_ASIDE], np.uint8),
        np.array([NO_REASON, Refusal.TEXT_NOT_UTF8], np.uint8),
    )
    assert len(outcomes) == 2
    assert [outcomes.of(message) for message in range(2)] == [
        (MessageOutcome.TAKEN, ""),
        (MessageOutcome.SET_ASIDE, "text_not_utf8"),
    ]
