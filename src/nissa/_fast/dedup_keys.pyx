"""Finds redelivered packets by their dedup keys and removes their rows from the batch.

    keys of a frame       packet A           packet B    packet A      point of request r
                          │ request q                                  │
    maps                  not known: stored  known       known         not known: stored
    rows of the batch     stay               removed     removed       stay

A packet that is refused as a whole (every sample too old, say) leaves no key: when it is sent again it is judged anew.
The key of a request is stored with the LSN of the frame that brought it first, and removes no rows. The longest-lived
kind of record in a packet decides which map its key goes to, and when it expires.

The frame has its LSN by now, so a replay of the journal stores the same keys.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from nissa._fast.batch cimport CLAIM_ALERT, CLAIM_EVENT, CLAIM_METRIC, Batch, Claim
from nissa._fast.context cimport context_key
from nissa._fast.hash cimport chain
from nissa._fast.packet_key cimport packet_key, request_key
from nissa._fast.series cimport SeriesIndex
from nissa._fast.ttl cimport TtlMap
from nissa._fast.types cimport NO_MEMORY, OK, Fingerprint, Status, Text

cdef enum: AHEAD = 12       # claims between asking for a slot, for its entry, and needing both


# ---- Boundary --------------------------------------------------------------------------------------------------------

def dedup_packets(Batch batch not None, TtlMap events not None, TtlMap metrics not None, TtlMap alerts not None,
                  uint64_t lsn, int64_t now_ms, int64_t event_ttl_ms, int64_t metric_ttl_ms, int64_t alert_ttl_ms):
    """Remember the packets and requests of a decoded frame; take rows of packets that came before out of the batch.

    lsn: of the frame. event_ttl_ms, metric_ttl_ms, alert_ttl_ms: how long they are remembered; 0: not at all.
    Returns: None where nothing came before, else uint8 (events,), 1 for each event of a packet that did; how many rows
    were taken out is in ``batch.duplicate_rows``. Raises: MemoryError, ValueError as ``TtlMap.dedup_all``. GIL:
    released. Cost: 30 to 60 ns for each packet and request.
    """
    cdef size_t duplicates = 0
    cdef Status status
    cdef int64_t ttl_ms[3]
    ttl_ms[<int>CLAIM_EVENT] = event_ttl_ms
    ttl_ms[<int>CLAIM_METRIC] = metric_ttl_ms
    ttl_ms[<int>CLAIM_ALERT] = alert_ttl_ms
    events.go_on_at(lsn)
    metrics.go_on_at(lsn)
    alerts.go_on_at(lsn)
    with nogil:
        status = claim_each(batch, events, metrics, alerts, lsn, now_ms, ttl_ms, &duplicates)
        if status == OK and duplicates:
            take_out(batch)
    if status == NO_MEMORY:
        raise MemoryError("remembering packets")
    if status != OK:
        raise ValueError("keys of packets are no hashes")
    return marked_events(batch) if duplicates else None


def dedup_message(Batch batch not None, SeriesIndex index not None, size_t event, *, bint alert,
                  const uint8_t[::1] source not None, const uint8_t[::1] packet_id not None, uint64_t epoch,
                  const uint8_t[::1] request_id not None):
    """Claim one event of a frame that a slow path reads. Texts are UTF-8, empty where there is none.

    alert: remembered as an alert, not as an event. Without ``packet_id`` only a repeated request is recognised.
    """
    cdef Claim* claim
    cdef Fingerprint context
    if packet_id.shape[0] == 0 and request_id.shape[0] == 0:
        return
    if batch.push_claim(&claim) != OK:
        raise MemoryError("decoding a frame")
    claim.kind = CLAIM_ALERT if alert else CLAIM_EVENT
    claim.first_event = event
    claim.end_event = event + 1
    claim.end_record = claim.first_record
    claim.has_packet = packet_id.shape[0] != 0
    claim.has_request = request_id.shape[0] != 0
    claim.packet = packet_key(&index.secret, text_of(source), text_of(packet_id))
    if batch.context.count:
        context = context_key(&batch.context, &index.secret)
        chain(&index.secret, &claim.packet, &context)
    claim.request = request_key(&index.secret, epoch, text_of(request_id))


def key_of_request(SeriesIndex index not None, uint64_t epoch, const uint8_t[::1] request_id not None):
    """The key by which a request is remembered under the secret of ``index``: (low, high)."""
    cdef Fingerprint key = request_key(&index.secret, epoch, text_of(request_id))
    return key.low, key.high


cdef marked_events(Batch batch):
    cdef size_t index
    cdef const Claim* claim
    marks = np.zeros(batch.events, np.uint8)
    for index in range(batch.claim_count):
        claim = &batch.dedup_keys[index]
        if claim.duplicate and not claim.inside:
            marks[claim.first_event : claim.end_event] = 1
    return marks


cdef Text text_of(const uint8_t[::1] data):
    cdef Text text
    text.at = &data[0] if data.shape[0] else NULL
    text.size = <uint32_t>data.shape[0]
    return text


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef Status claim_each(Batch batch, TtlMap events, TtlMap metrics, TtlMap alerts, uint64_t lsn, int64_t now_ms,
                       const int64_t* ttl_ms, size_t* duplicates) noexcept nogil:
    cdef size_t index
    cdef Claim* claim
    cdef bint outer = False
    cdef Status status
    for index in range(batch.claim_count):
        fetch_ahead(batch, metrics, index)
        claim = &batch.dedup_keys[index]
        if claim.kind == CLAIM_METRIC:
            status = claim_one(batch, claim, metrics, lsn, now_ms, ttl_ms[CLAIM_METRIC], outer)
        elif claim.kind == CLAIM_EVENT:
            status = claim_one(batch, claim, events, lsn, now_ms, ttl_ms[CLAIM_EVENT], outer)
        else:
            status = claim_one(batch, claim, alerts, lsn, now_ms, ttl_ms[CLAIM_ALERT], outer)
        if status != OK:
            return status
        if not claim.inside:
            outer = claim.duplicate
        duplicates[0] += claim.duplicate
    return OK


cdef void take_out(Batch batch) noexcept nogil:
    """Close up the rows that are kept."""
    cdef size_t index, first = 0, to = 0
    cdef const Claim* claim
    for index in range(batch.claim_count):
        claim = &batch.dedup_keys[index]
        if claim.duplicate and not claim.inside:
            to = batch.move_rows(to, first, batch.kept_before(claim.first_record))
            first = batch.kept_before(claim.end_record)
    to = batch.move_rows(to, first, batch.rows)
    batch.duplicate_rows = batch.rows - to
    batch.rows = to


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline Status claim_one(Batch batch, Claim* claim, TtlMap remembered, uint64_t lsn, int64_t now_ms, int64_t ttl_ms,
                             bint outer) noexcept nogil:
    """One claim in its map. outer: whether what it may be inside of came before."""
    cdef bint kept = (claim.end_event > claim.first_event
                      or batch.kept_before(claim.end_record) > batch.kept_before(claim.first_record))
    cdef Status status = OK
    claim.duplicate = claim.inside and outer
    if ttl_ms <= 0:
        return OK
    if claim.has_packet:
        claim.duplicate = remembered.live(&claim.packet, now_ms) != NULL
        if kept and not claim.duplicate:
            status = remembered.store(&claim.packet, lsn, now_ms + ttl_ms)
    if status == OK and claim.has_request and kept and not claim.duplicate:
        if remembered.live(&claim.request, now_ms) == NULL:
            status = remembered.store(&claim.request, lsn, now_ms + ttl_ms)
    return status


cdef inline void fetch_ahead(Batch batch, TtlMap metrics, size_t index) noexcept nogil:
    """Ask for the memory of packets to come; long runs of them are metrics."""
    if index + 2 * AHEAD < batch.claim_count:
        metrics.fetch_slot(&batch.dedup_keys[index + 2 * AHEAD].packet)
    if index + AHEAD < batch.claim_count:
        metrics.fetch_entry(&batch.dedup_keys[index + AHEAD].packet)
