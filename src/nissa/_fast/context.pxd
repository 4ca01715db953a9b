# Labels that the context of a frame adds to each of its series (model/context.py), and the rule for a label that the
# sender set too.
#
#   sender               context        RENAME                     KEEP          REPLACE
#   job="app" zone="a"   job="node"     job="node" zone="a"        job="app"     job="node"
#                                       exported_job="app"         zone="a"      zone="a"
#
# The cache keys of raw forms and the dedup keys of packets are chained with the hash of the context.

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from nissa._fast.batch cimport Batch
from nissa._fast.fields cimport add_label, same_bytes
from nissa._fast.hash cimport Secret, chain, hash_bytes
from nissa._fast.types cimport LABELS_MAX, SCRATCH_BYTES, ContextLabels, Fingerprint, LabelList, Text

cdef enum:
    DOMAIN_CONTEXT = 0x61   # name space of raw forms
    PREFIX_BYTES = 9

cdef enum Conflict:
    RENAME = 0              # the sender's label gets a prefix; more than one, until nothing else has that name
    KEEP = 1                # the sender's label stands, also an empty one, which removes the label
    REPLACE = 2


cdef inline Fingerprint context_key(const ContextLabels* context, const Secret* secret) noexcept nogil:
    return hash_bytes(secret, context.hashed.at, context.hashed.size, DOMAIN_CONTEXT)


cdef inline void chain_context(Batch batch, const Secret* secret) noexcept nogil:
    """Turn keys of raw forms, and of packets, into keys of the same in this context."""
    cdef Fingerprint key = context_key(&batch.context, secret)
    cdef size_t index
    for index in range(batch.record_count):
        chain(secret, &batch.records[index].key, &key)
    for index in range(batch.claim_count):
        chain(secret, &batch.dedup_keys[index].packet, &key)


cdef inline uint32_t place_of_name(const LabelList* labels, Text name) noexcept nogil:
    """Index of the first label of this name; the number of labels where there is none."""
    cdef uint32_t index
    for index in range(labels.count):
        if labels.label[index].name.size == name.size and same_bytes(labels.label[index].name, name):
            return index
    return labels.count


cdef inline bint is_in_context(const ContextLabels* context, Text name) noexcept nogil:
    cdef uint32_t index
    for index in range(context.count):
        if context.label[index].name.size == name.size and same_bytes(context.label[index].name, name):
            return True
    return False


cdef inline void rename_label(const ContextLabels* context, LabelList* labels, uint32_t place) noexcept nogil:
    """Put ``exported_`` in front of a label's name until it is a name of its own. Too long: scratch_used says so."""
    cdef Text name = labels.label[place].name
    cdef uint8_t* out
    while True:
        if name.size + PREFIX_BYTES > SCRATCH_BYTES - labels.scratch_used:
            labels.scratch_used = SCRATCH_BYTES + 1
            return
        out = labels.scratch + labels.scratch_used
        memcpy(out, b"exported_", PREFIX_BYTES)
        memcpy(out + PREFIX_BYTES, name.at, name.size)
        name.at = out
        name.size += PREFIX_BYTES
        labels.scratch_used += name.size
        if place_of_name(labels, name) == labels.count and not is_in_context(context, name):
            break
    labels.label[place].name = name


cdef inline void add_context(const ContextLabels* context, LabelList* labels) noexcept nogil:
    """Add the context's labels to those a codec read. Too many, or a name too long: as of the sender's own."""
    cdef uint32_t index, place
    for index in range(context.count):
        if labels.count > LABELS_MAX or labels.scratch_used > SCRATCH_BYTES:
            return
        place = place_of_name(labels, context.label[index].name)
        if place == labels.count:
            add_label(labels, context.label[index])
        elif context.conflict[index] == REPLACE or (context.conflict[index] == RENAME
                                                    and labels.label[place].value.size == 0):
            labels.label[place].value = context.label[index].value
        elif context.conflict[index] == RENAME:
            rename_label(context, labels, place)
            add_label(labels, context.label[index])
