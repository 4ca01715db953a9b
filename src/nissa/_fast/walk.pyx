"""What a body of packets is walked into beside the batch: its packets, and its events.

    body       │ packet 0          │ packet 1     │ …            (one, unless the body is delimited)
    packets    end source time …    end source …
    events     packet 0: e0 e1       packet 1: e2
    attributes e0: a0 a1             e2: a2

Rows of samples go into the Batch, and what packets and requests are known by (``Claim``); this holds what a batch has
no columns for. Nothing is copied before the whole body
is known to be sound. Memory grows with need and is given back with the body: events are rare beside samples. This file
knows no wire language.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from nissa._fast.batch cimport CLAIM_EVENT, CLAIM_METRIC, Batch, Claim, Note
from nissa._fast.hash cimport Secret
from nissa._fast.packet_key cimport nameless_key, packet_key, request_key
from nissa._fast.types cimport NO_MEMORY, OK, TOO_MANY_SERIES, Fingerprint, Label, Status, Text

from nissa.model.columns import EventBatch, Metadata, TextColumn
from nissa.model.errors import TooLarge, UnsupportedMedia

# Packet id and source are repeated for each event, so many small events of a packet with a huge id could fill the
# memory.
COLUMN_BYTES_MAX = 32 << 20


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef take_all(const Walk* walk, Batch batch, const uint8_t* body):
    """What a decoder returns: (list of Metadata, EventBatch or None, messages not read). Raises what stopped it."""
    if walk.foreign_encoding.size:
        encoding = as_text(walk.foreign_encoding)
        raise UnsupportedMedia(f"content_encoding {encoding!r} in a message: send the payload plain, compress the body")
    if batch.status == TOO_MANY_SERIES and walk.event_count >= walk.events_max:
        raise TooLarge("events in one frame", got=walk.events_max + 1, limit=walk.events_max,
                       setting="ingest.frame_series_max")
    if batch.status != OK:
        batch.fail(body)
    notes = batch.take_notes() if batch.note_count else []
    return [as_series_name(note) for note in notes], take_events(walk), walk.ignored


cdef as_series_name(note):
    """The note of a metric under its series' name, in which dots are underscores."""
    return Metadata(note.name.replace(".", "_"), note.type, note.help, note.unit) if "." in note.name else note


cdef str as_text(Text text):
    return (<const char*>text.at)[:text.size].decode()


cdef take_events(const Walk* walk):
    """The events as an EventBatch, or None where there are none. Raises: TooLarge."""
    cdef size_t count = walk.event_count, index
    cdef Label none
    cdef const Label* attributes = walk.attributes if walk.attributes != NULL else &none     # no frame has had one yet
    if count == 0:
        return None
    time_ms = np.empty(count, np.int64)
    level = np.empty(count, np.uint8)
    first = np.empty(count + 1, np.int32)
    cdef int64_t[::1] time_view = time_ms
    cdef uint8_t[::1] level_view = level
    cdef int[::1] first_view = first
    first_view[count] = <int>walk.attribute_count
    for index in range(count):
        time_view[index] = walk.events[index].time_ms
        level_view[index] = walk.events[index].level
        first_view[index] = <int>walk.events[index].first_attribute
    return EventBatch(
        time_ms,
        level,
        text_column(&walk.events.source, sizeof(Event), count),
        text_column(&walk.events.event_id, sizeof(Event), count),
        text_column(&walk.events.description, sizeof(Event), count),
        text_column(&walk.events.packet_id, sizeof(Event), count),
        first,
        text_column(&attributes.name, sizeof(Label), walk.attribute_count),
        text_column(&attributes.value, sizeof(Label), walk.attribute_count),
    )


cdef text_column(const Text* first, size_t stride, size_t count):
    """The texts that stand ``stride`` bytes apart, from ``first`` on."""
    offsets = np.zeros(count + 1, np.int32)
    cdef int[::1] view = offsets
    cdef size_t index, total = 0
    cdef const Text* text
    for index in range(count):
        total += (<const Text*>(<const char*>first + index * stride)).size
        if total > <size_t>COLUMN_BYTES_MAX:
            raise TooLarge("bytes of one text column of events in one frame", got=total, limit=COLUMN_BYTES_MAX,
                           setting="fixed: send fewer events in one frame, or shorter packet ids")
        view[index + 1] = <int>total
    if total == 0:
        return TextColumn(offsets, b"")
    data = PyBytes_FromStringAndSize(NULL, total)
    cdef char* out = PyBytes_AS_STRING(data)
    for index in range(count):
        text = <const Text*>(<const char*>first + index * stride)
        if text.size:
            memcpy(out, text.at, text.size)
            out += text.size
    return TextColumn(offsets, data)


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef void begin_walk(Walk* walk, const Secret* secret, int64_t received_ms, size_t events_max) noexcept nogil:
    memset(walk, 0, sizeof(Walk))
    walk.secret = secret
    walk.received_ms = received_ms
    walk.events_max = events_max


cdef void end_walk(Walk* walk) noexcept nogil:
    free(walk.packets)
    free(walk.events)
    free(walk.attributes)
    free(walk.joined)


cdef Status push_packet(Walk* walk, Text message, Packet** out) noexcept nogil:
    """One more packet, which begins as: no source, no id, received now."""
    cdef Status status = room_for_one(<void**>&walk.packets, walk.packet_count, &walk.packet_capacity, sizeof(Packet))
    if status != OK:
        return status
    out[0] = &walk.packets[walk.packet_count]
    memset(out[0], 0, sizeof(Packet))
    out[0].end = message.at + message.size
    out[0].time_ms = walk.received_ms
    walk.packet_count += 1
    return OK


cdef Status push_event(Walk* walk, const Packet* packet, Event** out) noexcept nogil:
    """One more event of a packet, with the packet's source, id and time."""
    cdef Status status
    if walk.event_count >= walk.events_max:
        return TOO_MANY_SERIES
    status = room_for_one(<void**>&walk.events, walk.event_count, &walk.event_capacity, sizeof(Event))
    if status != OK:
        return status
    out[0] = &walk.events[walk.event_count]
    memset(out[0], 0, sizeof(Event))
    out[0].source = packet.source
    out[0].packet_id = packet.packet_id
    out[0].time_ms = packet.time_ms
    out[0].first_attribute = walk.attribute_count
    walk.event_count += 1
    return OK


cdef Status push_attribute(Walk* walk, Label attribute) noexcept nogil:
    """One more attribute of the event pushed last."""
    cdef Status status = room_for_one(<void**>&walk.attributes, walk.attribute_count, &walk.attribute_capacity,
                                      sizeof(Label))
    if status != OK:
        return status
    walk.attributes[walk.attribute_count] = attribute
    walk.attribute_count += 1
    return OK


cdef Status begin_claim(Walk* walk, Batch batch, const Packet* packet, size_t* number) noexcept nogil:
    """Claim what comes from here on for a packet whose header is read, where it has an id or a request."""
    cdef Claim* claim
    cdef Status status
    number[0] = batch.claim_count
    walk.claimed = packet.packet_id.size or packet.request_id.size
    if not walk.claimed:
        return OK
    status = batch.push_claim(&claim)
    if status != OK:
        return status
    claim.first_event = walk.event_count
    claim.has_packet = True
    claim.has_request = packet.request_id.size != 0
    if claim.has_request:
        claim.request = request_key(walk.secret, packet.epoch, packet.request_id)
    if packet.packet_id.size:
        claim.packet = packet_key(walk.secret, packet.source, packet.packet_id)
    else:
        claim.packet = nameless_key(walk.secret, packet.source, &claim.request)
    return OK


cdef void end_claim(Walk* walk, Batch batch, size_t number) noexcept nogil:
    """The packet ends here. One that brought nothing claims nothing."""
    cdef Claim* claim
    if walk.claimed:
        claim = &batch.claims[number]
        claim.end_record = batch.record_count
        claim.end_event = walk.event_count
        claim.kind = CLAIM_METRIC if claim.end_record > claim.first_record else CLAIM_EVENT
        if claim.kind == CLAIM_EVENT and claim.end_event == claim.first_event:
            batch.claim_count = number
    walk.claimed = False


cdef Status claim_request(Walk* walk, Batch batch, uint64_t epoch, Text request_id, uint32_t kind) noexcept nogil:
    """Claim the record or event pushed last for a request of its own."""
    cdef size_t records = batch.record_count, events = walk.event_count
    cdef Fingerprint key = request_key(walk.secret, epoch, request_id)
    cdef size_t first_record = records - (kind == CLAIM_METRIC), first_event = events - (kind == CLAIM_EVENT)
    cdef Claim* claim
    cdef Status status
    if batch.claim_count:
        claim = &batch.claims[batch.claim_count - 1]
        if (claim.request.low == key.low and claim.request.high == key.high and claim.kind == kind
                and not claim.has_packet and claim.inside == walk.claimed
                and claim.end_record == first_record and claim.end_event == first_event):
            claim.end_record = records      # the same request goes on
            claim.end_event = events
            return OK
    status = batch.push_claim(&claim)
    if status == OK:
        claim.request = key
        claim.has_request = True
        claim.inside = walk.claimed
        claim.kind = kind
        claim.first_record = first_record
        claim.end_record = records
        claim.first_event = first_event
        claim.end_event = events
    return status


cdef const Packet* packet_of(const Walk* walk, const uint8_t* at) noexcept nogil:
    """The packet in which address ``at`` lies: the first that ends behind it, or at it (an empty one in last place)."""
    cdef size_t low = 0, high = walk.packet_count - 1, middle
    while low < high:
        middle = (low + high) >> 1
        if walk.packets[middle].end >= at:
            high = middle
        else:
            low = middle + 1
    return &walk.packets[low]


cdef bint same_note(Batch batch, Text name, Text unit, uint32_t type) noexcept nogil:
    """Whether the note pushed last says the same: new series of one metric come in a row."""
    cdef const Note* last
    if batch.note_count == 0:
        return False
    last = &batch.notes[batch.note_count - 1]
    return last.type == type and same_text(last.name, name) and same_text(last.unit, unit)


cdef bint same_text(Text one, Text other) noexcept nogil:
    """An empty one may point nowhere, and then there is nothing to compare."""
    return one.size == other.size and (one.size == 0 or memcmp(one.at, other.at, one.size) == 0)


cdef Status room_for_one(void** items, size_t count, size_t* capacity, size_t item_bytes) noexcept nogil:
    cdef void* grown
    cdef size_t more
    if count < capacity[0]:
        return OK
    more = capacity[0] * 2 + 16
    grown = realloc(items[0], more * item_bytes)
    if grown == NULL:
        return NO_MEMORY
    items[0] = grown
    capacity[0] = more
    return OK
