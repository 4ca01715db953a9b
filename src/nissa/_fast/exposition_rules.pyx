"""Rules of a scrape, applied where a series is seen first. How records pass them: the ``.pxd``.

The rules themselves are Python (``codec/scrape_rules.py``): a series that is known, or known as dropped, does not come
to them. Every record here has one row.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch
from nissa._fast.context cimport add_context, context_key
from nissa._fast.exposition_text cimport labels_of_exposition
from nissa._fast.fields cimport add_label
from nissa._fast.hash cimport chain, hash_bytes
from nissa._fast.label_set cimport checked_labels
from nissa._fast.probe cimport Table, clear_table, find, insert, open_table
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport (LABELS_MAX, OK, SCRATCH_BYTES, SERIES_NONE, Fingerprint, Label, LabelList, Record,
                                Status, Text)

cdef enum:
    DOMAIN_RULES = 0x83         # name space of raw forms
    DROPPED = 0xFFFFFFFE        # places while records are judged
    UNKNOWN = 0xFFFFFFFD
    HELD_BYTES_MAX = 0x7FFFFFFF


# ---- Boundary --------------------------------------------------------------------------------------------------------

cdef class DroppedForms:
    """Raw forms that rules have dropped, so that they are not judged again. For one thread.

    entries_max: remembered before all are forgotten and learned again. Memory: about 32 bytes each.
    """

    def __cinit__(self, size_t entries_max=1_000_000):
        self.entries_max = entries_max
        if not open_table(&self.table, 1024):
            raise MemoryError("raw forms that rules have dropped")

    def __dealloc__(self):
        free(self.table.slots)

    def __len__(self):
        return self.table.used


cdef class ExpositionRules:
    """The rules of one frame after the other. For one thread.

    rules: what has ``applied(dict) -> dict | None`` for the labels of a series, and raises for those over a limit; and
    ``check_count(int)``, which raises for too many samples. text: names the rules, the same for the same rules.
    dropped: remembers raw forms, under their rules.
    """

    def __init__(self, object rules not None, bytes text not None, DroppedForms dropped not None):
        self.rules, self.text, self.dropped = rules, text, dropped
        self.held = bytearray()

    def __dealloc__(self):
        free(self.judged.place)

    cdef size_t judge(self, Batch batch, SeriesIndex index) except? 0xFFFFFFFF:
        """Take records that are dropped out of the batch, and rewrite the labels of unknown ones.

        Returns: how many are dropped. Raises: what rules raise; the batch is empty then.
        """
        cdef const uint8_t* text = self.text
        cdef size_t size = len(self.text), at, dropped = 0
        cdef bint fits = False
        with nogil:
            fits = find_unknown(&self.judged, batch, index, &self.dropped.table, text, size)
        if not fits:
            batch.clear()
            raise MemoryError("rules of a scrape")
        self.held = bytearray()
        try:
            for at in range(self.judged.count):
                if self.judged.place[at] == UNKNOWN and not self.judge_unknown(&batch.records[at], at):
                    remember(self.dropped, &batch.records[at])
            with nogil:
                dropped = compact(&self.judged, batch)
            self.rules.check_count(batch.record_count)
        except BaseException:
            batch.clear()
            raise
        self.judged.held = <const uint8_t*><char*>self.held
        return dropped

    cdef bint judge_unknown(self, const Record* record, size_t at) except? False:
        """Hold the labels of one record as rules leave them. False: they drop it."""
        cdef LabelList labels
        cdef Status status = checked_labels(labels_of_exposition, NULL, record, &labels)
        self.judged.place[at] = AS_IT_IS
        if status != OK:
            return True                         # refused where it is looked up
        add_context(&self.judged.context, &labels)
        if labels.count > LABELS_MAX or labels.scratch_used > SCRATCH_BYTES:
            return True
        pairs = pairs_of(&labels)
        if pairs is None:
            return True
        pairs = self.rules.applied(pairs)
        if pairs is None:
            self.judged.place[at] = DROPPED
            return False
        if len(self.held) > HELD_BYTES_MAX:
            raise MemoryError("labels that rules have rewritten")
        self.judged.place[at] = <uint32_t>len(self.held)
        self.held += len(pairs).to_bytes(4, "little")
        for pair in pairs.items():
            for text in pair:
                data = text.encode()
                self.held += len(data).to_bytes(4, "little") + data
        return True

    # ---- Loops -------------------------------------------------------------------------------------------------------

    cdef void give_back(self, Batch batch) noexcept nogil:
        """The context of the frame stands again, for what is said about it."""
        batch.context = self.judged.context


cdef dict pairs_of(LabelList* labels):
    """Labels with a value; None where they are not sound, which is said where they are looked up."""
    cdef uint32_t index
    found = {}
    for index in range(labels.count):
        label = &labels.label[index]
        if label.name.size == 0:
            return None
        if label.value.size == 0:
            continue
        name = (<const char*>label.name.at)[:label.name.size].decode()
        if name in found:
            return None
        found[name] = (<const char*>label.value.at)[:label.value.size].decode()
    return found


cdef remember(DroppedForms dropped, const Record* record):
    if dropped.table.used >= dropped.entries_max:
        clear_table(&dropped.table)
    if find(&dropped.table, record.key.low, <uint32_t>record.key.high) == SERIES_NONE and not insert(
            &dropped.table, record.key.low, <uint32_t>record.key.high, 0):
        raise MemoryError("raw forms that rules have dropped")


# ---- Loops -----------------------------------------------------------------------------------------------------------

cdef bint find_unknown(Judged* judged, Batch batch, SeriesIndex index, const Table* dropped, const uint8_t* text,
                       size_t size) noexcept nogil:
    """Move the context out of the batch, hash it and the rules into the key of each record, and mark unknown keys."""
    cdef size_t at
    cdef Record* record
    cdef uint32_t high
    cdef Fingerprint key = hash_bytes(&index.secret, text, size, DOMAIN_RULES)
    cdef Fingerprint context
    judged.context = batch.context
    batch.context.count = 0
    judged.count = batch.record_count
    judged.records = batch.records
    if not room_for(judged, batch.record_count):
        return False
    if judged.context.count:
        context = context_key(&judged.context, &index.secret)
        chain(&index.secret, &key, &context)
    for at in range(batch.record_count):
        record = &batch.records[at]
        chain(&index.secret, &record.key, &key)
        high = <uint32_t>record.key.high
        judged.place[at] = UNKNOWN
        if find(dropped, record.key.low, high) != SERIES_NONE:
            judged.place[at] = DROPPED
        elif find(&index.raw, record.key.low, high) != SERIES_NONE:
            judged.place[at] = AS_IT_IS
    return True


cdef size_t compact(Judged* judged, Batch batch) noexcept nogil:
    """Take dropped records and their rows out. Returns how many there were."""
    cdef size_t at, kept = 0
    for at in range(judged.count):
        if judged.place[at] == DROPPED:
            continue
        judged.place[kept] = judged.place[at]
        batch.records[kept] = batch.records[at]
        batch.records[kept].first_row = <uint32_t>kept
        batch.ts_ms[kept] = batch.ts_ms[at]
        batch.value[kept] = batch.value[at]
        kept += 1
    at = judged.count - kept
    batch.record_count = batch.rows = judged.count = kept
    return at


@cython.overflowcheck(False)    # a checked difference of pointers counts bytes
cdef Status labels_of_judged(void* codec, const Record* record, LabelList* out) noexcept nogil:
    """Labels as rules have left them; else those of the body, with the context's."""
    cdef const Judged* judged = <const Judged*>codec
    cdef size_t at = record - judged.records
    cdef Status status
    if judged.place[at] != AS_IT_IS:
        read_held(judged.held + judged.place[at], out)
        return OK
    status = labels_of_exposition(NULL, record, out)
    if status == OK:
        add_context(&judged.context, out)
    return status


# ---- Steps -----------------------------------------------------------------------------------------------------------

cdef inline void read_held(const uint8_t* at, LabelList* out) noexcept nogil:
    cdef Label label
    cdef uint32_t count = 0, index
    memcpy(&count, at, 4)
    at += 4
    for index in range(count):
        at = read_held_text(at, &label.name)
        at = read_held_text(at, &label.value)
        add_label(out, label)


cdef inline const uint8_t* read_held_text(const uint8_t* at, Text* out) noexcept nogil:
    memcpy(&out.size, at, 4)
    out.at = at + 4
    return out.at + out.size


cdef inline bint room_for(Judged* judged, size_t count) noexcept nogil:
    cdef void* grown
    if count <= judged.capacity:
        return True
    grown = realloc(judged.place, (count + count // 2) * sizeof(uint32_t))
    if grown == NULL:
        return False
    judged.place = <uint32_t*>grown
    judged.capacity = count + count // 2
    return True
