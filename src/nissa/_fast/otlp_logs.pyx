"""OTLP logs: an ExportLogsServiceRequest to events.

    resource_logs*     1
    ├─ resource        1   attributes*                                       attributes of each event; source
    └─ scope_logs*     2
       ├─ scope        1   name 1, version 2, attributes 3               otel.scope.name, otel.scope.version, attributes
       └─ log_records* 2
          ├─ time 1, observed time 11            time_ms: the first that is there, else when received
          ├─ severity number 2, text 3           level; attributes severity_number, severity_text
          ├─ body 5                              description, as text
          ├─ attributes 6*                       attributes
          └─ trace id 9, span id 10, name 12     attributes trace_id and span_id (hex), event_name

Attributes stand in this order: resource, scope, the record's own, then those that Nissa names; of one name readers take
the last. Values become text as ``otlp_values.pxd`` says. Text that does not stand in the body is written into chunks,
which live as long as the decoding. A record at fault is refused by itself; a fault in what it stands in refuses the
body.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from nissa._fast.batch cimport Batch, contain
from nissa._fast.cursor cimport (BYTES, FIXED32, FIXED64, VARINT, Cursor, check_utf8, cursor_in, no_text, read_bytes,
                                 read_fixed64, read_tag, read_varint, skip_field)
from nissa._fast.fields cimport read_text, text_is
from nissa._fast.number_text cimport TENS
from nissa._fast.otlp_headers cimport TAG_CHILD, TAG_PARTS, read_header
from nissa._fast.otlp_labels cimport static_text
from nissa._fast.otlp_points cimport point_ms
from nissa._fast.otlp_values cimport (Attribute, Writer, put_byte, put_hex, put_int, put_text, read_attribute,
                                      text_of_value)
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (FIELD_TWICE, NO_MEMORY, OK, TOO_MANY_SAMPLES, TOO_MANY_SERIES, WIRE_TYPE_WRONG, Label,
                                LabelList, Record, Status, Text)
from nissa._fast.walk cimport (Event, Packet, Walk, begin_walk, drop_event, end_walk, push_attribute, push_event,
                               take_all)

from nissa.model.errors import TooLarge

cdef enum:
    TAG_TIME = 1 << 3 | 1
    TAG_SEVERITY = 2 << 3 | 0
    TAG_SEVERITY_TEXT = 3 << 3 | 2
    TAG_BODY = 5 << 3 | 2
    TAG_ATTRIBUTE = 6 << 3 | 2
    TAG_TRACE = 9 << 3 | 2
    TAG_SPAN = 10 << 3 | 2
    TAG_OBSERVED = 11 << 3 | 1
    TAG_NAME = 12 << 3 | 2

cdef enum:
    CHUNK_BYTES = 1 << 16
    TEXT_GROWTH = 6             # bytes that one byte of a value becomes at most, as text
    TEXT_BYTES = 64             # and of the smallest value
    SHARED_MAX = 1024           # attributes of one resource and scope
    BODY_BYTES_MAX = 0x7FFFFFFF

# Room for text; what it holds stands behind it.
cdef struct Chunk:
    Chunk* before

cdef struct Logs:
    Walk walk
    Writer writer               # into the chunk made last
    Chunk* chunks
    size_t attributes_max       # of all records
    bint overfull               # more than that
    bint shared_overfull        # more than SHARED_MAX of one resource and scope
    Packet packet               # what events of the resource under way have in common
    uint32_t of_resource        # how many of these are the resource's
    uint32_t shared
    Label[SHARED_MAX] label

# A LogRecord, while it is read.
cdef struct LogRecord:
    uint64_t time_ns
    uint64_t observed_ns
    uint64_t severity           # an enum: 32 bits of it count
    Text severity_text
    Text body
    Text trace_id
    Text span_id
    Text name


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_otlp_logs(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *,
                     int64_t received_ms):
    """Decode one decompressed body into events; ``batch`` holds the counts, and no rows.

    received_ms: time of records without one. Returns: (no metadata, EventBatch or None, 0).
    Raises: Malformed (what, and the byte offset), TooLarge; nothing is kept then.
    GIL: released. Cost: about 0.6 µs per record of 400 B.
    """
    cdef Text message
    cdef Logs logs
    message.at = &body[0] if body.shape[0] else NULL
    message.size = <uint32_t>body.shape[0]
    if body.shape[0] > BODY_BYTES_MAX:
        raise TooLarge("body", got=body.shape[0], limit=BODY_BYTES_MAX, setting="ingest.decompressed_size_max")
    begin_logs(&logs, index, batch, received_ms)
    try:
        with nogil:
            decode_logs(&logs, batch, message)
        if logs.shared_overfull:
            raise TooLarge("attributes of a resource and scope", got=SHARED_MAX + 1, limit=SHARED_MAX,
                           setting="fixed: send fewer of them")
        if logs.overfull:
            raise TooLarge("attributes of log records in one frame", got=logs.attributes_max + 1,
                           limit=logs.attributes_max, setting="ingest.frame_samples_max")
        return take_all(&logs.walk, batch, message.at, labels_of_nothing)
    finally:
        end_logs(&logs)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void decode_logs(Logs* logs, Batch batch, Text body) noexcept nogil:
    """All of a decoding but its boundary."""
    batch.begin()
    batch.status = walk_logs(logs, batch, cursor_in(body))
    batch.events = logs.walk.event_count


cdef Status walk_logs(Logs* logs, Batch batch, Cursor cursor) noexcept nogil:
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status == OK and tag == TAG_CHILD:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = walk_resource_logs(logs, batch, field)
        elif status == OK:
            status = WIRE_TYPE_WRONG if tag >> 3 == 1 else skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_resource_logs(Logs* logs, Batch batch, Text message) noexcept nogil:
    """A ResourceLogs: its resource, then its scopes."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef Text field = no_text(), resource = no_text(), schema_url = no_text()
    cdef Status status = read_header(batch, cursor, &resource, &schema_url)
    logs.shared = 0
    logs.packet.source = no_text()
    if status == OK:
        status = share_attributes(logs, batch, cursor_in(resource), 1)
    if status == OK:
        status = name_source(logs)
    if status != OK:
        return status
    logs.of_resource = logs.shared
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG_PARTS:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = walk_scope_logs(logs, batch, field)
        if status != OK:
            return status
    return OK


cdef Status walk_scope_logs(Logs* logs, Batch batch, Text message) noexcept nogil:
    """A ScopeLogs: its scope, then its records."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0
    cdef const uint8_t* at
    cdef size_t events
    cdef Text field = no_text(), scope = no_text(), schema_url = no_text()
    cdef Status status = read_header(batch, cursor, &scope, &schema_url)
    logs.shared = logs.of_resource
    if status == OK:
        status = share_attributes(logs, batch, cursor_in(scope), 3)
    if status == OK:
        status = share_scope(logs, cursor_in(scope))
    while status == OK and cursor.at < cursor.end:
        at = batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag != TAG_PARTS:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        events = logs.walk.event_count
        status = walk_record(logs, field)
        if status != OK:
            if logs.walk.event_count > events:
                drop_event(&logs.walk)
            status = contain(batch, status, 1, 1, at)
    return status


cdef Status share_attributes(Logs* logs, Batch batch, Cursor cursor, uint32_t number) noexcept nogil:
    """Attributes, with this field number, of a resource or a scope."""
    cdef uint32_t tag = 0
    cdef Text field
    cdef Label label
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status == OK and tag == (number << 3 | 2):
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_label(logs, field, &label)
            if status == OK:
                status = share(logs, label)
        elif status == OK:
            status = WIRE_TYPE_WRONG if tag >> 3 == number else skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status share_scope(Logs* logs, Cursor cursor) noexcept nogil:
    """name=1 and version=2 of a scope whose framing is sound."""
    cdef uint32_t tag = 0
    cdef Text name = no_text(), version = no_text()
    cdef Label label
    cdef Status status = OK
    while status == OK and cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag >> 3 > 2:
            status = skip_field(&cursor, tag)
        elif tag & 7 != BYTES:
            status = WIRE_TYPE_WRONG
        else:
            status = read_text(&cursor, &name if tag >> 3 == 1 else &version)
    if status == OK and name.size:
        label.name, label.value = static_text(b"otel.scope.name", 15), name
        status = share(logs, label)
    if status == OK and version.size:
        label.name, label.value = static_text(b"otel.scope.version", 18), version
        status = share(logs, label)
    return status


cdef Status name_source(Logs* logs) noexcept nogil:
    """The source of events: the resource's namespace/name, or name, as its job is of metrics."""
    cdef Text name = no_text(), space = no_text()
    cdef uint32_t index
    cdef Status status
    for index in range(logs.shared):
        if text_is(logs.label[index].name, b"service.name", 12):
            name = logs.label[index].value
        elif text_is(logs.label[index].name, b"service.namespace", 17):
            space = logs.label[index].value
    logs.packet.source = name
    if name.size and space.size:
        status = make_room(logs, <size_t>name.size + space.size + 1)
        if status != OK:
            return status
        logs.packet.source.at = logs.writer.at
        put_text(&logs.writer, space)
        put_byte(&logs.writer, c'/')
        put_text(&logs.writer, name)
        logs.packet.source.size = <uint32_t>(logs.writer.at - logs.packet.source.at)
    return OK


cdef Status walk_record(Logs* logs, Text message) noexcept nogil:
    """A LogRecord: one event."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0, index
    cdef Text field
    cdef Label label
    cdef LogRecord record
    cdef Event* event
    cdef size_t first = logs.walk.attribute_count
    cdef Status status = push_event(&logs.walk, &logs.packet, &event)
    memset(&record, 0, sizeof(LogRecord))
    for index in range(logs.shared):
        if status == OK:
            status = push_attribute(&logs.walk, logs.label[index])
    while status == OK and cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status != OK:
            break
        if tag == TAG_ATTRIBUTE:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_label(logs, field, &label)
            if status == OK:
                status = push_attribute(&logs.walk, label)
        else:
            status = read_record_field(&cursor, tag, &record)
    if status == OK:
        status = name_record(logs, &record)
    if status != OK:
        return status
    event = &logs.walk.events[logs.walk.event_count - 1]
    event.attribute_count = <uint32_t>(logs.walk.attribute_count - first)
    event.level = level_of(record.severity)
    if record.time_ns or record.observed_ns:
        event.time_ms = point_ms(record.time_ns if record.time_ns else record.observed_ns)
    if logs.walk.attribute_count > logs.attributes_max:
        logs.overfull = True
        return TOO_MANY_SAMPLES
    status = read_any(logs, record.body, &event.description)
    return status


cdef Status read_record_field(Cursor* cursor, uint32_t tag, LogRecord* out) noexcept nogil:
    """One field of a LogRecord other than its attributes."""
    cdef Status status
    if tag == TAG_TIME:
        return read_fixed64(cursor, &out.time_ns)
    if tag == TAG_OBSERVED:
        return read_fixed64(cursor, &out.observed_ns)
    if tag == TAG_SEVERITY:
        status = read_varint(cursor, &out.severity)
        out.severity &= 0xFFFFFFFFU
        return status
    if tag == TAG_SEVERITY_TEXT:
        return read_text(cursor, &out.severity_text)
    if tag == TAG_BODY:
        return FIELD_TWICE if out.body.at != NULL else read_bytes(cursor, &out.body)
    if tag == TAG_TRACE:
        return read_bytes(cursor, &out.trace_id)
    if tag == TAG_SPAN:
        return read_bytes(cursor, &out.span_id)
    if tag == TAG_NAME:
        return read_text(cursor, &out.name)
    if tag >> 3 <= 12 and tag >> 3 != 4 and tag != (7 << 3 | VARINT) and tag != (8 << 3 | FIXED32):
        return WIRE_TYPE_WRONG
    return skip_field(cursor, tag)


cdef Status name_record(Logs* logs, const LogRecord* record) noexcept nogil:
    """The attributes that Nissa names, as far as the record says them."""
    cdef Label label
    cdef Status status = make_room(logs, 32 + 2 * (<size_t>record.trace_id.size + record.span_id.size))
    if status == OK and record.severity:
        label.name = static_text(b"severity_number", 15)
        label.value.at = logs.writer.at
        put_int(&logs.writer, <int64_t><int32_t>record.severity)
        label.value.size = <uint32_t>(logs.writer.at - label.value.at)
        status = push_attribute(&logs.walk, label)
    if status == OK and record.severity_text.size:
        label.name, label.value = static_text(b"severity_text", 13), record.severity_text
        status = push_attribute(&logs.walk, label)
    if status == OK and is_set(record.trace_id):
        label.name, label.value = static_text(b"trace_id", 8), hex_text(&logs.writer, record.trace_id)
        status = push_attribute(&logs.walk, label)
    if status == OK and is_set(record.span_id):
        label.name, label.value = static_text(b"span_id", 7), hex_text(&logs.writer, record.span_id)
        status = push_attribute(&logs.walk, label)
    if status == OK and record.name.size:
        label.name, label.value = static_text(b"event_name", 10), record.name
        status = push_attribute(&logs.walk, label)
    return status


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef void begin_logs(Logs* logs, SeriesIndex index, Batch batch, int64_t received_ms) noexcept nogil:
    begin_walk(&logs.walk, &index.secret, received_ms, batch.records_max)
    memset(&logs.packet, 0, sizeof(Packet))
    memset(&logs.writer, 0, sizeof(Writer))
    logs.writer.powers = &TENS[0]
    logs.chunks = NULL
    logs.attributes_max = batch.rows_max
    logs.overfull = logs.shared_overfull = False
    logs.packet.time_ms = received_ms
    logs.shared = logs.of_resource = 0


cdef void end_logs(Logs* logs) noexcept nogil:
    cdef Chunk* chunk = logs.chunks
    cdef Chunk* before
    while chunk != NULL:
        before = chunk.before
        free(chunk)
        chunk = before
    end_walk(&logs.walk)


cdef inline Status make_room(Logs* logs, size_t size) noexcept nogil:
    """Room for so many bytes of text behind one another."""
    cdef Chunk* chunk
    if <size_t>(logs.writer.end - logs.writer.at) >= size:
        return OK
    size = max(size, <size_t>CHUNK_BYTES)
    chunk = <Chunk*>malloc(sizeof(Chunk) + size)
    if chunk == NULL:
        return NO_MEMORY
    chunk.before = logs.chunks
    logs.chunks = chunk
    logs.writer.at = <uint8_t*>chunk + sizeof(Chunk)
    logs.writer.end = logs.writer.at + size
    return OK


cdef inline Status share(Logs* logs, Label label) noexcept nogil:
    """One more attribute of the resource or scope."""
    if logs.shared == <uint32_t>SHARED_MAX:
        logs.shared_overfull = True
        return TOO_MANY_SERIES
    logs.label[logs.shared] = label
    logs.shared += 1
    return OK


cdef inline Status read_any(Logs* logs, Text message, Text* out) noexcept nogil:
    """An AnyValue as text, UTF-8."""
    cdef Status status = OK
    if message.size and message.at[0] != TAG_CHILD:     # a string stands where it is
        status = make_room(logs, <size_t>message.size * TEXT_GROWTH + TEXT_BYTES)
    if status == OK:
        status = text_of_value(message, &logs.writer, out)
    return check_utf8(out[0]) if status == OK else status


cdef inline Status read_label(Logs* logs, Text message, Label* out) noexcept nogil:
    """A KeyValue as an attribute of an event."""
    cdef Attribute attribute
    cdef Status status = read_attribute(message, &attribute)
    if status == OK:
        status = check_utf8(attribute.key)
    out.name = attribute.key
    return read_any(logs, attribute.value, &out.value) if status == OK else status


cdef inline Text hex_text(Writer* writer, Text data) noexcept nogil:
    cdef Text out
    out.at = writer.at
    put_hex(writer, data)
    out.size = <uint32_t>(writer.at - out.at)
    return out


cdef inline bint is_set(Text identifier) noexcept nogil:
    """True for an id that is not zeros."""
    cdef uint32_t place
    for place in range(identifier.size):
        if identifier.at[place]:
            return True
    return False


cdef inline uint8_t level_of(uint64_t severity) noexcept nogil:
    """The level of a severity number: up to 12 info, 16 warning, 20 error, 24 critical."""
    if severity == 0 or severity > 24:
        return 0
    return 1 if severity <= 12 else <uint8_t>((severity - 5) // 4)


cdef Status labels_of_nothing(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Logs have no series."""
    return OK
