# Outcome of each message of a delimited body: rows refused, and the first reason.
#
#   messages   first_record  first_event  refused  reason
#          0              0            0        0          taken: rows of records [0, 3) and its events
#          1              3            1        1       5  malformed, or nothing of it is admitted
#
# Walking counts faults of the message pushed last; Batch.settle counts rows by the record they belong to.

from libc.stdint cimport uint64_t
from libc.stdlib cimport realloc

from nissa._fast.batch cimport Batch, Message, note_refused
from nissa._fast.types cimport ADMITTED, NO_MEMORY, OK, TOO_MANY_MESSAGES, Status


cdef inline Status begin_message(Batch batch, size_t events) noexcept nogil:
    """One more message of a delimited body. events: how many the messages before it have brought."""
    cdef void* grown
    cdef size_t capacity
    cdef Message* message
    if batch.messages == batch.message_capacity:
        if batch.messages >= batch.records_max:
            return TOO_MANY_MESSAGES
        capacity = min(batch.message_capacity * 2 + 64, batch.records_max)
        grown = realloc(batch.message, capacity * sizeof(Message))
        if grown == NULL:
            return NO_MEMORY
        batch.message = <Message*>grown
        batch.message_capacity = capacity
    message = &batch.message[batch.messages]
    message.first_record = batch.record_count
    message.first_event = events
    message.refused = 0
    message.reason = ADMITTED
    batch.messages += 1
    return OK


cdef inline void note_settled(Batch batch, size_t record, int reason, uint64_t rows) noexcept nogil:
    """Rows of a record are refused: count them for its message, where the body is delimited. Records come in order."""
    if batch.messages == 0:
        return
    while batch.message_at + 1 < batch.messages and batch.message[batch.message_at + 1].first_record <= record:
        batch.message_at += 1
    note_refused(&batch.message[batch.message_at], reason, rows)
