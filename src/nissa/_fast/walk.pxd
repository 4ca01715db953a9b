# What a body of packets is walked into beside the batch: its packets, and its events.
#
# Everything here points into the body and is gone with it; take_all copies events out before that.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from nissa._fast.batch cimport Batch, Note
from nissa._fast.hash cimport Secret
from nissa._fast.series cimport SeriesIndex
from nissa._fast.types cimport Fingerprint, Label, LabelList, LabelsOf, Record, Status, Text

# One packet of a body. Packets stand in the order of their addresses, so a record finds its packet by its own.
cdef struct Packet:
    const uint8_t* end
    Text source
    Text packet_id
    Fingerprint source_key  # hash of source: where the raw key of each of its series begins
    int64_t time_ms
    uint64_t epoch
    Text request_id
    size_t first_symbol     # of batch.symbols

cdef struct Event:
    Text source
    Text event_id
    Text description
    Text packet_id
    int64_t time_ms
    size_t first_attribute
    uint32_t attribute_count
    uint8_t level

cdef struct Walk:
    const Secret* secret
    int64_t received_ms     # what stands for a time that is absent
    size_t events_max
    # packets
    Packet* packets
    size_t packet_count
    size_t packet_capacity
    # events and all their attributes
    Event* events
    size_t event_count
    size_t event_capacity
    Label* attributes
    size_t attribute_count
    size_t attribute_capacity
    # whether a claim stands for the packet under way
    bint claimed
    # messages that were accepted and not read
    size_t ignored
    # the content encoding of a payload inside a message, where it is one that is not undone
    Text foreign_encoding
    # symbols of the batch, for the codec's labels_of
    const Text* symbols
    # columns that came in pieces, joined
    uint8_t* joined
    size_t joined_capacity

# The parts in which the languages of packets differ.
cdef struct Language:
    Status (*walk_message)(Walk* walk, Batch batch, Text message, int codec) noexcept nogil
    LabelsOf labels_of
    # the metadata that a sound record brings; False where it brings none
    bint (*note_of)(Walk* walk, Batch batch, const Record* record, Note* out) noexcept nogil

# phases: begin_walk → walk_body (push_*, claims) → take_all → end_walk
cdef void begin_walk(Walk* walk, const Secret* secret, int64_t received_ms, size_t events_max) noexcept nogil
cdef void walk_body(Walk* walk, Batch batch, SeriesIndex index, Text body, const Language* language, int codec,
                    bint delimited, uint32_t minute, size_t admit_max) noexcept nogil
cdef Status push_packet(Walk* walk, Text message, Packet** out) noexcept nogil
cdef Status push_event(Walk* walk, const Packet* packet, Event** out) noexcept nogil
cdef Status push_attribute(Walk* walk, Label attribute) noexcept nogil
cdef Status begin_claim(Walk* walk, Batch batch, const Packet* packet, size_t* number) noexcept nogil
cdef void end_claim(Walk* walk, Batch batch, size_t number) noexcept nogil
cdef Status claim_request(Walk* walk, Batch batch, uint64_t epoch, Text request_id, uint32_t kind) noexcept nogil
cdef const Packet* packet_of(const Walk* walk, const uint8_t* at) noexcept nogil
cdef void drop_event(Walk* walk) noexcept nogil
cdef void end_walk(Walk* walk) noexcept nogil
cdef void add_origin(LabelList* labels, const Packet* packet, Text name) noexcept nogil
cdef take_all(const Walk* walk, Batch batch, const uint8_t* body, LabelsOf labels_of)


cdef inline void drop_packet(Walk* walk) noexcept nogil:
    """Forget the packet pushed last: no record lies in it. A body of empty ones must not cost 100 bytes for each."""
    walk.packet_count -= 1


cdef inline uint32_t note_type(uint32_t metric_type) noexcept nogil:
    """The MetricType of nissa.v2 as a Note's, whose numbers are those of remote write."""
    return 5 if metric_type == 4 else metric_type
