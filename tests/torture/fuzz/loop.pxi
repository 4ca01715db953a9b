# The loop around one decoder, which stands above it in the module as one(): no Python in it.

cdef extern from "fuzz.h":
    void fuzz_keep(const uint8_t* data, size_t size) nogil
    void fuzz_begin(uint64_t seed) nogil
    const uint8_t* fuzz_next(size_t* size) nogil
    int fuzz_done() nogil
    size_t fuzz_below(size_t limit) nogil
    size_t fuzz_met() nogil
    size_t fuzz_kept() nogil


def begin(list seeds, uint64_t seed):
    """Give it its seeds, once."""
    cdef bytes body
    for body in seeds:
        fuzz_keep(<const uint8_t*><const char*>body, len(body))
    fuzz_begin(seed)


def fuzz(SeriesIndex index, Batch batch, size_t count, size_t series_max, int64_t oldest_ms, int64_t newest_ms):
    """Decode ``count`` bodies, fewer where the index is full before.

    Returns: (how many by status, pairs of blocks met so far, bodies kept, the last body, its status). Raises:
    AssertionError with the body where what the decoder left behind contradicts itself.
    """
    cdef size_t done = 0, size = 0, place
    cdef size_t by_status[32]
    cdef const uint8_t* at = NULL
    cdef int status = 0
    for place in range(32):
        by_status[place] = 0
    with nogil:
        while done < count and index.series_total < series_max and status >= 0:
            at = fuzz_next(&size)
            status = one(at, size, index, batch, oldest_ms, newest_ms)
            fuzz_done()
            done += 1
            if status >= 0:
                by_status[status] += 1
    last = (<const char*>at)[:size] if size else b""
    if status < 0:
        raise AssertionError(f"contradiction {status} on {last.hex()}")
    return [by_status[place] for place in range(32)], fuzz_met(), fuzz_kept(), last, status


cdef int sound(const uint8_t* at, size_t size, Batch batch) noexcept nogil:
    """The status of a batch; below 0 where it contradicts itself or the body."""
    cdef size_t refused = 0, place
    cdef int status = batch.status
    if status == OK:
        for place in range(32):
            refused += batch.refused_row_counts[place]
        if batch.rows + refused != batch.rows_received:
            return -1
        if batch.rows_received > 2 * size + 2 or batch.record_count > 2 * size + 2:
            return -2
        for place in range(batch.rows):
            if batch.series[place] == SERIES_NONE:
                return -3
        return status
    if not 0 < status < 32:
        return -4
    if batch.stopped_at != NULL and not at <= batch.stopped_at <= at + size:
        return -5
    return status
