"""Outcomes of the messages of a delimited frame, from the counts of its decoder and the event filter.

decoder        rows kept, rows and events refused, the first reason     by message
event filter   events refused for their time                            by event ──► by message
"""

import numpy as np

from nissa._fast.batch import Batch
from nissa._fast.messages import message_columns
from nissa.model.decoded import Decoded
from nissa.model.outcome import NO_REASON, MessageOutcome, MessageOutcomes
from nissa.model.refusal import Refusal

LIMITS = (Refusal.SERIES_LIMIT, Refusal.TOO_OLD, Refusal.TOO_NEW)  # reasons that lie in settings, not in bytes


def message_outcomes(batch: Batch, decoded: Decoded) -> MessageOutcomes:
    """Outcomes of the frame decoded last, before packets that came before are taken out of ``batch``.

    decoded: with its events filtered.
    """
    rows, rows_refused, reason, first_event = message_columns(batch)
    events = np.diff(first_event)
    kept, refused = rows.astype(np.int64) + events, rows_refused.astype(np.int64)
    if decoded.event_reasons is not None:
        at_fault = np.flatnonzero(decoded.event_reasons != NO_REASON)
        owners = np.repeat(np.arange(len(events)), events)[at_fault]
        lost = np.bincount(owners, minlength=len(events))
        first = np.full(len(events), NO_REASON, np.uint8)
        first[owners[::-1]] = decoded.event_reasons[at_fault[::-1]]  # of several the first is written last
        kept, refused = kept - lost, refused + lost
        reason = np.where(reason == NO_REASON, first, reason)
    outcome = np.where(np.isin(reason, LIMITS), np.uint8(MessageOutcome.REFUSED), np.uint8(MessageOutcome.SET_ASIDE))
    outcome[kept > 0] = MessageOutcome.PARTLY
    outcome[refused == 0] = MessageOutcome.TAKEN
    outcome[(refused == 0) & (kept == 0)] = MessageOutcome.IGNORED
    return MessageOutcomes(outcome, reason)
