"""Why a record is refused. The numbers are those of ``_fast/types.pxd``; receipts and metrics say the words."""

from enum import IntEnum


class Refusal(IntEnum):
    """Reason of a refusal; ``str`` gives the word used in answers and as a metric label."""

    NAME_MISSING = 0  # no __name__ label, or an empty one
    LABEL_NAME_EMPTY = 1
    LABEL_DUPLICATE = 2
    LABELS_TOO_MANY = 3
    LABEL_TOO_LONG = 4
    SERIES_LIMIT = 5  # a new series while series.active_max are active
    TOO_OLD = 6  # before now - acceptance.past_ms
    TOO_NEW = 7  # after now + acceptance.future_ms
    HISTOGRAM_INVALID = 8
    MIXED_SERIES = 9  # floats and histograms in one remote write 2.0 series

    def __str__(self) -> str:
        return self.name.lower()
