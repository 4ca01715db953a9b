"""Series as a sink gets them, and their samples as bodies of remote write 1.0 and 2.0.

    series id ──► dropped, or sent:  head     its labels as a TimeSeries of 1.0 has them: b"\\n\\x0e…"
                                     symbols  of its names and values, for the symbol table of 2.0
                                     shard    the connection that its samples go by
    ordered    rows of any series ──► by shard, then series by first row, then time; dropped series left out
    body_1     TimeSeries { labels*, samples* } …
    body_2     symbols*, TimeSeries { labels_refs, samples*, metadata } …

Labels are encoded once and copied for each request. This file knows no rules, no limits and no sockets. For one thread.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset
from nissa._fast.sink_fields cimport (DROPPED, METADATA_BYTES_MAX, REF_BYTES_MAX, ROW_NONE, SAMPLE_BYTES_MAX, SENT,
                                      SERIES_BYTES_MAX, SHARDS_MAX, SORTED_HERE_MAX, UNKNOWN, Bytes, Rows, Sent,
                                      Symbol, end_of_series, metadata_size, number_of, put_metadata, put_samples,
                                      put_varint, samples_size, varint_size)

import numpy as np

cimport cython


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class SinkSeries:
    cdef Sent* sent
    cdef size_t capacity
    cdef Bytes heads
    cdef Bytes pairs        # uint32
    cdef Bytes texts
    cdef Symbol* symbols
    cdef size_t symbol_count
    cdef size_t symbol_capacity
    cdef dict numbers       # text -> symbol
    cdef uint32_t request
    cdef uint32_t shards

    def __cinit__(self, uint32_t shards=1):
        if not 0 < shards <= SHARDS_MAX:
            raise ValueError(f"{shards} shards: expected 1 to {SHARDS_MAX}")
        self.shards = shards
        self.numbers = {}
        self.symbol(b"")

    def __dealloc__(self):
        free(self.sent)
        free(self.heads.at)
        free(self.pairs.at)
        free(self.texts.at)
        free(self.symbols)

    @property
    def memory_bytes(self):
        """Bytes of labels and of what is noted by series, without Python's own."""
        return (self.capacity * sizeof(Sent) + self.heads.capacity + self.pairs.capacity + self.texts.capacity
                + self.symbol_capacity * sizeof(Symbol))

    def unknown(self, const uint32_t[::1] series not None):
        """Series of these rows that are neither sent nor dropped yet, each once. Cost: 1 to 2 ns per row."""
        cdef size_t row, rows = series.shape[0], count = 0
        cdef uint32_t one
        found = np.empty(rows, np.uint32)
        cdef uint32_t[::1] out = found
        for row in range(rows):
            one = series[row]
            self.room_for(one)
            if self.sent[one].state == UNKNOWN:
                self.sent[one].state = DROPPED
                out[count] = one
                count += 1
        for row in range(count):
            self.sent[out[row]].state = UNKNOWN
        return found[:count]

    def drop(self, uint32_t series):
        """Leave this series out."""
        self.room_for(series)
        self.sent[series].state = DROPPED

    def add(self, uint32_t series, bytes head not None, list texts not None, uint32_t shard):
        """Send this series. head: its labels as fields of a TimeSeries of 1.0. texts: name, value, name, value, UTF-8.

        Raises: ValueError for a shard that there is not.
        """
        cdef uint32_t symbol
        if shard >= self.shards:
            raise ValueError(f"no shard {shard}: there are {self.shards}")
        self.room_for(series)
        cdef Sent* one = &self.sent[series]
        one.head, one.head_size = self.heads.size, <uint32_t>len(head)
        append(&self.heads, head, len(head))
        one.refs, one.ref_count = self.pairs.size // sizeof(uint32_t), <uint32_t>len(texts)
        for text in texts:
            symbol = self.symbol(text)
            append(&self.pairs, <const char*>&symbol, sizeof(uint32_t))
        one.state, one.shard = SENT, <uint8_t>shard

    def is_sent(self, uint32_t series):
        """True for a series that was added."""
        return series < self.capacity and self.sent[series].state == SENT

    def texts_of(self, uint32_t series):
        """Names and values in turn of a series that is sent, UTF-8. Raises: ValueError."""
        if not self.is_sent(series):
            raise ValueError(f"series {series} is not sent")
        cdef Sent* one = &self.sent[series]
        cdef uint32_t* pairs = <uint32_t*>self.pairs.at
        cdef size_t ref
        cdef Symbol* symbol
        found = []
        for ref in range(one.refs, one.refs + one.ref_count):
            symbol = &self.symbols[pairs[ref]]
            found.append((<const char*>self.texts.at)[symbol.start:symbol.start + symbol.size])
        return found

    def describe(self, uint32_t series, uint8_t kind, bytes help not None, bytes unit not None):
        """Metadata of a series, for 2.0. kind: MetricType."""
        self.room_for(series)
        self.sent[series].kind = kind
        self.sent[series].help, self.sent[series].unit = self.symbol(help), self.symbol(unit)

    def ordered(self, const uint32_t[::1] series not None, const int64_t[::1] ts_ms not None, value not None):
        """Rows of series that are sent: by shard, series in the order of their first row, time. All must be known.

        Returns: series, ts_ms, value as new arrays, and the number of rows of each shard.
        Raises: ValueError for columns of different lengths, and for a series that is not known.
        GIL: released. Cost: 10 to 20 ns per row.
        """
        cdef Rows rows
        self.point(&rows, series, ts_ms, value)
        counts = np.zeros(self.shards, np.int64)
        appeared, follows = np.empty(rows.count, np.uint32), np.empty(rows.count, np.uint32)
        cdef int64_t[::1] counted = counts
        cdef uint32_t[::1] order = appeared
        cdef uint32_t[::1] links = follows
        if not rows.count:
            return np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.float64), counts
        cdef size_t distinct
        with nogil:
            distinct = link_rows(self.sent, &rows, &order[0], &links[0], &counted[0])
        total = int(counts.sum())
        out = np.empty(total, np.uint32), np.empty(total, np.int64), np.empty(total, np.uint64)
        cdef uint32_t[::1] series_out = out[0]
        cdef int64_t[::1] ts_out = out[1]
        cdef uint64_t[::1] bits_out = out[2]
        places = np.cumsum(counts) - counts
        cdef int64_t[::1] at = places
        cdef bint uneven = False
        if total:
            with nogil:
                uneven = gather(self.sent, &rows, &order[0], distinct, &links[0], &at[0], &series_out[0], &ts_out[0],
                                &bits_out[0])
        if uneven:
            chain = np.cumsum(np.diff(out[0], prepend=out[0][:1]) != 0)  # a series has one chain
            places = np.lexsort((out[1], chain))
            out = out[0], out[1][places], out[2][places]
        return out[0], out[1], out[2].view(np.float64), counts

    def body_1(self, const uint32_t[::1] series not None, const int64_t[::1] ts_ms not None, value not None):
        """Ordered rows as a WriteRequest, not compressed. Neighbouring rows of one series share a TimeSeries.

        Raises: ValueError for columns of different lengths, and for a series that is not sent.
        GIL: released. Cost: 10 ns per row, and the copy of its labels per series.
        """
        cdef Rows rows
        self.point(&rows, series, ts_ms, value, sent=True)
        if not rows.count:
            return np.empty(0, np.uint8)
        cdef size_t size
        with nogil:
            size = bound_1(self.sent, &rows)
        out = np.empty(size, np.uint8)
        cdef uint8_t[::1] view = out
        with nogil:
            size = write_1(self.sent, self.heads.at, &rows, &view[0])
        return out[:size]

    def body_2(self, const uint32_t[::1] series not None, const int64_t[::1] ts_ms not None, value not None):
        """Ordered rows as a Request of 2.0, not compressed. Raises, GIL as ``body_1``. Cost: as there."""
        cdef Rows rows
        cdef size_t size, used = 0, refs
        self.point(&rows, series, ts_ms, value, sent=True)
        if not rows.count:
            return np.empty(0, np.uint8)
        self.request += 1
        if self.request == 0:   # numbers of requests begin again: forget all old ones
            self.request = 1
            for used in range(self.symbol_count):
                self.symbols[used].request = 0
            used = 0
        with nogil:
            refs = count_refs(self.sent, &rows)
        numbered, found = np.empty(min(refs + 1, self.symbol_count), np.uint32), np.empty(refs, np.uint32)
        cdef uint32_t[::1] order = numbered
        cdef uint32_t[::1] numbers = found
        with nogil:
            size = number_symbols(self.sent, <const uint32_t*>self.pairs.at, self.symbols, self.request, &rows,
                                  &order[0], &used, &numbers[0])
        out = np.empty(size, np.uint8)
        cdef uint8_t[::1] view = out
        with nogil:
            size = write_symbols(self.symbols, self.texts.at, &order[0], used, &view[0])
            size += write_2(self.sent, &rows, &numbers[0], &view[0] + size)
        return out[:size]

    cdef int point(self, Rows* rows, const uint32_t[::1] series, const int64_t[::1] ts_ms, value,
                   bint sent=False) except -1:
        cdef const uint64_t[::1] bits = value.view(np.uint64)
        cdef size_t row
        rows.count = series.shape[0]
        if <size_t>ts_ms.shape[0] != rows.count or <size_t>bits.shape[0] != rows.count:
            raise ValueError(f"{rows.count} rows with {ts_ms.shape[0]} times and {bits.shape[0]} values")
        if rows.count >= ROW_NONE:
            raise ValueError(f"{rows.count} rows are too many")
        if not rows.count:
            return 0
        rows.series, rows.ts_ms, rows.bits = &series[0], &ts_ms[0], &bits[0]
        with nogil:
            row = first_wrong(self.sent, self.capacity, rows, sent)
        if row < rows.count:
            raise ValueError(f"row {row}: series {series[row]} is not {'sent' if sent else 'known'}")
        return 0

    cdef uint32_t symbol(self, bytes text) except? 0:
        cdef size_t capacity
        cdef void* grown
        found = self.numbers.get(text)
        if found is not None:
            return found
        if self.symbol_count == self.symbol_capacity:
            capacity = self.symbol_capacity * 2 + 64
            grown = realloc(self.symbols, capacity * sizeof(Symbol))
            if grown == NULL:
                raise MemoryError("symbols of a sink")
            self.symbols, self.symbol_capacity = <Symbol*>grown, capacity
        cdef Symbol* one = &self.symbols[self.symbol_count]
        one.start, one.size, one.request, one.number = self.texts.size, <uint32_t>len(text), 0, 0
        append(&self.texts, text, len(text))
        self.numbers[text] = self.symbol_count
        self.symbol_count += 1
        return <uint32_t>(self.symbol_count - 1)

    cdef int room_for(self, size_t series) except -1:
        cdef size_t capacity, at
        cdef void* grown
        if series < self.capacity:
            return 0
        capacity = (series + series // 2 + 1024)
        grown = realloc(self.sent, capacity * sizeof(Sent))
        if grown == NULL:
            raise MemoryError("series of a sink")
        self.sent = <Sent*>grown
        memset(self.sent + self.capacity, 0, (capacity - self.capacity) * sizeof(Sent))
        for at in range(self.capacity, capacity):
            self.sent[at].first_row = ROW_NONE
        self.capacity = capacity
        return 0


cdef int append(Bytes* bytes_, const char* data, size_t size) except -1:
    cdef size_t capacity
    cdef void* grown
    if bytes_.at == NULL or bytes_.size + size > bytes_.capacity:
        capacity = (bytes_.size + size) * 2 + 1024
        grown = realloc(bytes_.at, capacity)
        if grown == NULL:
            raise MemoryError("labels of a sink")
        bytes_.at, bytes_.capacity = <uint8_t*>grown, capacity
    memcpy(bytes_.at + bytes_.size, data, size)
    bytes_.size += size
    return 0


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef size_t first_wrong(const Sent* sent, size_t capacity, const Rows* rows, bint must_be_sent) noexcept nogil:
    """The first row whose series is not known, or not sent; the number of rows for none."""
    cdef size_t row
    for row in range(rows.count):
        if rows.series[row] >= capacity or sent[rows.series[row]].state < (SENT if must_be_sent else DROPPED):
            return row
    return rows.count


cdef size_t link_rows(Sent* sent, const Rows* rows, uint32_t* order, uint32_t* links, int64_t* counts) noexcept nogil:
    """Chain the rows of each series by ``links``. order: the series sent, by first row. Returns their number."""
    cdef size_t row, distinct = 0
    cdef Sent* one
    for row in range(rows.count):
        one = &sent[rows.series[row]]
        if one.state != SENT:
            continue
        links[row] = ROW_NONE
        if one.first_row == ROW_NONE:
            one.first_row, one.uneven = <uint32_t>row, 0
            order[distinct] = rows.series[row]
            distinct += 1
        else:
            links[one.last_row] = <uint32_t>row
            if rows.ts_ms[row] < rows.ts_ms[one.last_row]:
                one.uneven = 1
        one.last_row = <uint32_t>row
        counts[one.shard] += 1
    return distinct


cdef bint gather(Sent* sent, const Rows* rows, const uint32_t* order, size_t distinct, const uint32_t* links,
                 int64_t* places, uint32_t* series, int64_t* ts_ms, uint64_t* bits) noexcept nogil:
    """Write the chains of ``link_rows`` out, each to its shard. True where some are not in order of time."""
    cdef size_t at
    cdef bint uneven = False
    cdef uint32_t row
    cdef int64_t first, place
    cdef Sent* one
    for at in range(distinct):
        one = &sent[order[at]]
        first = place = places[one.shard]
        row = one.first_row
        while row != ROW_NONE:
            series[place], ts_ms[place], bits[place] = order[at], rows.ts_ms[row], rows.bits[row]
            place += 1
            row = links[row]
        if one.uneven and place - first <= SORTED_HERE_MAX:
            sort_by_time(ts_ms + first, bits + first, <size_t>(place - first))
        elif one.uneven:
            uneven = True
        places[one.shard] = place
        one.first_row = ROW_NONE
    return uneven


cdef void sort_by_time(int64_t* ts_ms, uint64_t* bits, size_t count) noexcept nogil:
    """Sort by time, stably. Rows are mostly in order already."""
    cdef size_t at, to
    cdef int64_t time_ms
    cdef uint64_t value
    for at in range(1, count):
        time_ms, value, to = ts_ms[at], bits[at], at
        while to and ts_ms[to - 1] > time_ms:
            ts_ms[to], bits[to] = ts_ms[to - 1], bits[to - 1]
            to -= 1
        ts_ms[to], bits[to] = time_ms, value


cdef size_t bound_1(const Sent* sent, const Rows* rows) noexcept nogil:
    """Bytes of these rows as a WriteRequest, at most."""
    cdef size_t row, size = rows.count * SAMPLE_BYTES_MAX
    for row in range(rows.count):
        if row == 0 or rows.series[row] != rows.series[row - 1]:
            size += sent[rows.series[row]].head_size + SERIES_BYTES_MAX
    return size


@cython.overflowcheck(False)
cdef size_t write_1(const Sent* sent, const uint8_t* heads, const Rows* rows, uint8_t* out) noexcept nogil:
    cdef uint8_t* at = out
    cdef size_t first = 0, end
    cdef const Sent* one
    while first < rows.count:
        end = end_of_series(rows, first)
        one = &sent[rows.series[first]]
        at[0] = 1 << 3 | 2
        at = put_varint(one.head_size + samples_size(rows, first, end), at + 1)
        memcpy(at, heads + one.head, one.head_size)
        at = put_samples(rows, first, end, at + one.head_size)
        first = end
    return <size_t>(at - out)


cdef size_t count_refs(const Sent* sent, const Rows* rows) noexcept nogil:
    """References of the series of these rows, repeated symbols included."""
    cdef size_t row, refs = 0
    for row in range(rows.count):
        if row == 0 or rows.series[row] != rows.series[row - 1]:
            refs += sent[rows.series[row]].ref_count + 2
    return refs


cdef size_t number_symbols(const Sent* sent, const uint32_t* pairs, Symbol* symbols, uint32_t request,
                           const Rows* rows, uint32_t* order, size_t* used, uint32_t* numbers) noexcept nogil:
    """Number the symbols of these rows in the order they are met, the empty one first. Returns the bytes at most.

    numbers: of each series those of its labels, of its help and of its unit.
    """
    cdef size_t row, ref, size = rows.count * SAMPLE_BYTES_MAX
    cdef const Sent* one
    cdef const uint32_t* own
    number_of(symbols, 0, request, order, used, &size)
    for row in range(rows.count):
        if row and rows.series[row] == rows.series[row - 1]:
            continue
        one = &sent[rows.series[row]]
        own = pairs + one.refs
        for ref in range(one.ref_count):
            numbers[ref] = number_of(symbols, own[ref], request, order, used, &size)
        numbers += one.ref_count
        numbers[0] = number_of(symbols, one.help, request, order, used, &size) if one.help else 0
        numbers[1] = number_of(symbols, one.unit, request, order, used, &size) if one.unit else 0
        numbers += 2
        size += one.ref_count * REF_BYTES_MAX + SERIES_BYTES_MAX + METADATA_BYTES_MAX
    return size


@cython.overflowcheck(False)
cdef size_t write_symbols(const Symbol* symbols, const uint8_t* texts, const uint32_t* order, size_t used,
                          uint8_t* out) noexcept nogil:
    cdef uint8_t* at = out
    cdef size_t number
    cdef const Symbol* symbol
    for number in range(used):
        symbol = &symbols[order[number]]
        at[0] = 4 << 3 | 2
        at = put_varint(symbol.size, at + 1)
        memcpy(at, texts + symbol.start, symbol.size)
        at += symbol.size
    return <size_t>(at - out)


@cython.overflowcheck(False)
cdef size_t write_2(const Sent* sent, const Rows* rows, const uint32_t* numbers, uint8_t* out) noexcept nogil:
    cdef uint8_t* at = out
    cdef size_t first = 0, end, ref, refs_size, meta_size
    cdef const Sent* one
    while first < rows.count:
        end = end_of_series(rows, first)
        one = &sent[rows.series[first]]
        refs_size = 0
        for ref in range(one.ref_count):
            refs_size += varint_size(numbers[ref])
        meta_size = metadata_size(one.kind, numbers + one.ref_count)
        at[0] = 5 << 3 | 2
        at = put_varint(1 + varint_size(refs_size) + refs_size + samples_size(rows, first, end)
                        + (2 + meta_size if meta_size else 0), at + 1)
        at[0] = 1 << 3 | 2
        at = put_varint(refs_size, at + 1)
        for ref in range(one.ref_count):
            at = put_varint(numbers[ref], at)
        at = put_samples(rows, first, end, at)
        if meta_size:
            at = put_metadata(one.kind, numbers + one.ref_count, meta_size, at)
        numbers += one.ref_count + 2
        first = end
    return <size_t>(at - out)
