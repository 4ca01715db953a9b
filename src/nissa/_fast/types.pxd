# Words shared by the compiled modules: verdicts on bytes, reasons of refusal, and what a frame is walked into.
#
#   Status    what a step says of the bytes it read. A fault inside a record refuses the record (refusal_of in
#             batch.pxd); a fault outside of all records, and a limit that is passed, end the frame: nothing is kept.
#   Refusal   why one record is left out while the rest of its frame is kept. Numbers as in model/refusal.py.
#   Text      a run of bytes that somebody else owns. It never outlives the frame it points into.
#   Record    one appearance of a series in a frame.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum Status:
    OK = 0
    TRUNCATED = 1           # a field ends behind its message
    VARINT_TOO_LONG = 2     # more than 64 bits
    TAG_INVALID = 3         # field number 0, or a tag of more than 32 bits
    WIRE_TYPE_WRONG = 4     # a known field with another wire type than its own, or a group
    UTF8_INVALID = 5
    SYMBOL_OUT_OF_RANGE = 6
    SYMBOLS_ODD = 7         # label references come in pairs
    SYMBOL_FIRST = 8        # symbols[0] is the empty string
    COLUMNS_UNEVEN = 9      # parallel columns of different lengths
    TOO_MANY_SAMPLES = 10
    TOO_MANY_SERIES = 11
    NO_MEMORY = 12
    TIME_OVERFLOW = 13      # a timestamp that does not fit 64 bits of milliseconds
    RUNS_WRONG = 14         # run lengths of a columnar frame do not add up to its samples
    OTHER_VERSION = 15      # a request of the other version of remote write
    TOO_MANY_SYMBOLS = 16
    TOO_MANY_MESSAGES = 17
    ENCODING_FOREIGN = 18   # a payload with a content encoding inside a message
    LINE_INCOMPLETE = 19    # text: a line ends before its value
    NAME_WRONG = 20         # a name is empty or holds bytes that a name cannot hold
    LABELS_WRONG = 21       # labels or tags are not of the form of their language
    NUMBER_WRONG = 22       # a value is not a number
    TIME_WRONG = 23         # a timestamp is not a number
    LINE_TRAILING = 24      # a line goes on behind its timestamp
    COMMENT_WRONG = 25      # a HELP, TYPE, UNIT or EOF line is not of its form, or at the wrong place
    ENDING_WRONG = 26       # OpenMetrics ends with the line "# EOF"
    STRING_OPEN = 27        # a quoted string without its end
    FAMILY_WRONG = 28       # a sample that its metric family cannot have
    FIELD_TWICE = 29        # a field that may stand once stands twice
    VALUE_MISSING = 30      # a data point without a value
    NESTED_TOO_DEEP = 31    # values inside values inside values

cdef enum Refusal:
    NAME_MISSING = 0
    LABEL_NAME_EMPTY = 1
    LABEL_DUPLICATE = 2
    LABELS_TOO_MANY = 3
    LABEL_TOO_LONG = 4
    SERIES_LIMIT = 5
    TOO_OLD = 6
    TOO_NEW = 7
    HISTOGRAM_INVALID = 8
    MIXED_SERIES = 9
    RECORD_MALFORMED = 10   # its bytes are not of its form
    TEXT_NOT_UTF8 = 11
    REFERENCE_INVALID = 12  # references to symbols that do not exist, or not in pairs
    SERIES_EMPTY = 13
    ENCODING_UNSUPPORTED = 14
    VALUE_TEXT = 15         # a field of a line whose value is a string
    TEMPORALITY_UNSUPPORTED = 16    # OTLP: neither cumulative nor delta, or a delta that cannot be added up
    REFUSALS = 17           # how many there are; at most REFUSALS_MAX
    ADMITTED = 255

cdef enum:
    LABELS_MAX = 256        # labels one series may bring on the wire, before the configured limit is looked at
    SCRATCH_BYTES = 4096    # room for a metric name that has to be rewritten
    REFUSALS_MAX = 32
    CONTEXT_LABELS_MAX = 64 # model/context.py

cdef enum: SERIES_NONE = 0xFFFFFFFF

cdef struct Text:
    const uint8_t* at
    uint32_t size

cdef struct Label:
    Text name
    Text value

# The labels of one series, as a codec reads them out of a frame. Any order; not yet checked. All labels below count (at
# most LABELS_MAX of them) are set. A codec whose rewritten text does not fit the scratch sets scratch_used above
# SCRATCH_BYTES: too long.
cdef struct LabelList:
    uint32_t count
    Label label[LABELS_MAX]
    uint32_t scratch_used
    uint8_t scratch[SCRATCH_BYTES]

# Labels that the context of a frame adds (context.pxd). They point into bytes that the Batch holds.
cdef struct ContextLabels:
    uint32_t count
    Label label[CONTEXT_LABELS_MAX]
    uint8_t conflict[CONTEXT_LABELS_MAX]    # a Conflict
    Text hashed                             # all of the above as bytes

cdef struct Fingerprint:
    uint64_t low
    uint64_t high

# One appearance of a series in a frame: rows [first_row, first_row + rows) of the batch are its samples.
cdef struct Record:
    Fingerprint key         # keyed hash of the labels as they stand on the wire: names a raw form, not an identity
    const uint8_t* origin   # where the codec finds the labels again
    uint32_t origin_size
    uint32_t kind           # the codec's own; remote write: 0 floats, 1 histogram count, 2 histogram sum
    uint32_t first_row
    uint32_t rows
    uint32_t exemplars      # accepted with its series
    uint32_t series         # set by SeriesIndex.resolve: a series id, or SERIES_NONE
    uint8_t refusal         # set where series is SERIES_NONE and rows > 0
    uint8_t missed          # its raw form was not known: its labels have been read

# Reads the labels of a record again. Returns OK, or what is wrong with the bytes; LabelList.count is LABELS_MAX + 1 for
# too many.
ctypedef Status (*LabelsOf)(void* codec, const Record* record, LabelList* out) noexcept nogil
