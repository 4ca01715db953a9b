"""The labels that a frame's context adds, as the decoders see them.

    rules    (name, value, conflict) …  ──►  bytes  conflict │ length │ name │ length │ value …    kept by the Batch
                                                                     ▲             ▲
                                             Labels ─────────────────┴─────────────┘

What is done with them is written in ``context.pxd``.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from nissa._fast.batch cimport Batch
from nissa._fast.context cimport KEEP, RENAME, REPLACE
from nissa._fast.types cimport CONTEXT_LABELS_MAX, ContextLabels


# ---- Boundary --------------------------------------------------------------------------------------------------------

def set_context(Batch batch not None, rules not None):
    """Set the labels that are added to every series of the frames decoded into ``batch`` from now on.

    rules: (name, value, conflict) of each label, as ``model.context.Context.rules`` gives them; none at all: frames
    without a context. Raises: ValueError for more than 64 of them, or an unknown conflict. Cost: 1 µs per label.
    """
    cdef ContextLabels* context = &batch.context
    cdef uint32_t index, at = 0
    cdef bytes data
    cdef list sizes = []
    cdef const uint8_t* text
    memset(context, 0, sizeof(ContextLabels))
    batch.context_bytes = b""
    if not rules:
        return
    if len(rules) > <Py_ssize_t>CONTEXT_LABELS_MAX:
        raise ValueError(f"a context with {len(rules)} labels; at most {CONTEXT_LABELS_MAX}")
    conflicts = [number_of(conflict) for _, _, conflict in rules]
    pieces = []
    for (name, value, _), number in zip(rules, conflicts):
        name_bytes, value_bytes = name.encode(), value.encode()
        sizes.append((len(name_bytes), len(value_bytes)))
        pieces += [bytes([number]), len(name_bytes).to_bytes(4, "little"), name_bytes,
                   len(value_bytes).to_bytes(4, "little"), value_bytes]
    data = b"".join(pieces)
    batch.context_bytes = data
    text = <const uint8_t*><const char*>data
    for index in range(<uint32_t>len(sizes)):
        name_size, value_size = sizes[index]
        context.conflict[index] = <uint8_t>conflicts[index]
        context.label[index].name.at = text + at + 5
        context.label[index].name.size = name_size
        at += 5 + context.label[index].name.size
        context.label[index].value.at = text + at + 4
        context.label[index].value.size = value_size
        at += 4 + context.label[index].value.size
    context.hashed.at = text
    context.hashed.size = at
    context.count = <uint32_t>len(sizes)


cdef int number_of(conflict) except -1:
    if conflict == "rename":
        return <int>RENAME
    if conflict == "keep":
        return <int>KEEP
    if conflict == "replace":
        return <int>REPLACE
    raise ValueError(f"no such conflict rule: {conflict!r}")
