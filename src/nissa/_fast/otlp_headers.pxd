# What stands around the records of OTLP, metrics and logs alike: headers of their messages.
#
#   ResourceMetrics, ScopeMetrics, ResourceLogs, ScopeLogs     1 resource or scope  2 parts*  3 schema_url
#   Resource                                                   1 attributes*
#   Metric                                                     1 name  2 description  3 unit, and one kind of data
#   Sum, Histogram, …                                          1 data_points*  2 temporality  3 monotonic
#
# A header is read before the records that stand in its message: of them only the length is looked at.

from libc.stdint cimport uint32_t, uint64_t

from nissa._fast.batch cimport Batch
from nissa._fast.cursor cimport (BYTES, VARINT, Cursor, cursor_in, read_bytes, read_tag, read_varint, skip_field)
from nissa._fast.fields cimport read_text, text_is
from nissa._fast.otlp_labels cimport Metric, Resource
from nissa._fast.otlp_points cimport EXPONENTIAL_POINT, HISTOGRAM_POINT, SUM_POINT
from nissa._fast.otlp_values cimport Attribute, read_attribute
from nissa._fast.types cimport FIELD_TWICE, OK, WIRE_TYPE_WRONG, Status, Text

cdef enum:
    TAG_CHILD = 1 << 3 | 2  # resource_metrics, resource, scope, data_points, attributes of a resource
    TAG_PARTS = 2 << 3 | 2  # scope_metrics, metrics
    TAG_TEXT_3 = 3 << 3 | 2 # schema_url, unit


cdef inline Status read_header(Batch batch, Cursor cursor, Text* message, Text* schema_url) noexcept nogil:
    """ResourceMetrics or ScopeMetrics: a message=1, parts=2 that are stepped over, schema_url=3."""
    cdef uint32_t tag = 0
    cdef Text field
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_CHILD:
            if message.at != NULL:
                return FIELD_TWICE
            status = read_bytes(&cursor, message)
        elif tag == TAG_PARTS:
            status = read_bytes(&cursor, &field)
        elif tag == TAG_TEXT_3:
            status = read_text(&cursor, schema_url)
        elif tag >> 3 <= 3:
            return WIRE_TYPE_WRONG
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status read_resource(Batch batch, Resource* resource) noexcept nogil:
    """Attributes that say who a resource is, and whether it has others. The last one of a key holds."""
    cdef Cursor cursor = cursor_in(resource.message)
    cdef uint32_t tag = 0
    cdef Text field
    cdef Attribute attribute
    cdef bint others = False
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status == OK and tag == TAG_CHILD:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = read_attribute(field, &attribute)
            if status != OK:
                return status
            if text_is(attribute.key, b"service.name", 12):
                resource.service_name = attribute.value
            elif text_is(attribute.key, b"service.namespace", 17):
                resource.service_namespace = attribute.value
            elif text_is(attribute.key, b"service.instance.id", 19):
                resource.instance_id = attribute.value
            else:
                others = True
        elif status == OK:
            status = WIRE_TYPE_WRONG if tag >> 3 == 1 else skip_field(&cursor, tag)
        if status != OK:
            return status
    resource.tells = others and (resource.service_name.size or resource.instance_id.size)
    return OK


cdef inline Status read_metric(Batch batch, Text message, Metric* out, Text* data) noexcept nogil:
    """name=1 description=2 unit=3, one kind of data, metadata=12."""
    cdef Cursor cursor = cursor_in(message)
    cdef uint32_t tag = 0, number
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        number = tag >> 3
        if number <= 3 or number == 5 or number == 7 or 9 <= number <= 12:
            if tag & 7 != BYTES:
                return WIRE_TYPE_WRONG
        if number <= 3:
            status = read_text(&cursor, &out.name if number == 1 else &out.description if number == 2 else &out.unit)
        elif number == 5 or number == 7 or 9 <= number <= 11:
            if out.kind:
                return FIELD_TWICE
            out.kind = number
            status = read_bytes(&cursor, data)
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef inline Status read_data_header(Batch batch, Text data, Metric* out) noexcept nogil:
    """aggregation_temporality=2 and is_monotonic=3 of a Sum; the first also of histograms."""
    cdef Cursor cursor = cursor_in(data)
    cdef bint summed = out.kind == SUM_POINT, timed = summed or out.kind == HISTOGRAM_POINT or (
        out.kind == EXPONENTIAL_POINT)
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Text field
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status != OK:
            return status
        if tag == TAG_CHILD:
            status = read_bytes(&cursor, &field)
        elif tag >> 3 == 1 or (timed and tag >> 3 == 2 and tag & 7 != VARINT) or (
                summed and tag >> 3 == 3 and tag & 7 != VARINT):
            return WIRE_TYPE_WRONG
        elif timed and tag >> 3 == 2:
            status = read_varint(&cursor, &number)
            out.temporality = number & 0xFFFFFFFFU
        elif summed and tag >> 3 == 3:
            status = read_varint(&cursor, &number)
            out.monotonic = number != 0
        else:
            status = skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK
