"""nissa.v2: packets, single points and single events to rows, records and events.

SampleColumns have ``sample_columns.pyx``.

    TelemetryPacket
    ├─ 1 packet_id  2 source  3 epoch  4 request_id  5 priority  6 timestamp_ms
    ├─ 10 points*   1 name  2 labels*  3 type  4 value  5 timestamp_ms  6 unit  7 epoch  8 request_id
    └─ 20 events*   1 event_id  2 description  3 level  4 attributes*  5 timestamp_ms  6 source  7 epoch  8 request_id

A point becomes one sample of the series {__name__ = name with dots as underscores, job = "nissa", source, labels};
labels win over job and source. It is known by the hash of two runs of its bytes, what comes before its value and what
comes after its time; epoch and request_id behind them are not part of the series:

    name labels* [type] │ [value] [timestamp_ms] │ [unit] │ [epoch] [request_id]
    └──── hashed ─────┘                            hashed

What those bytes say was checked when the index first saw them. A point whose fields stand in another order is checked
and hashed field by field. A packet is walked twice, as in ``leyline.pyx``; the same strictness holds, and text must be
UTF-8 although proto2 does not ask for it. A point or event alone that is at fault is refused like one in a packet.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from nissa._fast.batch cimport CLAIM_EVENT, CLAIM_METRIC, Batch, Note, contain, push_row
from nissa._fast.cursor cimport Cursor, cursor_in, read_bytes, read_double, read_tag, read_varint, skip_field
from nissa._fast.fields cimport (add_label, add_name, kind_of, no_text, read_entry, read_text, skip_known,
                                 step_over_short)
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (NAME_MISSING, OK, WIRE_TYPE_WRONG, Fingerprint, Label, LabelList, Record,
                                Status, Text)
from nissa._fast.walk cimport (Event, Language, Packet, Walk, add_origin, begin_claim, begin_walk,
                               claim_request, drop_event, drop_packet, end_claim, end_walk, note_type,
                               packet_of, push_attribute, push_event, push_packet, take_all, walk_body)

# A tag as it is compared: field number << 3 | wire type. The names say message and field.
cdef enum:
    TAG_PACKET_ID = 1 << 3 | 2
    TAG_SOURCE = 2 << 3 | 2
    TAG_PACKET_EPOCH = 3 << 3 | 0
    TAG_PACKET_REQUEST = 4 << 3 | 2
    TAG_TIME = 6 << 3 | 0
    TAG_POINT = 10 << 3 | 2
    TAG_EVENT = 20 << 3 | 2
    TAG_NAME = 1 << 3 | 2
    TAG_LABEL = 2 << 3 | 2
    TAG_TYPE = 3 << 3 | 0
    TAG_VALUE = 4 << 3 | 1
    TAG_POINT_TIME = 5 << 3 | 0
    TAG_UNIT = 6 << 3 | 2
    TAG_EPOCH = 7 << 3 | 0
    TAG_REQUEST_ID = 8 << 3 | 2
    TAG_EVENT_ID = 1 << 3 | 2
    TAG_EVENT_DESCRIPTION = 2 << 3 | 2
    TAG_EVENT_LEVEL = 3 << 3 | 0
    TAG_EVENT_ATTRIBUTE = 4 << 3 | 2
    TAG_EVENT_TIME = 5 << 3 | 0
    TAG_EVENT_SOURCE = 6 << 3 | 2

cdef enum:
    LEVEL_MAX = 4           # TelemetryLevel and MetricType; proto2 takes a field with another number as absent
    CODEC_POINT = 8         # model/frame.py
    CODEC_EVENT = 9
    DOMAIN_SOURCE = 0x41    # name spaces of raw forms
    DOMAIN_PLAIN = 0x42
    DOMAIN_FIELDS = 0x43

cdef struct Point:
    Text name
    Text unit
    double value
    int64_t ts_ms           # the packet's, unless the point has its own
    uint64_t epoch
    Text request_id         # empty: the point has none of its own
    uint32_t type


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_packets(const uint8_t[::1] body, int codec, SeriesIndex index not None, Batch batch not None, *,
                   bint delimited, int64_t received_ms, uint32_t minute, size_t admit_max, int64_t oldest_ms,
                   int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    codec: 6 TelemetryPacket, 8 MetricPoint, 9 TelemetryEvent (``model.frame.Codec``). The rest, and what is returned
    and raised, is as for ``decode_leyline``. GIL: released. Cost: about 50 ns per known point of two labels.
    """
    cdef Text message
    cdef Walk walk
    cdef Language language = Language(walk_message, labels_of_point, note_of_point)
    message.at = &body[0] if body.shape[0] else NULL
    message.size = <uint32_t>body.shape[0]
    begin_walk(&walk, &index.secret, received_ms, batch.records_max)
    try:
        with nogil:
            batch.begin()
            walk_body(&walk, batch, index, message, &language, codec, delimited, minute, admit_max)
            if batch.status == OK:
                batch.complete(oldest_ms, newest_ms)
        return take_all(&walk, batch, message.at, labels_of_point)
    finally:
        end_walk(&walk)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_message(Walk* walk, Batch batch, Text message, int codec) noexcept nogil:
    """A packet; or a point or event alone, as of a packet that says nothing."""
    cdef Packet* packet
    cdef size_t records = batch.record_count
    cdef Status status = push_packet(walk, message, &packet)
    if status != OK:
        return status
    batch.stopped_at = message.at
    packet.source_key = hash_bytes(walk.secret, NULL, 0, DOMAIN_SOURCE)
    if codec == CODEC_POINT:
        status = contain(batch, walk_point(walk, batch, packet, message), 1, 1, message.at)
    elif codec == CODEC_EVENT:
        status = contain(batch, walk_event(walk, batch, packet, message), 1, 1, message.at)
    else:
        status = walk_packet(walk, batch, packet, message)
    if batch.record_count == records:
        drop_packet(walk)
    return status


cdef Status walk_packet(Walk* walk, Batch batch, Packet* packet, Text message) noexcept nogil:
    """A TelemetryPacket: first what its points and events share, then these."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef size_t claim = 0
    cdef Status status = walk_header(walk, batch, packet, message)
    if status == OK:
        status = begin_claim(walk, batch, packet, &claim)
    while status == OK and cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag == TAG_POINT:
            read_bytes(&cursor, &field)
            status = contain(batch, walk_point(walk, batch, packet, field), 1, 1, field.at)
        elif tag == TAG_EVENT:
            read_bytes(&cursor, &field)
            status = contain(batch, walk_event(walk, batch, packet, field), 1, 1, field.at)
        else:
            skip_field(&cursor, tag)
    if status == OK:
        end_claim(walk, batch, claim)
    return status


cdef Status walk_header(Walk* walk, Batch batch, Packet* packet, Text message) noexcept nogil:
    """All of a packet but its points and events, of which only the length is read."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Text field
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_POINT or tag == TAG_EVENT:
            status = read_bytes(&cursor, &field)
        elif tag == TAG_SOURCE:
            status = read_text(&cursor, &packet.source)
        elif tag == TAG_PACKET_ID:
            status = read_text(&cursor, &packet.packet_id)
        elif tag == TAG_PACKET_EPOCH:
            status = read_varint(&cursor, &packet.epoch)
        elif tag == TAG_PACKET_REQUEST:
            status = read_text(&cursor, &packet.request_id)
        elif tag == TAG_TIME:
            status = read_varint(&cursor, &number)
            packet.time_ms = <int64_t>number
        elif tag >> 3 == 10 or tag >> 3 == 20:
            return WIRE_TYPE_WRONG
        else:
            status = skip_known(&cursor, tag, kind_of(b"-bbnbnn", 7, tag))
        if status != OK:
            return status
    packet.source_key = hash_bytes(walk.secret, packet.source.at, packet.source.size, DOMAIN_SOURCE)
    return OK


cdef Status walk_point(Walk* walk, Batch batch, const Packet* packet, Text message) noexcept nogil:
    """A MetricPoint: one record of one row."""
    cdef Record* record
    cdef Point point
    cdef Fingerprint part
    cdef Status status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = message.at
    record.origin_size = message.size
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    record.key = packet.source_key
    point.ts_ms = packet.time_ms
    if read_plain_point(walk.secret, message, &point, &record.key):
        return push_point(walk, batch, &point)
    status = read_point(message, &point, NULL, walk.secret, &record.key)
    if status != OK:
        batch.record_count -= 1
        return status
    if point.name.size == 0:
        record.refusal = NAME_MISSING
    part = hash_bytes(walk.secret, point.name.at, point.name.size, DOMAIN_FIELDS)
    chain(walk.secret, &record.key, &part)
    part = hash_bytes(walk.secret, point.unit.at, point.unit.size, DOMAIN_FIELDS ^ (point.type << 8))
    chain(walk.secret, &record.key, &part)
    return push_point(walk, batch, &point)


cdef Status read_point(Text message, Point* out, LabelList* labels, const Secret* secret,
                       Fingerprint* key) noexcept nogil:
    """A MetricPoint whatever the order of its fields; an absent time leaves ts_ms as it is.

    Its labels go into labels, or else their hashes into key.
    """
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Status status
    out.name = no_text()
    out.unit = no_text()
    out.value = 0.0
    out.type = 0
    out.epoch = 0
    out.request_id = no_text()
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_LABEL:
            status = read_point_label(&cursor, labels, secret, key)
        else:
            status = read_point_field(&cursor, tag, out)
        if status != OK:
            return status
    return OK


cdef Status read_point_field(Cursor* cursor, uint32_t tag, Point* out) noexcept nogil:
    """One field of a MetricPoint other than a label."""
    cdef uint64_t number = 0
    cdef Status status
    if tag == TAG_NAME:
        return read_text(cursor, &out.name)
    if tag == TAG_UNIT:
        return read_text(cursor, &out.unit)
    if tag == TAG_VALUE:
        return read_double(cursor, &out.value)
    if tag == TAG_POINT_TIME or tag == TAG_TYPE:
        status = read_varint(cursor, &number)
        if tag == TAG_POINT_TIME:
            out.ts_ms = <int64_t>number
        elif number & 0xFFFFFFFFU <= LEVEL_MAX:
            out.type = <uint32_t>number
        return status
    if tag == TAG_EPOCH:
        return read_varint(cursor, &out.epoch)
    if tag == TAG_REQUEST_ID:
        return read_text(cursor, &out.request_id)
    if tag >> 3 <= 8:
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef Status read_point_label(Cursor* cursor, LabelList* labels, const Secret* secret, Fingerprint* key) noexcept nogil:
    cdef Text field
    cdef Label label
    cdef Fingerprint part
    cdef Status status = read_bytes(cursor, &field)
    if status == OK:
        status = read_entry(field, False, &label)
    if status == OK and labels != NULL:
        add_label(labels, label)
    elif status == OK:
        part = hash_bytes(secret, field.at, field.size, DOMAIN_FIELDS)
        chain(secret, key, &part)
    return status


cdef Status walk_event(Walk* walk, Batch batch, const Packet* packet, Text message) noexcept nogil:
    """A TelemetryEvent. Its attributes are kept as they come; of one name, readers take the last."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Event* event
    cdef Label attribute
    cdef Text field, request_id = no_text()
    cdef uint64_t epoch = 0
    cdef Status status = push_event(walk, packet, &event)
    if status != OK:
        return status
    while status == OK and cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            break
        if tag == TAG_EVENT_ATTRIBUTE:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_entry(field, False, &attribute)
            if status == OK:
                event.attribute_count += 1
                status = push_attribute(walk, attribute)
        elif tag == TAG_EPOCH:
            status = read_varint(&cursor, &epoch)
        elif tag == TAG_REQUEST_ID:
            status = read_text(&cursor, &request_id)
        else:
            status = read_event_field(&cursor, tag, event)
    if status != OK:
        drop_event(walk)
    elif request_id.size:
        status = claim_request(walk, batch, epoch, request_id, CLAIM_EVENT)
    return status


cdef Status read_event_field(Cursor* cursor, uint32_t tag, Event* event) noexcept nogil:
    """One field of a TelemetryEvent other than its attributes and its request."""
    cdef uint64_t number = 0
    cdef Status status
    if tag == TAG_EVENT_ID:
        return read_text(cursor, &event.event_id)
    if tag == TAG_EVENT_DESCRIPTION:
        return read_text(cursor, &event.description)
    if tag == TAG_EVENT_SOURCE:
        return read_text(cursor, &event.source)
    if tag == TAG_EVENT_LEVEL or tag == TAG_EVENT_TIME:
        status = read_varint(cursor, &number)
        if tag == TAG_EVENT_TIME:
            event.time_ms = <int64_t>number
        elif number & 0xFFFFFFFFU <= LEVEL_MAX:
            event.level = <uint8_t>number
        return status
    if tag >> 3 <= 8:
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef Status labels_of_point(void* codec, const Record* record, LabelList* out) noexcept nogil:
    cdef const Packet* packet = packet_of(<const Walk*>codec, record.origin)
    cdef Point point
    cdef Text message
    message.at = record.origin
    message.size = record.origin_size
    cdef Status status = read_point(message, &point, out, NULL, NULL)
    if status != OK:
        add_name(out, point.name)           # the point is refused: its name goes into the answer
        return status
    add_origin(out, packet, point.name)
    return OK


cdef bint note_of_point(Walk* walk, Batch batch, const Record* record, Note* out) noexcept nogil:
    cdef Point point
    cdef LabelList labels
    cdef Text message
    message.at = record.origin
    message.size = record.origin_size
    labels.count = 0
    read_point(message, &point, &labels, NULL, NULL)
    out.name = point.name
    out.unit = point.unit
    out.type = note_type(point.type)
    return point.unit.size != 0 or point.type != 0


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint read_plain_point(const Secret* secret, Text message, Point* point, Fingerprint* key) noexcept nogil:
    """The point every sender writes, fields in the order of their numbers with short lengths; else False."""
    cdef Cursor cursor = cursor_in(message)
    cdef const uint8_t* start
    cdef Fingerprint before, after
    cdef uint64_t number = 0
    cdef int64_t ts_ms = point.ts_ms
    if message.size < 3 or message.at[0] != TAG_NAME or message.at[1] == 0:
        return False
    step_over_short(&cursor, TAG_NAME)
    step_over_short(&cursor, TAG_LABEL)
    if cursor.end - cursor.at >= 2 and cursor.at[0] == TAG_TYPE and cursor.at[1] < 0x80:
        cursor.at += 2
    before = hash_bytes(secret, message.at, cursor.at - message.at, DOMAIN_PLAIN)
    point.value = 0.0
    if cursor.end - cursor.at >= 9 and cursor.at[0] == TAG_VALUE:
        memcpy(&point.value, cursor.at + 1, 8)
        cursor.at += 9
    if cursor.at < cursor.end and cursor.at[0] == TAG_POINT_TIME:
        cursor.at += 1
        if read_varint(&cursor, &number) != OK:
            return False
        ts_ms = <int64_t>number
    start = cursor.at
    step_over_short(&cursor, TAG_UNIT)
    after = hash_bytes(secret, start, cursor.at - start, DOMAIN_PLAIN)
    point.epoch = 0
    point.request_id.size = 0
    if cursor.at < cursor.end and cursor.at[0] == TAG_EPOCH:
        cursor.at += 1
        if read_varint(&cursor, &point.epoch) != OK:
            return False
    if cursor.at < cursor.end and cursor.at[0] == TAG_REQUEST_ID:
        cursor.at += 1
        if read_text(&cursor, &point.request_id) != OK:
            return False
    if cursor.at != cursor.end:
        return False
    point.ts_ms = ts_ms
    chain(secret, key, &before)
    chain(secret, key, &after)
    return True


cdef inline Status push_point(Walk* walk, Batch batch, const Point* point) noexcept nogil:
    """The row of the record pushed last, and the request it was made for."""
    cdef Status status = OK
    if point.request_id.size:
        status = claim_request(walk, batch, point.epoch, point.request_id, CLAIM_METRIC)
    return push_row(batch, point.ts_ms, point.value) if status == OK else status
