"""Leyline: Esper's telemetry packets, bare or in their envelopes, to rows, records and events.

    BusEnvelope                              EventEnvelope
    ├─ 1 message_type   4 = TELEMETRY        ├─ 10 payload          TelemetryPacket, if 11 says so
    ├─ 2 payload        TelemetryPacket      ├─ 11 payload_type
    └─ 3 attributes{}                        └─ 12 content_encoding

    TelemetryPacket
    ├─ 1 packet_id  2 timestamp  3 source_subsystem  4 level
    ├─ 10 metrics*       1 name  2 value  3 unit  4 attributes{}
    ├─ 20 events*        1 event_id  2 description  3 level  4 attributes{}
    ├─ 30 spans*         not looked into
    └─ 40 system_health  not looked into

A metric becomes one sample, at the packet's time, of the series {__name__ = name with dots as underscores, job =
"nissa", source = source_subsystem, attributes}; attributes win over job and source. Fields may come in any order, so a
packet is walked twice: for what all its metrics share, then for metrics and events.

A metric is known by the hash of its bytes but the value's: ``name | value | unit attributes`` is hashed around the
value, and only the lengths of its fields are looked at. What those bytes say was checked when the index first saw them:
its text, and the form of its attributes. A metric whose fields stand in another order is checked and hashed field by
field.

Read strictly: fields in the wire type of their definition, no groups, strings UTF-8; unknown fields are stepped over. A
metric or event that is at fault is refused by itself. A packet whose framing or header is at fault is refused as a
whole: with its body, or alone where it is one of many in a delimited body.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch, Note, contain, push_row
from nissa._fast.cursor cimport (Cursor, cursor_in, cursor_over, read_bytes, read_double, read_tag, read_varint,
                                 skip_field)
from nissa._fast.fields cimport (add_name, kind_of, moment_ms, no_text, put_label, read_entry,
                                 read_moment, read_text, skip_known, text_is)
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ENCODING_FOREIGN, NAME_MISSING, OK, WIRE_TYPE_WRONG, Fingerprint, Label,
                                LabelList, Record, Status, Text)
from nissa._fast.walk cimport (Event, Language, Packet, Walk, add_origin, begin_claim, begin_walk, drop_event,
                               drop_packet, end_claim, end_walk, packet_of, push_attribute, push_event,
                               push_packet, take_all, walk_body)

# A tag as it is compared: field number << 3 | wire type. The names say message and field.
cdef enum:
    TAG_BUS_TYPE = 1 << 3 | 0
    TAG_BUS_PAYLOAD = 2 << 3 | 2
    TAG_ENVELOPE_PAYLOAD = 10 << 3 | 2
    TAG_ENVELOPE_TYPE = 11 << 3 | 2
    TAG_ENVELOPE_ENCODING = 12 << 3 | 2
    TAG_PACKET_ID = 1 << 3 | 2
    TAG_TIMESTAMP = 2 << 3 | 2
    TAG_SOURCE = 3 << 3 | 2
    TAG_METRIC = 10 << 3 | 2
    TAG_EVENT = 20 << 3 | 2
    TAG_NAME = 1 << 3 | 2
    TAG_VALUE = 2 << 3 | 1
    TAG_UNIT = 3 << 3 | 2
    TAG_ATTRIBUTE = 4 << 3 | 2
    TAG_EVENT_ID = 1 << 3 | 2
    TAG_EVENT_DESCRIPTION = 2 << 3 | 2
    TAG_EVENT_LEVEL = 3 << 3 | 0

cdef enum:
    BUS_TELEMETRY = 4       # BusMessageType
    LEVEL_MAX = 4           # TelemetryLevel; other numbers are read as 0, unspecified
    CODEC_BUS = 3           # model/frame.py
    CODEC_EVENT = 4
    DOMAIN_SOURCE = 0x31    # name spaces of raw forms
    DOMAIN_PLAIN = 0x32
    DOMAIN_FIELDS = 0x33

cdef struct Metric:
    Text name
    Text unit
    double value


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_leyline(const uint8_t[::1] body, int codec, SeriesIndex index not None, Batch batch not None, *,
                   bint delimited, int64_t received_ms, uint32_t minute, size_t admit_max, int64_t oldest_ms,
                   int64_t newest_ms):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    codec: 3 BusEnvelope, 4 EventEnvelope, 5 TelemetryPacket (``model.frame.Codec``). delimited: a run of messages, each
    behind its varint length. received_ms: the time of a packet without one. minute, admit_max, oldest_ms,
    newest_ms: as for remote write. Returns: (list of Metadata, EventBatch or None, count of messages accepted and not
    read). Raises: Malformed (what, and the byte offset), TooLarge, UnsupportedMedia. Nothing is kept of a body that
    raises. GIL: released. Cost: about 50 ns per known metric without attributes, 10 ns for each attribute.
    """
    cdef Text message
    cdef Walk walk
    cdef Language language = Language(walk_message, labels_of_metric, note_of_metric)
    message.at = &body[0] if body.shape[0] else NULL
    message.size = <uint32_t>body.shape[0]
    begin_walk(&walk, &index.secret, received_ms, batch.records_max)
    try:
        with nogil:
            batch.begin()
            walk_body(&walk, batch, index, message, &language, codec, delimited, minute, admit_max)
            if batch.status == OK:
                batch.complete(oldest_ms, newest_ms)
        return take_all(&walk, batch, message.at, labels_of_metric)
    finally:
        end_walk(&walk)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status walk_message(Walk* walk, Batch batch, Text message, int codec) noexcept nogil:
    if codec == CODEC_BUS:
        return walk_bus(walk, batch, message)
    if codec == CODEC_EVENT:
        return walk_envelope(walk, batch, message)
    return walk_packet(walk, batch, message)


cdef Status walk_bus(Walk* walk, Batch batch, Text message) noexcept nogil:
    """A BusEnvelope. Payloads of other types than TELEMETRY are counted and not looked into."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t message_type = 0
    cdef Text payload = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_BUS_TYPE:
            status = read_varint(&cursor, &message_type)
        elif tag == TAG_BUS_PAYLOAD:
            status = read_bytes(&cursor, &payload)
        else:
            status = skip_known(&cursor, tag, kind_of(b"-nbb", 4, tag))
        if status != OK:
            return status
    if message_type & 0xFFFFFFFFU != BUS_TELEMETRY:
        walk.ignored += 1
        return OK
    return walk_packet(walk, batch, payload)


cdef Status walk_envelope(Walk* walk, Batch batch, Text message) noexcept nogil:
    """An EventEnvelope. Payloads of other types than TelemetryPacket are counted and not looked into."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text payload = no_text(), payload_type = no_text(), encoding = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_ENVELOPE_PAYLOAD:
            status = read_bytes(&cursor, &payload)
        elif tag == TAG_ENVELOPE_TYPE:
            status = read_text(&cursor, &payload_type)
        elif tag == TAG_ENVELOPE_ENCODING:
            status = read_text(&cursor, &encoding)
        else:
            status = skip_known(&cursor, tag, kind_of(b"-bbbbbb---bbb-------nbb-------nnn", 33, tag))
        if status != OK:
            return status
    if not is_packet_type(payload_type):
        walk.ignored += 1
        return OK
    if is_compression(encoding):
        walk.foreign_encoding = encoding
        return ENCODING_FOREIGN
    return walk_packet(walk, batch, payload)


cdef Status walk_packet(Walk* walk, Batch batch, Text message) noexcept nogil:
    """A TelemetryPacket: first what its metrics and events share, then these."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Packet* packet
    cdef size_t records = batch.record_count, claim = 0
    cdef Status status = push_packet(walk, message, &packet)
    if status != OK:
        return status
    status = walk_header(walk, batch, packet, message)
    if status != OK:
        drop_packet(walk)
        return status
    status = begin_claim(walk, batch, packet, &claim)
    while status == OK and cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag == TAG_METRIC:
            read_bytes(&cursor, &field)
            status = contain(batch, walk_metric(walk, batch, packet, field), 1, 1, field.at)
        elif tag == TAG_EVENT:
            read_bytes(&cursor, &field)
            status = contain(batch, walk_event(walk, packet, field), 1, 1, field.at)
        else:
            skip_field(&cursor, tag)
    if status == OK:
        end_claim(walk, batch, claim)
    if status == OK and batch.record_count == records:
        drop_packet(walk)
    return status


cdef Status walk_header(Walk* walk, Batch batch, Packet* packet, Text message) noexcept nogil:
    """All of a packet but its metrics and events, of which only the length is read."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef int64_t seconds = 0
    cdef int32_t nanos = 0
    cdef bint timed = False
    cdef Text field
    cdef Status status = OK
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_METRIC or tag == TAG_EVENT:
            status = read_bytes(&cursor, &field)
        elif tag == TAG_SOURCE:
            status = read_text(&cursor, &packet.source)
        elif tag == TAG_PACKET_ID:
            status = read_text(&cursor, &packet.packet_id)
        elif tag == TAG_TIMESTAMP:
            status = read_bytes(&cursor, &field)
            if status == OK:
                timed = True
                status = read_moment(field, &seconds, &nanos)
        else:
            status = skip_known(&cursor, tag, kind_of(b"-bbbn-----b---------b---------b---------b", 41, tag))
        if status != OK:
            return status
    packet.source_key = hash_bytes(walk.secret, packet.source.at, packet.source.size, DOMAIN_SOURCE)
    return moment_ms(seconds, nanos, &packet.time_ms) if timed else OK


cdef Status walk_metric(Walk* walk, Batch batch, const Packet* packet, Text message) noexcept nogil:
    """A MetricPoint: one record of one row."""
    cdef Record* record
    cdef Metric metric
    cdef Fingerprint name_key, unit_key
    cdef Status status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = message.at
    record.origin_size = message.size
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    record.key = packet.source_key
    if read_plain_metric(walk.secret, message, &metric.value, &record.key):
        return push_row(batch, packet.time_ms, metric.value)
    status = read_metric(message, &metric, NULL, walk.secret, &record.key)
    if status != OK:
        batch.record_count -= 1
        return status
    if metric.name.size == 0:
        record.refusal = NAME_MISSING
    name_key = hash_bytes(walk.secret, metric.name.at, metric.name.size, DOMAIN_FIELDS)
    unit_key = hash_bytes(walk.secret, metric.unit.at, metric.unit.size, DOMAIN_FIELDS)
    chain(walk.secret, &record.key, &name_key)
    chain(walk.secret, &record.key, &unit_key)
    return push_row(batch, packet.time_ms, metric.value)


cdef Status walk_event(Walk* walk, const Packet* packet, Text message) noexcept nogil:
    """A TelemetryEvent. Its attributes are kept as they come; of one name, readers take the last."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef uint64_t level = 0
    cdef Event* event
    cdef Label attribute
    cdef Text field
    cdef Status status = push_event(walk, packet, &event)
    if status != OK:
        return status
    while status == OK and cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            break
        if tag == TAG_EVENT_ID:
            status = read_text(&cursor, &event.event_id)
        elif tag == TAG_EVENT_DESCRIPTION:
            status = read_text(&cursor, &event.description)
        elif tag == TAG_EVENT_LEVEL:
            status = read_varint(&cursor, &level)
            event.level = <uint8_t>level if level & 0xFFFFFFFFU <= LEVEL_MAX else 0
        elif tag == TAG_ATTRIBUTE:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_entry(field, True, &attribute)
            if status == OK:
                event.attribute_count += 1
                status = push_attribute(walk, attribute)
        elif tag >> 3 <= 4:
            status = WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
    if status != OK:
        drop_event(walk)
    return status


cdef Status read_metric(Text message, Metric* out, LabelList* labels, const Secret* secret,
                        Fingerprint* key) noexcept nogil:
    """A MetricPoint whatever the order of its fields. Its attributes go into labels, or else their hashes into key."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field
    cdef Label attribute
    cdef Fingerprint part
    cdef Status status
    out.name = no_text()
    out.unit = no_text()
    out.value = 0.0
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_NAME:
            status = read_text(&cursor, &out.name)
        elif tag == TAG_VALUE:
            status = read_double(&cursor, &out.value)
        elif tag == TAG_UNIT:
            status = read_text(&cursor, &out.unit)
        elif tag == TAG_ATTRIBUTE:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_entry(field, True, &attribute)
            if status == OK and labels != NULL:
                put_label(labels, attribute)
            elif status == OK:
                part = hash_bytes(secret, field.at, field.size, DOMAIN_FIELDS)
                chain(secret, key, &part)
        elif tag >> 3 <= 4:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status labels_of_metric(void* codec, const Record* record, LabelList* out) noexcept nogil:
    cdef const Packet* packet = packet_of(<const Walk*>codec, record.origin)
    cdef Metric metric
    cdef Text message
    message.at = record.origin
    message.size = record.origin_size
    cdef Status status = read_metric(message, &metric, out, NULL, NULL)
    if status != OK:
        add_name(out, metric.name)          # the metric is refused: its name goes into the answer
        return status
    add_origin(out, packet, metric.name)
    return OK


cdef bint note_of_metric(Walk* walk, Batch batch, const Record* record, Note* out) noexcept nogil:
    cdef Metric metric
    cdef LabelList labels
    cdef Text message
    message.at = record.origin
    message.size = record.origin_size
    labels.count = 0
    read_metric(message, &metric, &labels, NULL, NULL)
    out.name = metric.name
    out.unit = metric.unit
    return metric.unit.size != 0


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline bint read_plain_metric(const Secret* secret, Text message, double* value, Fingerprint* key) noexcept nogil:
    """The metric every sender writes, ``name [value] [unit] attributes*`` with short lengths; else False."""
    cdef const uint8_t* at = message.at
    cdef const uint8_t* end = at + message.size
    cdef const uint8_t* tail
    cdef Fingerprint part
    cdef Fingerprint rest
    if message.size < 3 or at[0] != TAG_NAME or at[1] == 0 or at[1] >= 0x80 or end - at < 2 + at[1]:
        return False
    at += 2 + at[1]
    part = hash_bytes(secret, message.at, at - message.at, DOMAIN_PLAIN)
    value[0] = 0.0
    if end - at >= 9 and at[0] == TAG_VALUE:
        memcpy(value, at + 1, 8)
        at += 9
    tail = at
    while end - at >= 2 and (at[0] == TAG_UNIT or at[0] == TAG_ATTRIBUTE) and at[1] < 0x80 and end - at >= 2 + at[1]:
        at += 2 + at[1]
    if at != end:
        return False
    chain(secret, key, &part)
    if tail != end:
        rest = hash_bytes(secret, tail, end - tail, DOMAIN_PLAIN)
        chain(secret, key, &rest)
    return True


cdef inline bint is_packet_type(Text name) noexcept nogil:
    """``TelemetryPacket``, alone or behind a package, a URL or both."""
    cdef Text tail
    if name.size < 15:
        return False
    tail.at = name.at + name.size - 15
    tail.size = 15
    if not text_is(tail, b"TelemetryPacket", 15):
        return False
    return name.size == 15 or name.at[name.size - 16] == c'.' or name.at[name.size - 16] == c'/'


cdef inline bint is_compression(Text name) noexcept nogil:
    return (text_is(name, b"gzip", 4) or text_is(name, b"zstd", 4) or text_is(name, b"snappy", 6)
            or text_is(name, b"deflate", 7) or text_is(name, b"br", 2) or text_is(name, b"lz4", 3))
