# Labels and metadata of OTLP metrics: what a resource, a scope, a metric and a data point say of a series.
#
#   attributes of the point        labels; keys that become one name are joined by ; in the order of the keys
#   scope                          otel_scope_name, otel_scope_version, otel_scope_schema_url, otel_scope_<attribute>
#   service.namespace, .name       job         "namespace/name", or the name
#   service.instance.id            instance
#   le, quantile, __name__         of the series
#
# Of one name what stands further down holds. The other attributes of a resource are labels of target_info alone. Text
# that does not stand in the body is written into one room, which is used again for the next series.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport malloc

from nissa._fast.batch cimport Batch, Note
from nissa._fast.cursor cimport Cursor, check_utf8, cursor_in, no_text, read_bytes, read_tag, skip_field
from nissa._fast.fields cimport add_label, put_label, same_bytes, text_is
from nissa._fast.growing cimport room_for_one
from nissa._fast.hash cimport Secret
from nissa._fast.label_set cimport compare_text
from nissa._fast.otlp_names cimport COUNTER_NAME, GAUGE_NAME, OTHER_NAME, put_label_name, put_metric_name, put_unit_name
from nissa._fast.otlp_points cimport (EXPONENTIAL_POINT, GAUGE_POINT, HISTOGRAM_POINT, SUM_POINT, SUMMARY_POINT,
                                      DataPoint, add_explicit, add_exponential, attributes_field, read_point)
from nissa._fast.otlp_values cimport (Attribute, Writer, put_byte, put_real, put_text, read_attribute, text_of_value)
from nissa._fast.shortest cimport PowerOfTen
from nissa._fast.types cimport (LABELS_MAX, NO_MEMORY, OK, SCRATCH_BYTES, SERIES_NONE, WIRE_TYPE_WRONG, Fingerprint,
                                Label, LabelList, Record, Status, Text)

cdef enum: ROOM_BYTES = 1 << 18     # for names and values of one series

# The series of its data point that a record is: its origin_size. Its kind is 0 for the first record of a point, FURTHER
# for the others, and TARGET for one that is no part of a point.
cdef enum:
    PART_VALUE = 0
    PART_COUNT = 1
    PART_SUM = 2
    PART_REST = 3           # the bucket of all observations
    PART_BUCKET = 4         # and from here on: bucket or quantile number part - 4
    PART_TARGET = 0xFFFFFFFF
    FURTHER = 2
    TARGET = 3

# Resources, scopes and metrics stand in the order of their addresses: a record finds its own by the place it points to.
cdef struct Resource:
    const uint8_t* end      # of its ResourceMetrics
    Text message
    Text service_name       # AnyValue; at is NULL where it is absent
    Text service_namespace
    Text instance_id
    Fingerprint key
    bint tells              # who it is, and more than that
    bint timed              # a point of it is inside of the acceptance window
    int64_t latest_ms       # of these

cdef struct Scope:
    Text message
    Text schema_url
    size_t resource
    Fingerprint key

cdef struct Metric:
    const uint8_t* end
    size_t scope
    Text name
    Text description
    Text unit
    Fingerprint key
    uint32_t kind           # a PointKind
    uint64_t temporality
    bint monotonic
    bint noted              # its metadata is

cdef struct Export:
    const Secret* secret
    int64_t oldest_ms
    int64_t newest_ms
    Resource* resources
    size_t resource_count
    size_t resource_capacity
    Scope* scopes
    size_t scope_count
    size_t scope_capacity
    Metric* metrics
    size_t metric_count
    size_t metric_capacity
    bint adds_up            # differences are added up, not refused
    const PowerOfTen* powers
    DataPoint point         # the one under way
    uint8_t* room           # of one series' labels, made when the first is read
    uint8_t** noted         # names and units of notes
    size_t noted_count
    size_t noted_capacity


cdef inline const Metric* metric_of(const Export* export, const uint8_t* at) noexcept nogil:
    """The metric in which address ``at`` lies."""
    cdef size_t low = 0, high = export.metric_count - 1, middle
    while low < high:
        middle = (low + high) >> 1
        if export.metrics[middle].end >= at:
            high = middle
        else:
            low = middle + 1
    return &export.metrics[low]


cdef inline const Resource* resource_of(const Export* export, const uint8_t* at) noexcept nogil:
    """The resource in whose ResourceMetrics address ``at`` lies."""
    cdef size_t low = 0, high = export.resource_count - 1, middle
    while low < high:
        middle = (low + high) >> 1
        if export.resources[middle].end >= at:
            high = middle
        else:
            low = middle + 1
    return &export.resources[low]


cdef inline bint is_counter(const Metric* metric, uint32_t part) noexcept nogil:
    """True for a series that began at 0."""
    if metric.kind == SUMMARY_POINT:
        return part == PART_COUNT or part == PART_SUM
    return metric.kind >= HISTOGRAM_POINT or (metric.kind == SUM_POINT and metric.monotonic)


cdef inline Status read_labels(Export* export, const Record* record, LabelList* out) noexcept nogil:
    """Labels of a record of a body whose framing is sound down to its data points."""
    cdef Writer writer
    cdef const Resource* resource
    cdef const Metric* metric
    cdef Status status
    if export.room == NULL:
        export.room = <uint8_t*>malloc(ROOM_BYTES)
        if export.room == NULL:
            return NO_MEMORY
    writer.at, writer.end, writer.powers, writer.full = export.room, export.room + ROOM_BYTES, export.powers, False
    if record.origin_size == PART_TARGET:
        resource = resource_of(export, record.origin)
        status = add_attributes(cursor_in(resource.message), 1, True, &writer, out)
        put_named(out, b"__name__", 8, static_text(b"target_info", 11))
    else:
        metric = metric_of(export, record.origin)
        resource = &export.resources[export.scopes[metric.scope].resource]
        status = add_point_labels(export, metric, record, &writer, out)
    if status == OK:
        status = add_identity(resource, &writer, out)
    if writer.full:
        out.scratch_used = SCRATCH_BYTES + 1
    return status


cdef inline Status add_point_labels(Export* export, const Metric* metric, const Record* record, Writer* writer,
                                    LabelList* out) noexcept nogil:
    cdef Cursor cursor
    cdef uint32_t tag = 0, part = record.origin_size
    cdef Text message = no_text()
    cdef Status status
    cursor.at, cursor.end = record.origin, metric.end
    read_tag(&cursor, &tag)
    read_bytes(&cursor, &message)
    status = add_attributes(cursor_in(message), attributes_field(metric.kind), False, writer, out)
    if status == OK:
        status = add_scope(&export.scopes[metric.scope], writer, out)
    if status == OK and part == PART_REST:
        put_named(out, b"le", 2, static_text(b"+Inf", 4))
    elif status == OK and part >= PART_BUCKET:
        read_point(NULL, message, metric.kind, &export.point, NULL)
        if metric.kind == HISTOGRAM_POINT:
            add_explicit(&export.point)
        elif metric.kind == EXPONENTIAL_POINT:
            add_exponential(&export.point)
        if metric.kind == SUMMARY_POINT:
            put_named(out, b"quantile", 8, number_text(export.point.bound[part - PART_BUCKET], writer))
        else:
            put_named(out, b"le", 2, number_text(export.point.bound[part - PART_BUCKET], writer))
    put_named(out, b"__name__", 8, series_name(metric, part, writer))
    return status


cdef inline Text series_name(const Metric* metric, uint32_t part, Writer* writer) noexcept nogil:
    """The name of the family, with what its type puts behind it."""
    cdef const char* suffix = b""
    if part == PART_COUNT:
        suffix = b"_count"
    elif part == PART_SUM:
        suffix = b"_sum"
    elif part != PART_VALUE and metric.kind != SUMMARY_POINT:
        suffix = b"_bucket"
    return put_metric_name(writer, metric.name, metric.unit,
                           COUNTER_NAME if metric.kind == SUM_POINT and metric.monotonic else
                           GAUGE_NAME if metric.kind == GAUGE_POINT else OTHER_NAME, suffix)


cdef inline Status add_attributes(Cursor cursor, uint32_t number, bint of_target, Writer* writer,
                                  LabelList* out) noexcept nogil:
    """KeyValues with this field number as labels. of_target: without those that say who a resource is."""
    cdef Text[LABELS_MAX] keys
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Attribute attribute
    cdef Label label
    cdef bint joined = False
    cdef Status status
    while cursor.at < cursor.end and out.count < LABELS_MAX:
        read_tag(&cursor, &tag)
        if tag != (number << 3 | 2):
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = read_attribute(field, &attribute)
        if of_target and status == OK and says_who(attribute.key):
            continue
        if status == OK:
            status = check_utf8(attribute.key)
        if status == OK:
            status = text_of_value(attribute.value, writer, &label.value)
        if status != OK:
            return status
        label.name = put_label_name(writer, b"", attribute.key)
        keys[out.count] = attribute.key if attribute.key.size else static_text(b"", 0)
        joined = joined or place_of(out, out.count, label.name) < out.count
        add_label(out, label)
    if cursor.at < cursor.end:
        out.count = LABELS_MAX + 1
    elif joined:
        join_labels(&keys[0], writer, out)
    return OK


cdef inline bint says_who(Text key) noexcept nogil:
    return (text_is(key, b"service.name", 12) or text_is(key, b"service.namespace", 17)
            or text_is(key, b"service.instance.id", 19))


cdef inline uint32_t place_of(const LabelList* labels, uint32_t count, Text name) noexcept nogil:
    """The first of so many labels with this name; their number where there is none."""
    cdef uint32_t index
    for index in range(count):
        if labels.label[index].name.size == name.size and same_bytes(labels.label[index].name, name):
            return index
    return count


cdef inline void join_labels(Text* keys, Writer* writer, LabelList* out) noexcept nogil:
    """Labels that have become one name: their values joined, in the order of their keys."""
    cdef uint32_t index, place, kept = 0
    cdef Text key
    cdef Label label
    for index in range(1, out.count):
        key, label = keys[index], out.label[index]
        place = index
        while place > 0 and compare_text(keys[place - 1], key) > 0:
            keys[place], out.label[place] = keys[place - 1], out.label[place - 1]
            place -= 1
        keys[place], out.label[place] = key, label
    for index in range(out.count):
        label = out.label[index]
        place = place_of(out, kept, label.name)
        if place < kept:
            key.at = writer.at
            put_text(writer, out.label[place].value)
            put_byte(writer, c';')
            put_text(writer, label.value)
            key.size = <uint32_t>(writer.at - key.at)
            out.label[place].value = key
        else:
            out.label[kept] = label
            kept += 1
    out.count = kept


cdef inline Status add_scope(const Scope* scope, Writer* writer, LabelList* out) noexcept nogil:
    """InstrumentationScope: name=1 version=2 attributes=3. Attributes that say name, version or URL once more yield."""
    cdef Cursor cursor = cursor_in(scope.message)
    cdef uint32_t tag = 0
    cdef Text field = no_text(), name = no_text(), version = no_text()
    cdef Attribute attribute
    cdef Label label
    cdef Status status
    while cursor.at < cursor.end:
        status = read_tag(&cursor, &tag)
        if status == OK and 1 <= tag >> 3 <= 3 and tag & 7 != 2:
            status = WIRE_TYPE_WRONG
        elif status == OK and tag == (1 << 3 | 2):
            status = read_bytes(&cursor, &name)
        elif status == OK and tag == (2 << 3 | 2):
            status = read_bytes(&cursor, &version)
        elif status == OK and tag != (3 << 3 | 2):
            status = skip_field(&cursor, tag)
        elif status == OK:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_attribute(field, &attribute)
            if status == OK:
                status = check_utf8(attribute.key)
            if status == OK:
                status = text_of_value(attribute.value, writer, &label.value)
            if status == OK:
                label.name = put_label_name(writer, b"otel_scope_", attribute.key)
                put_label(out, label)
        if status != OK:
            return status
    if name.size:
        put_named(out, b"otel_scope_name", 15, name)
    if version.size:
        put_named(out, b"otel_scope_version", 18, version)
    if scope.schema_url.size:
        put_named(out, b"otel_scope_schema_url", 21, scope.schema_url)
    return OK


cdef inline Status add_identity(const Resource* resource, Writer* writer, LabelList* out) noexcept nogil:
    """job and instance, as far as the resource says them."""
    cdef Text name, space, job
    cdef Status status
    if resource.service_name.at != NULL:
        status = text_of_value(resource.service_name, writer, &name)
        if status == OK:
            status = text_of_value(resource.service_namespace, writer, &space)
        if status != OK:
            return status
        job = name
        if space.size:
            job.at = writer.at
            put_text(writer, space)
            put_byte(writer, c'/')
            put_text(writer, name)
            job.size = <uint32_t>(writer.at - job.at)
        if job.size:
            put_named(out, b"job", 3, job)
    if resource.instance_id.at != NULL:
        status = text_of_value(resource.instance_id, writer, &name)
        if status != OK:
            return status
        if name.size:
            put_named(out, b"instance", 8, name)
    return OK


cdef inline Text static_text(const char* text, uint32_t size) noexcept nogil:
    cdef Text out
    out.at, out.size = <const uint8_t*>text, size
    return out


cdef inline void put_named(LabelList* out, const char* name, uint32_t size, Text value) noexcept nogil:
    cdef Label label
    label.name = static_text(name, size)
    label.value = value
    put_label(out, label)


cdef inline Text number_text(double number, Writer* writer) noexcept nogil:
    cdef Text out
    out.at = writer.at
    put_real(writer, number, False)
    out.size = <uint32_t>(writer.at - out.at)
    return out


# ---- Metadata --------------------------------------------------------------------------------------------------------

cdef inline Status notes_of_new(Export* export, Batch batch) noexcept nogil:
    """Metadata of metrics with series whose raw form was not known."""
    cdef size_t index
    cdef const Record* record
    cdef Metric* metric
    cdef Status status
    for index in range(batch.record_count):
        record = &batch.records[index]
        if not record.missed or record.series == SERIES_NONE or record.kind == TARGET:
            continue
        metric = <Metric*>metric_of(export, record.origin)
        if metric.noted:
            continue
        metric.noted = True
        status = note_metric(export, batch, metric)
        if status != OK:
            return status
    return OK


cdef inline Status note_metric(Export* export, Batch batch, const Metric* metric) noexcept nogil:
    cdef Writer writer
    cdef Note* note
    cdef size_t size = <size_t>metric.name.size + 8 * (<size_t>metric.unit.size + 24) + 64
    cdef uint8_t* room
    cdef Status status = room_for_one(<void**>&export.noted, export.noted_count, &export.noted_capacity, sizeof(room))
    if status != OK:
        return status
    room = <uint8_t*>malloc(size)
    if room == NULL:
        return NO_MEMORY
    export.noted[export.noted_count] = room
    export.noted_count += 1
    status = batch.push_note(&note)
    if status != OK:
        return status
    writer.at, writer.end, writer.powers, writer.full = room, room + size, export.powers, False
    note.name = series_name(metric, PART_VALUE, &writer)
    note.unit = put_unit_name(&writer, metric.unit)
    note.help = metric.description
    if metric.kind == SUM_POINT and metric.monotonic:
        note.type = 1
    elif metric.kind == GAUGE_POINT or metric.kind == SUM_POINT:
        note.type = 2
    else:
        note.type = 5 if metric.kind == SUMMARY_POINT else 3
    return OK
