"""OTLP metrics: an ExportMetricsServiceRequest to rows and records.

    resource_metrics*  1
    ├─ resource        1   attributes*                            job, instance, target_info
    ├─ scope_metrics*  2   scope 1, schema_url 3                  otel_scope_name, otel_scope_version, …
    │  └─ metrics*     2   name 1, description 2, unit 3          metric name and metadata
    │     └─ gauge 5 │ sum 7 │ histogram 9 │ exponential_histogram 10 │ summary 11
    │        ├─ data_points*            1                         otlp_points.pxd
    │        └─ temporality 2, monotonic 3
    └─ schema_url      3

A number becomes one record, a histogram or summary one for each of its series: its data point is stored whole or
refused whole, and counted once. A series is known by the hashes of resource, scope, name, unit, description and of its
attributes as they stand: one that was seen before costs no look at an attribute. Names are those of ``otlp_names.pxd``.

A data point that is at fault is refused by itself, and so is one whose attributes are; a fault in what it stands in
refuses the body. What repeats is read strictly: a message that may stand once is not merged.

A start time that is another than the last one of its series begins a counter, as in remote write 2.0
(``docs/decisions``). Differences are added up to totals (``otlp_deltas.pxd``). For each resource that says more than
who it is there is a row of ``target_info``, at the time of its latest point; it is no data point of the sender.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from nissa._fast.batch cimport Batch, contain, push_row, refuse_part
from nissa._fast.cursor cimport Cursor, cursor_in, cursor_over, no_text, read_bytes, read_tag, skip_field
from nissa._fast.delta_totals cimport DeltaTotals
from nissa._fast.growing cimport room_for_one
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.number_text cimport TENS
from nissa._fast.otlp_deltas cimport CUMULATIVE, DELTA, add_up, zero_ms
from nissa._fast.otlp_headers cimport (TAG_CHILD, TAG_PARTS, read_data_header, read_header, read_metric, read_resource)
from nissa._fast.otlp_labels cimport (FURTHER, PART_BUCKET, PART_COUNT, PART_REST, PART_SUM, PART_TARGET, PART_VALUE,
                                      TARGET, Export, Metric, Resource, Scope, is_counter, notes_of_new, read_labels)
from nissa._fast.otlp_points cimport (BUCKETS_MAX, EXPONENTIAL_POINT, HISTOGRAM_POINT, SUM_POINT, SUMMARY_POINT,
                                      DataPoint, add_explicit, add_exponential, point_ms, read_point)
from nissa._fast.sample cimport STALE_BITS
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (ADMITTED, HISTOGRAM_INVALID, OK, SERIES_NONE, TEMPORALITY_UNSUPPORTED,
                                VALUE_MISSING, WIRE_TYPE_WRONG, Fingerprint, LabelList, Record, Status, Text)

from nissa.model.errors import TooLarge

cdef enum:
    DOMAIN_RESOURCE = 0x82  # name spaces of raw forms
    DOMAIN_SCOPE = 0x83
    DOMAIN_METRIC = 0x84
    DOMAIN_PART = 0x85

cdef enum:
    BODY_BYTES_MAX = 0x7FFFFFFF


# ---- Boundary --------------------------------------------------------------------------------------------------------

def decode_otlp_metrics(const uint8_t[::1] body, SeriesIndex index not None, Batch batch not None, *, uint32_t minute,
                        size_t admit_max, int64_t oldest_ms, int64_t newest_ms, DeltaTotals deltas=None):
    """Decode one decompressed body into ``batch``; afterwards the batch holds the accepted rows and the counts.

    Its ``samples`` and refusals are counted in data points. minute: when it was received, minutes since 1970 (> 0).
    admit_max: how many new series it may bring. oldest_ms, newest_ms: the acceptance window, both inclusive. deltas:
    what differences are added to; None: they are refused.
    Returns: list of Metadata. Raises: Malformed (what, and the byte offset), TooLarge; nothing is kept then.
    GIL: released. Cost: about 80 ns per known number of five attributes, 10 K series.
    """
    cdef const uint8_t* start = &body[0] if body.shape[0] else NULL
    cdef Export export
    cdef DeltaTotals totals = DeltaTotals(1) if deltas is None else deltas
    if minute == 0:
        raise ValueError("expected a minute above 0")
    if body.shape[0] > BODY_BYTES_MAX:
        raise TooLarge("body", got=body.shape[0], limit=BODY_BYTES_MAX, setting="ingest.decompressed_size_max")
    begin_export(&export, &index.secret, oldest_ms, newest_ms)
    export.adds_up = deltas is not None
    try:
        with nogil:
            decode_metrics(&export, index, batch, totals, start, body.shape[0], minute, admit_max)
        if batch.status != OK:
            batch.fail(start)
        batch.tell_examples(start, labels_of_metrics, &export)
        return batch.take_notes() if batch.note_count else []
    finally:
        end_export(&export)


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef void decode_metrics(Export* export, SeriesIndex index, Batch batch, DeltaTotals totals, const uint8_t* at,
                         size_t size, uint32_t minute, size_t admit_max) noexcept nogil:
    """All of a decoding but its boundary."""
    batch.begin()
    batch.status = walk_export(export, batch, cursor_over(at, size))
    if batch.status == OK:
        batch.status = batch.reserve_starts()
    if batch.status == OK:
        batch.status = index.resolve(batch, labels_of_metrics, export, minute, admit_max)
    if batch.status == OK and batch.missed:
        settle_points(batch)
        batch.status = notes_of_new(export, batch)
    if batch.status == OK and export.adds_up:
        batch.status = add_up(export, batch, totals, minute)
    if batch.status == OK:
        batch.complete(export.oldest_ms, export.newest_ms)
        batch.keep_starts(<int64_t*>index.starts_ms.start, export.oldest_ms, export.newest_ms)


cdef Status walk_export(Export* export, Batch batch, Cursor cursor) noexcept nogil:
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Status status
    while cursor.at < cursor.end:
        batch.stopped_at = cursor.at
        status = read_tag(&cursor, &tag)
        if status == OK and tag == TAG_CHILD:
            status = read_bytes(&cursor, &field)
            if status == OK:
                status = walk_resource(export, batch, field)
        elif status == OK:
            status = WIRE_TYPE_WRONG if tag >> 3 == 1 else skip_field(&cursor, tag)
        if status != OK:
            return status
    return OK


cdef Status walk_resource(Export* export, Batch batch, Text message) noexcept nogil:
    """A ResourceMetrics. One without data points leaves nothing."""
    cdef Cursor cursor = cursor_in(message)
    cdef size_t place = export.resource_count, records = batch.record_count
    cdef uint32_t tag = 0
    cdef Text field = no_text(), schema_url = no_text()
    cdef Resource* resource
    cdef Status status = room_for_one(<void**>&export.resources, place, &export.resource_capacity, sizeof(Resource))
    if status != OK:
        return status
    resource = &export.resources[place]
    export.resource_count += 1
    memset(resource, 0, sizeof(Resource))
    resource.end = message.at + message.size
    status = read_header(batch, cursor, &resource.message, &schema_url)
    if status == OK:
        status = read_resource(batch, resource)
    if status != OK:
        return status
    resource.key = hash_bytes(export.secret, resource.message.at, resource.message.size, DOMAIN_RESOURCE)
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG_PARTS:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = walk_scope(export, batch, field, place)
        if status != OK:
            return status
    if batch.record_count == records:
        export.resource_count = place
        return OK
    return push_target(export, batch, place)


cdef Status walk_scope(Export* export, Batch batch, Text message, size_t resource) noexcept nogil:
    """A ScopeMetrics."""
    cdef Cursor cursor = cursor_in(message)
    cdef size_t place = export.scope_count, records = batch.record_count
    cdef uint32_t tag = 0
    cdef Text field = no_text()
    cdef Scope* scope
    cdef Fingerprint part
    cdef Status status = room_for_one(<void**>&export.scopes, place, &export.scope_capacity, sizeof(Scope))
    if status != OK:
        return status
    scope = &export.scopes[place]
    export.scope_count += 1
    memset(scope, 0, sizeof(Scope))
    scope.resource = resource
    status = read_header(batch, cursor, &scope.message, &scope.schema_url)
    if status != OK:
        return status
    scope.key = export.resources[resource].key
    part = hash_bytes(export.secret, scope.message.at, scope.message.size, DOMAIN_SCOPE)
    chain(export.secret, &scope.key, &part)
    part = hash_bytes(export.secret, scope.schema_url.at, scope.schema_url.size, DOMAIN_SCOPE)
    chain(export.secret, &scope.key, &part)
    while cursor.at < cursor.end:
        read_tag(&cursor, &tag)
        if tag != TAG_PARTS:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        status = walk_metric(export, batch, field, place)
        if status != OK:
            return status
    if batch.record_count == records:
        export.scope_count = place
    return OK


cdef Status walk_metric(Export* export, Batch batch, Text message, size_t scope) noexcept nogil:
    """A Metric: its header, then its data points."""
    cdef size_t place = export.metric_count, records = batch.record_count
    cdef Text data = no_text()
    cdef Metric* metric
    cdef Fingerprint part, mark
    cdef Status status = room_for_one(<void**>&export.metrics, place, &export.metric_capacity, sizeof(Metric))
    if status != OK:
        return status
    metric = &export.metrics[place]
    export.metric_count += 1
    memset(metric, 0, sizeof(Metric))
    metric.end = message.at + message.size
    metric.scope = scope
    status = read_metric(batch, message, metric, &data)
    if status == OK:
        status = read_data_header(batch, data, metric)
    if status != OK:
        return status
    metric.key = export.scopes[scope].key
    part = hash_bytes(export.secret, metric.name.at, metric.name.size, DOMAIN_METRIC)
    chain(export.secret, &metric.key, &part)
    part = hash_bytes(export.secret, metric.unit.at, metric.unit.size, DOMAIN_METRIC)
    chain(export.secret, &metric.key, &part)
    part = hash_bytes(export.secret, metric.description.at, metric.description.size, DOMAIN_METRIC)
    chain(export.secret, &metric.key, &part)
    mark.low = <uint64_t>metric.kind << 8 | metric.monotonic
    mark.high = DOMAIN_METRIC
    chain(export.secret, &metric.key, &mark)
    status = walk_points(export, batch, data, metric)
    if batch.record_count == records:
        export.metric_count = place
    return status


cdef Status walk_points(Export* export, Batch batch, Text data, const Metric* metric) noexcept nogil:
    """The data points of a metric whose framing is sound. One at fault is refused, and leaves nothing."""
    cdef Cursor cursor = cursor_in(data)
    cdef uint32_t tag = 0
    cdef const uint8_t* at
    cdef Text field = no_text()
    cdef size_t records, rows, starts
    cdef Status status
    while cursor.at < cursor.end:
        at = batch.stopped_at = cursor.at
        read_tag(&cursor, &tag)
        if tag != TAG_CHILD:
            skip_field(&cursor, tag)
            continue
        read_bytes(&cursor, &field)
        records, rows, starts = batch.record_count, batch.rows, batch.start_count
        status = walk_point(export, batch, field, metric, at)
        if status != OK:
            batch.record_count, batch.rows, batch.start_count = records, rows, starts
            status = contain(batch, status, 1, 1, at)
            if status != OK:
                return status
    return OK


cdef Status walk_point(Export* export, Batch batch, Text message, const Metric* metric,
                       const uint8_t* at) noexcept nogil:
    """A data point: its records and rows. at: where its field begins."""
    cdef DataPoint* point = &export.point
    cdef Fingerprint key = metric.key
    cdef int64_t ts_ms
    cdef bint counted = metric.kind == HISTOGRAM_POINT or metric.kind == EXPONENTIAL_POINT
    cdef Resource* resource
    cdef Status status = read_point(export.secret, message, metric.kind, point, &key)
    if status != OK:
        return status
    if (counted or metric.kind == SUM_POINT) and metric.temporality != CUMULATIVE and not (
            export.adds_up and metric.temporality == DELTA and metric.kind != EXPONENTIAL_POINT):
        refuse_part(batch, TEMPORALITY_UNSUPPORTED, 1, 1, at)
        return OK
    ts_ms = point_ms(point.time_ns)
    if counted and not (add_explicit(point) if metric.kind == HISTOGRAM_POINT else add_exponential(point)):
        refuse_part(batch, HISTOGRAM_INVALID, 1, 1, at)
        return OK
    if metric.kind == SUMMARY_POINT and point.bounds > <uint32_t>BUCKETS_MAX:
        refuse_part(batch, HISTOGRAM_INVALID, 1, 1, at)
        return OK
    if metric.kind <= SUM_POINT:
        if not point.has_value and not point.flags & 1:
            return VALUE_MISSING
        status = push_part(batch, export, metric, at, PART_VALUE, &key, ts_ms, point.value)
    else:
        status = push_distribution(batch, export, metric, at, &key, ts_ms)
    resource = &export.resources[export.scopes[metric.scope].resource]
    if export.oldest_ms <= ts_ms <= export.newest_ms and not (resource.timed and ts_ms <= resource.latest_ms):
        resource.timed, resource.latest_ms = True, ts_ms
    return status


cdef Status push_distribution(Batch batch, const Export* export, const Metric* metric, const uint8_t* at,
                              const Fingerprint* point_key, int64_t ts_ms) noexcept nogil:
    """The series of a histogram or summary: count, sum, and buckets or quantiles."""
    cdef const DataPoint* point = &export.point
    cdef uint32_t index
    cdef Fingerprint key, mark
    cdef double count = <double>point.count
    cdef Status status
    key = point_key[0]
    mark.high = DOMAIN_PART
    mark.low = PART_COUNT
    chain(export.secret, &key, &mark)
    status = push_part(batch, export, metric, at, PART_COUNT, &key, ts_ms, count)
    if status == OK and (point.has_sum or metric.kind == SUMMARY_POINT):
        key = point_key[0]
        mark.low = PART_SUM
        chain(export.secret, &key, &mark)
        status = push_part(batch, export, metric, at, PART_SUM, &key, ts_ms, point.sum)
    if metric.kind != SUMMARY_POINT and status == OK:
        key = point_key[0]
        mark.low = PART_REST
        chain(export.secret, &key, &mark)
        status = push_part(batch, export, metric, at, PART_REST, &key, ts_ms, count)
    for index in range(point.bounds):
        if status != OK:
            return status
        key = point_key[0]
        memcpy(&mark.low, &point.bound[index], 8)
        mark.high = DOMAIN_PART + 1
        chain(export.secret, &key, &mark)
        status = push_part(batch, export, metric, at, PART_BUCKET + index, &key, ts_ms, point.total[index])
    return status


cdef Status push_part(Batch batch, const Export* export, const Metric* metric, const uint8_t* at, uint32_t part,
                      const Fingerprint* key, int64_t ts_ms, double value) noexcept nogil:
    """One series of a data point: a record of one row, and when its counter began."""
    cdef Record* record = NULL
    cdef int64_t start_ms = point_ms(export.point.start_ns)
    cdef uint64_t stale = STALE_BITS
    cdef Status status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = at
    record.origin_size = part
    record.kind = 0 if part <= PART_COUNT else FURTHER
    record.key = key[0]
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    if export.point.flags & 1:
        memcpy(&value, &stale, 8)
    elif not export.oldest_ms <= ts_ms <= export.newest_ms or not is_counter(metric, part):
        return push_row(batch, ts_ms, value)
    elif metric.temporality == DELTA:
        status = batch.push_start(zero_ms(start_ms, ts_ms, export.point.start_ns != 0))
    elif export.point.start_ns and start_ms < ts_ms:
        status = batch.push_start(start_ms)
    return push_row(batch, ts_ms, value) if status == OK else status


cdef Status push_target(Export* export, Batch batch, size_t place) noexcept nogil:
    """The row of target_info for a resource with a name, other attributes, and a point inside of the window."""
    cdef const Resource* resource = &export.resources[place]
    cdef Record* record = NULL
    cdef Fingerprint mark
    cdef Status status
    if not resource.tells or not resource.timed:
        return OK
    status = batch.push_record(&record)
    if status != OK:
        return status
    record.origin = resource.message.at
    record.origin_size = PART_TARGET
    record.kind = TARGET
    record.key = resource.key
    mark.low = PART_TARGET
    mark.high = DOMAIN_PART
    chain(export.secret, &record.key, &mark)
    record.first_row = <uint32_t>batch.rows
    record.rows = 1
    return push_row(batch, resource.latest_ms, 1.0)


cdef void settle_points(Batch batch) noexcept nogil:
    """Refuse all records of a point if one of them is refused. A row of target_info belongs to no data point."""
    cdef size_t index = 0, first
    cdef int refusal
    cdef Record* record
    while index < batch.record_count:
        record = &batch.records[index]
        if record.kind == TARGET and record.series == SERIES_NONE and record.rows:
            batch.refused_row_counts[record.refusal & 31] += 1
            record.rows = 0
        first = index
        refusal = ADMITTED
        while True:
            if batch.records[index].series == SERIES_NONE and refusal == ADMITTED:
                refusal = batch.records[index].refusal
            index += 1
            if index == batch.record_count or batch.records[index].kind != FURTHER:
                break
        if refusal == ADMITTED:
            continue
        for first in range(first, index):
            batch.records[first].series = SERIES_NONE
            batch.records[first].refusal = <uint8_t>refusal


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef void begin_export(Export* export, const Secret* secret, int64_t oldest_ms, int64_t newest_ms) noexcept nogil:
    memset(export, 0, sizeof(Export))
    export.secret = secret
    export.powers = &TENS[0]
    export.oldest_ms, export.newest_ms = oldest_ms, newest_ms


cdef void end_export(Export* export) noexcept nogil:
    cdef size_t index
    for index in range(export.noted_count):
        free(export.noted[index])
    free(export.noted)
    free(export.room)
    free(export.resources)
    free(export.scopes)
    free(export.metrics)


cdef Status labels_of_metrics(void* codec, const Record* record, LabelList* out) noexcept nogil:
    return read_labels(<Export*>codec, record, out)
