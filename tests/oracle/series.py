"""Slow obvious twin of the series index: label sets in a dictionary, and the rules of admission in their order.

A label set is judged in the order of the wire, and the first rule it breaks is the reason told:
more than 256 labels; an empty name; (an empty value: the label is absent); a name or value too long; more labels than
the limit; a name twice; at the end, no ``__name__``.
"""

from typing import NamedTuple

LABELS_WIRE_MAX = 256
SCRATCH_BYTES = 4096
Labels = tuple[tuple[str, str], ...]


class Limits(NamedTuple):
    """Limits of a series index."""

    active_max: int = 1_000_000
    labels_max: int = 64
    name_bytes_max: int = 1024
    value_bytes_max: int = 65535


class Record:
    """One appearance of a series in a frame. rows: (ts_ms, bits). kind: 0 floats, 1 counts, 2 sums of histograms."""

    def __init__(
        self, labels: list[tuple[str, str]], rows: list[tuple[int, int]], kind: int = 0, refusal: str | None = None
    ) -> None:
        self.labels = labels
        self.rows = rows
        self.kind = kind
        self.refusal = refusal
        self.series: int | None = None
        self.exemplars = 0
        self.starts: list[int] = []


class IndexTwin:
    """Ids by label set, and the minute each series was last seen (0: idle)."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.ids: dict[Labels, int] = {}
        self.series: list[Labels] = []
        self.seen: list[int] = []
        self.starts: dict[int, int] = {}

    @property
    def active_count(self) -> int:
        return sum(minute > 0 for minute in self.seen)

    @property
    def symbol_count(self) -> int:
        return len({text for labels in self.series for pair in labels for text in pair})

    def resolve(self, records: list[Record], minute: int, admit_max: int) -> int:
        """Give each record its series or its refusal. Returns how many series were new or came back from being idle."""
        new = 0
        for record in records:
            if record.refusal is None:
                record.refusal = judge(record.labels, self.limits)
        for record in records:
            if record.refusal is not None:
                continue
            labels = identity(record.labels)
            series = self.ids.get(labels)
            if series is None or self.seen[series] == 0:
                if new >= admit_max:
                    record.refusal = "series_limit"
                    continue
                new += 1
            if series is None:
                series = self.ids[labels] = len(self.series)
                self.series.append(labels)
                self.seen.append(minute)
            self.seen[series] = minute
            record.series = series
        return new

    def sweep(self, oldest_minute: int) -> int:
        idle = [series for series, minute in enumerate(self.seen) if 0 < minute < oldest_minute]
        for series in idle:
            self.seen[series] = 0
        return len(idle)


def judge(labels: list[tuple[str, str]], limits: Limits) -> str | None:
    """Why this label set is refused, or None."""
    if len(labels) > LABELS_WIRE_MAX:
        return "labels_too_many"
    names: set[str] = set()
    for name, value in labels:
        if not name:
            return "label_name_empty"
        if not value:
            continue
        if len(name.encode()) > limits.name_bytes_max or len(value.encode()) > limits.value_bytes_max:
            return "label_too_long"
        if len(names) == limits.labels_max:
            return "labels_too_many"
        if name in names:
            return "label_duplicate"
        names.add(name)
    return None if "__name__" in names else "name_missing"


def identity(labels: list[tuple[str, str]]) -> Labels:
    """Labels that are present, sorted by the bytes of their names."""
    return tuple(sorted(((name, value) for name, value in labels if value), key=lambda label: label[0].encode()))
