# Differences of OTLP (delta temporality), added up to totals before rows are accepted.
#
#   data point    first record, FURTHER records      added to the totals of their series, all of them or none
#
# A data point begins anew where any of its series has no total: all of them begin at 0 then, so that buckets fit their
# count. The row of 0 stands one millisecond behind its start time, where the sample of the difference before it may be:
# after a total was forgotten both are there, and the counter is seen to restart. A point that is not newer than the
# last one of its series is refused: it was added up already, or cannot be put in its place any more.

from libc.stdint cimport int64_t, uint32_t, uint8_t, uint64_t
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch
from nissa._fast.delta_totals cimport DeltaTotals, Total
from nissa._fast.otlp_labels cimport FURTHER, PART_VALUE, TARGET, Export, Metric
from nissa._fast.sample cimport STALE_BITS
from nissa._fast.types cimport NO_MEMORY, OK, SERIES_NONE, TEMPORALITY_UNSUPPORTED, Record, Status

cdef enum:
    DELTA = 1               # AggregationTemporality
    CUMULATIVE = 2


cdef inline int64_t zero_ms(int64_t start_ms, int64_t ts_ms, bint started) noexcept nogil:
    """Time of the row of 0 of a difference. started: it has a start time."""
    return start_ms + 1 if started and start_ms + 1 < ts_ms else ts_ms - 1


cdef inline Status add_up(const Export* export, Batch batch, DeltaTotals totals, uint32_t minute) noexcept nogil:
    """Turn differences of records that have their series into totals, in place. Rows of 0 stay for those that begin."""
    cdef const Metric* metric = export.metrics
    cdef size_t index = 0, first, start = 0, left = 0
    cdef bint begins
    cdef Status status
    while index < batch.record_count:
        first = index
        index += 1
        while index < batch.record_count and batch.records[index].kind == <uint32_t>FURTHER:
            index += 1
        begins = True
        if batch.records[first].kind != <uint32_t>TARGET:
            while metric.end < batch.records[first].origin:
                metric += 1
            if metric.temporality == <uint64_t>DELTA and batch.records[first].series != <uint32_t>SERIES_NONE:
                status = add_point(export, batch, totals, metric, first, index, minute, &begins)
                if status != OK:
                    return status
        while start < batch.start_count and batch.starts[start].record < index:
            if begins:
                batch.starts[left] = batch.starts[start]
                left += 1
            start += 1
    batch.start_count = left
    return OK


cdef inline Status add_point(const Export* export, Batch batch, DeltaTotals totals, const Metric* metric, size_t first,
                             size_t end, uint32_t minute, bint* begins) noexcept nogil:
    """Add the records [first, end) of one data point to their totals. begins: they have none."""
    cdef int64_t ts_ms = batch.ts_ms[batch.records[first].first_row]
    cdef size_t index, missing = 0, resets = totals.resets
    cdef bint known = False, sound = True
    cdef uint64_t bits = 0
    cdef double value
    cdef Record* record
    cdef Total* total
    if not export.oldest_ms <= ts_ms <= export.newest_ms:
        return OK
    for index in range(first, end):
        record = &batch.records[index]
        value = batch.value[record.first_row]
        memcpy(&bits, &value, 8)
        if index == first and bits == <uint64_t>STALE_BITS:
            begins[0] = False
            return OK
        sound = sound and value - value == 0.0
        sound = sound and (value >= 0.0 or record.origin_size != <uint32_t>PART_VALUE or not metric.monotonic)
        total = totals.find(record.series, minute)
        if total == NULL:
            missing += 1
        else:
            sound = sound and ts_ms > total.last_ms
            known = True
    if not sound:
        for index in range(first, end):
            batch.records[index].series = SERIES_NONE
            batch.records[index].refusal = <uint8_t>TEMPORALITY_UNSUPPORTED
        return OK
    if missing and not totals.make_room(end - first, minute):
        totals.forget_all()
        return NO_MEMORY
    begins[0] = missing or totals.resets != resets
    for index in range(first, end):
        record = &batch.records[index]
        total = totals.take(record.series)
        if begins[0]:
            total.total = 0.0
        total.total += batch.value[record.first_row]
        total.last_ms, total.seen_minute = ts_ms, minute
        batch.value[record.first_row] = total.total
    return OK
