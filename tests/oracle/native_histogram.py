"""Slow obvious twin of the rules of native histograms: ``Validate`` of Prometheus, on Google's classes."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

INT64_MAX, UINT64_MAX = 2**63 - 1, 2**64 - 1


def is_sound(histogram: Any) -> bool:
    """True if a histogram is kept. Beyond Prometheus' rules counts are not negative, and sums fit 64 bits."""
    of_floats = histogram.WhichOneof("count") == "count_float"
    if of_floats and not histogram.count_float >= 0:
        return False
    positive = list(histogram.positive_counts) if of_floats else deltas(histogram.positive_deltas)
    negative = list(histogram.negative_counts) if of_floats else deltas(histogram.negative_deltas)
    if histogram.schema == -53:
        if not custom_is_sound(histogram, positive, negative):
            return False
    elif not exponential_is_sound(histogram, positive, negative):
        return False
    if of_floats:
        zero = histogram.zero_count_float if histogram.WhichOneof("zero_count") == "zero_count_float" else 0.0
        return all(not count < 0 for count in (*positive, *(() if histogram.schema == -53 else negative), zero))
    zero = histogram.zero_count_int if histogram.WhichOneof("zero_count") == "zero_count_int" else 0
    if any(not 0 <= count <= INT64_MAX for count in positive + negative):
        return False
    total = sum(positive) + sum(negative) + zero
    if total > UINT64_MAX:
        return False
    return total <= histogram.count_int if math.isnan(histogram.sum) else total == histogram.count_int


def deltas(some: Sequence[int]) -> list[int]:
    """Counts of buckets that are given as differences."""
    return list(accumulate(some))


def spans_fit(spans: Any, buckets: Sequence[float]) -> bool:
    """Spans cover the buckets and do not overlap."""
    return sum(span.length for span in spans) == len(buckets) and all(span.offset >= 0 for span in spans[1:])


def exponential_is_sound(histogram: Any, positive: Sequence[float], negative: Sequence[float]) -> bool:
    """The schema is known, there are no custom bounds, and spans cover the buckets of both sides."""
    if not -4 <= histogram.schema <= 8 or histogram.custom_values:
        return False
    return spans_fit(histogram.positive_spans, positive) and spans_fit(histogram.negative_spans, negative)


def custom_is_sound(histogram: Any, positive: Sequence[float], negative: Sequence[float]) -> bool:
    """Bounds increase and cover the spans; there is no zero bucket and no negative side."""
    bounds = list(histogram.custom_values)
    if any(math.isnan(bound) for bound in bounds) or any(left >= right for left, right in pairwise(bounds)):
        return False
    if bounds and bounds[-1] == math.inf:
        return False
    spans = histogram.positive_spans
    if any(span.offset < 0 for span in spans) or not spans_fit(spans, positive):
        return False
    if sum(span.offset + span.length for span in spans) > len(bounds) + 1:
        return False
    zero = histogram.zero_count_int or histogram.zero_count_float or histogram.zero_threshold
    return not zero and not histogram.negative_spans and not negative
