"""Reasons for refusing a record. The numbers are those of ``_fast/types.pxd``; receipts and metrics have the words."""

from enum import IntEnum


class Refusal(IntEnum):
    """Reason of a refusal; ``str`` gives the word used in answers and as a metric label."""

    NAME_MISSING = 0  # no __name__ label, or an empty one
    LABEL_NAME_EMPTY = 1
    LABEL_DUPLICATE = 2
    LABELS_TOO_MANY = 3
    LABEL_TOO_LONG = 4
    SERIES_LIMIT = 5  # a new series while series.active_max are active
    TOO_OLD = 6  # before now - acceptance.past
    TOO_NEW = 7  # after now + acceptance.future
    HISTOGRAM_INVALID = 8  # its buckets do not fit its spans, count or schema
    MIXED_SERIES = 9  # floats and histograms in one remote write 2.0 series
    RECORD_MALFORMED = 10  # its bytes are not of its form, inside a frame whose framing is sound
    TEXT_NOT_UTF8 = 11
    REFERENCE_INVALID = 12  # references to symbols that do not exist, or not in pairs
    SERIES_EMPTY = 13  # a remote write 2.0 series without samples and histograms
    ENCODING_UNSUPPORTED = 14  # a compressed payload inside a message of a delimited body
    VALUE_TEXT = 15  # a string field of a line: no number
    TEMPORALITY_UNSUPPORTED = 16  # OTLP: neither cumulative nor delta, or a delta that cannot be added up

    def __str__(self) -> str:
        return self.name.lower()
