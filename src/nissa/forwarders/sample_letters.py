"""Samples of requests as dead letters, and dead letters as requests again."""

from collections.abc import Iterator

import numpy as np

from nissa.forwarders.dead_letters import DeadLetter, RefusedSamples, value_of
from nissa.forwarders.portion import SinkRequest
from nissa.forwarders.sink_labels import SinkLabels, SinkRules


def request_of(letter: DeadLetter, rules: SinkRules) -> SinkRequest:
    """The samples of a letter. Raises: ValueError for an event, and for a letter that was edited by hand wrongly."""
    if not letter.samples:
        raise ValueError(f"the dead letter {letter.id} has no samples")
    labels = SinkLabels(None, rules, 1)
    labels.add(0, letter.labels)
    ts_ms = np.array([at for at, _ in letter.samples], np.int64)
    value = np.array([value_of(text) for _, text in letter.samples], np.float64)
    return SinkRequest(labels, np.zeros(len(ts_ms), np.uint32), ts_ms, value)


def refused_samples(rows: SinkRequest, reason: str) -> Iterator[RefusedSamples]:
    """Ordered rows as dead letters, one for each series."""
    first = 0
    while first < len(rows):
        series, end = rows.series[first], first + 1
        while end < len(rows) and rows.series[end] == series:
            end += 1
        words = [text.decode() for text in rows.labels.table.texts_of(int(series))]
        labels = dict(zip(words[::2], words[1::2], strict=True))
        yield RefusedSamples(labels, rows.ts_ms[first:end], rows.value[first:end], reason)
        first = end
