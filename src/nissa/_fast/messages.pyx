"""Outcomes of the messages of a delimited body, as columns: rows stored, rows refused, first reason.

The steps that count them stand in ``messages.pxd``.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

import numpy as np

from nissa._fast.batch cimport Batch, Message, note_refused
from nissa._fast.messages cimport begin_message
from nissa._fast.types cimport ADMITTED, OK, REFUSALS


# ---- Boundary --------------------------------------------------------------------------------------------------------

def add_message(Batch batch not None, size_t events, int reason=ADMITTED):
    """One more message that a slow path has read. events: how many the messages before it have brought.

    reason: why it is refused, a ``model.refusal.Refusal``; left out where it is not. Raises: MemoryError.
    """
    if begin_message(batch, events) != OK:
        raise MemoryError("decoding a frame")
    if reason != ADMITTED:
        if not 0 <= reason < <int>REFUSALS:
            raise ValueError(f"no such refusal: {reason}")
        note_refused(&batch.message[batch.messages - 1], reason, 1)


def message_columns(Batch batch not None):
    """Counts of each message of the frame decoded last, before packets that came before are taken out.

    Returns: rows kept, uint64 (n,); rows and events refused so far, uint64 (n,); the first reason of these, uint8 (n,),
    255 where there is none; where its events begin, int64 (n + 1,). Cost: 5 ns per message.
    """
    cdef size_t count = batch.messages, index, before, behind = 0
    cdef const Message* message
    kept = np.empty(count, np.uint64)
    refused = np.empty(count, np.uint64)
    reason = np.empty(count, np.uint8)
    first_event = np.empty(count + 1, np.int64)
    cdef uint64_t[::1] kept_view = kept, refused_view = refused
    cdef uint8_t[::1] reason_view = reason
    cdef int64_t[::1] event_view = first_event
    event_view[count] = batch.events
    if count:
        behind = batch.kept_before(batch.message[0].first_record)
    for index in range(count):
        message = &batch.message[index]
        before = behind
        behind = batch.kept_before(batch.message[index + 1].first_record) if index + 1 < count else batch.rows
        kept_view[index] = behind - before
        refused_view[index] = message.refused
        reason_view[index] = message.reason
        event_view[index] = message.first_event
    return kept, refused, reason, first_event
