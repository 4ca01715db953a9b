"""Packets and events of a body, collected beside the batch.

    body       │ packet 0          │ packet 1     │ …            (one, unless the body is delimited)
    packets    end source time …    end source …
    events     packet 0: e0 e1       packet 1: e2
    attributes e0: a0 a1             e2: a2

Rows of samples and dedup keys (``Claim``) go into the Batch; this holds everything that a batch has no columns for.
Nothing is copied before the whole body is walked. Memory grows with need and is given back with the body: events are
rare beside samples. This file knows no wire language.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from nissa._fast.batch cimport CLAIM_EVENT, CLAIM_METRIC, Batch, Claim, Note, contain
from nissa._fast.cursor cimport Cursor, cursor_in, read_bytes
from nissa._fast.fields cimport add_default, add_name
from nissa._fast.growing cimport room_for_one
from nissa._fast.hash cimport Secret
from nissa._fast.messages cimport begin_message
from nissa._fast.packet_key cimport nameless_key, packet_key, request_key
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (OK, SERIES_NONE, TOO_MANY_SERIES, Fingerprint, Label, LabelList, LabelsOf,
                                Record, Status, Text)

from nissa.model.columns import EventBatch, Metadata, TextColumn
from nissa.model.errors import TooLarge, UnsupportedMedia

# Packet id and source are repeated for each event, so many small events of a packet with a huge id could fill the
# memory.
COLUMN_BYTES_MAX = 32 << 20


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef take_all(const Walk* walk, Batch batch, const uint8_t* body, LabelsOf labels_of):
    """Result of a decoder: (list of Metadata, EventBatch or None, messages not read). Raises what stopped it."""
    if walk.foreign_encoding.size:
        encoding = as_text(walk.foreign_encoding)
        raise UnsupportedMedia(f"content_encoding {encoding!r} in a message: send the payload plain, compress the body")
    if batch.status == TOO_MANY_SERIES and walk.event_count >= walk.events_max:
        raise TooLarge("events in one frame", got=walk.events_max + 1, limit=walk.events_max,
                       setting="ingest.frame_series_max")
    if batch.status != OK:
        batch.fail(body)
    batch.tell_examples(body, labels_of, <void*>walk)
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


cdef void drop_event(Walk* walk) noexcept nogil:
    """Forget the event pushed last, and its attributes."""
    walk.event_count -= 1
    walk.attribute_count = walk.events[walk.event_count].first_attribute


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
        claim = &batch.dedup_keys[number]
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
        claim = &batch.dedup_keys[batch.claim_count - 1]
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


cdef void walk_body(Walk* walk, Batch batch, SeriesIndex index, Text body, const Language* language, int codec,
                    bint delimited, uint32_t minute, size_t admit_max) noexcept nogil:
    """All of a decoding between begin and complete: walk the messages, give every record its series, note metadata."""
    if delimited:
        batch.status = walk_run(walk, batch, body, language, codec)
    else:
        batch.status = language.walk_message(walk, batch, body, codec)
    batch.events = walk.event_count
    walk.symbols = batch.symbols
    if batch.status == OK:
        batch.status = index.resolve(batch, language.labels_of, <void*>walk, minute, admit_max)
    if batch.status == OK and batch.missed:
        batch.status = notes_of_new(walk, batch, language)


cdef Status walk_run(Walk* walk, Batch batch, Text body, const Language* language, int codec) noexcept nogil:
    """Messages behind one another, each after its length. One that is at fault is refused by itself."""
    cdef Cursor cursor = cursor_in(body)
    cdef Text message
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_bytes(&cursor, &message)
        if status == OK:
            status = begin_message(batch, walk.event_count)
        if status == OK:
            status = contain(batch, language.walk_message(walk, batch, message, codec), 1, 1, message.at)
        if status != OK:
            return status
        walk.foreign_encoding.size = 0
    return OK


cdef Status notes_of_new(Walk* walk, Batch batch, const Language* language) noexcept nogil:
    """Type and unit of metrics whose raw form was not known, under the metric's name as it was sent."""
    cdef size_t index
    cdef Record* record
    cdef Note* note
    cdef Note found
    cdef Status status
    for index in range(batch.record_count):
        record = &batch.records[index]
        if not record.missed or record.series == SERIES_NONE:
            continue
        memset(&found, 0, sizeof(Note))
        if not language.note_of(walk, batch, record, &found):
            continue
        if same_note(batch, found.name, found.unit, found.type):
            continue
        status = batch.push_note(&note)
        if status != OK:
            return status
        note[0] = found
    return OK


cdef void add_origin(LabelList* labels, const Packet* packet, Text name) noexcept nogil:
    """The labels that a metric has beside its own: job, source and name."""
    cdef Text job
    job.at = <const uint8_t*>b"nissa"
    job.size = 5
    add_default(labels, b"job", 3, job)
    add_default(labels, b"source", 6, packet.source)
    add_name(labels, name)


cdef bint same_note(Batch batch, Text name, Text unit, uint32_t type) noexcept nogil:
    """True if the note pushed last says the same: new series of one metric come in a row."""
    cdef const Note* last
    if batch.note_count == 0:
        return False
    last = &batch.notes[batch.note_count - 1]
    return last.type == type and same_text(last.name, name) and same_text(last.unit, unit)


cdef bint same_text(Text one, Text other) noexcept nogil:
    """An empty one may point nowhere, and then there is nothing to compare."""
    return one.size == other.size and (one.size == 0 or memcmp(one.at, other.at, one.size) == 0)
