"""The expected result of a frame of packets, as plain values, and the rules for label sets in the series index."""

import struct
from collections import Counter
from typing import Any, NamedTuple

from oracle.wire import Refused, parse

Labels = tuple[tuple[str, str], ...]
LABELS_MAX = 64
NAME_BYTES_MAX = 1024
VALUE_BYTES_MAX = 65535


class Expected(NamedTuple):
    """samples: (labels, ts_ms, bits of the value) in order. refused: the reasons allowed, for each refused record."""

    samples: list[tuple[Labels, int, int]]
    refused: list[set[str]]
    events: list[dict[str, Any]]
    ignored: int


class Got(NamedTuple):
    """The same, as a decoder answered."""

    samples: list[tuple[Labels, int, int]]
    refused: Counter[str]
    events: list[dict[str, Any]]
    ignored: int


def got(batch: Any, index: Any, events: Any, ignored: int) -> Got:
    """The contents of a batch after a decoder has returned."""
    series, ts_ms, value = batch.columns()
    bits = [struct.unpack("<Q", struct.pack("<d", each))[0] for each in value]
    labels = [tuple(index.labels(int(each))) for each in series]
    rows = [] if events is None else [events.row(i) for i in range(len(events))]
    return Got(list(zip(labels, map(int, ts_ms), bits, strict=True)), Counter(batch.refused), rows, ignored)


def agree(expected: Expected, answer: Got) -> str:
    """Empty where both say the same; else the first difference in words."""
    if expected.samples != answer.samples:
        return f"samples: expected {expected.samples}, got {answer.samples}"
    if expected.events != answer.events:
        return f"events: expected {expected.events}, got {answer.events}"
    if expected.ignored != answer.ignored:
        return f"ignored: expected {expected.ignored}, got {answer.ignored}"
    if len(expected.refused) != answer.refused.total():
        return f"refused: expected {expected.refused}, got {answer.refused}"
    if not set(answer.refused) <= set().union(*expected.refused):
        return f"reasons: expected {expected.refused}, got {answer.refused}"
    return ""


def faults(labels: list[tuple[str, str]]) -> set[str]:
    """Every reason for which this label set may be refused; empty where it is sound."""
    out = set()
    present = [(name, value) for name, value in labels if value]
    names = [name for name, _ in present]
    if any(not name for name, _ in labels):
        out.add("label_name_empty")
    if "__name__" not in names:
        out.add("name_missing")
    if len(set(names)) < len(names):
        out.add("label_duplicate")
    if len(names) > LABELS_MAX:
        out.add("labels_too_many")
    if any(len(n.encode()) > NAME_BYTES_MAX or len(v.encode()) > VALUE_BYTES_MAX for n, v in present):
        out.add("label_too_long")
    return out


def sorted_labels(labels: list[tuple[str, str]]) -> Labels:
    """The identity of a sound label set: present labels by the bytes of their names."""
    return tuple(sorted(((name, value) for name, value in labels if value), key=lambda label: label[0].encode()))


def series_labels(name: str, own: list[tuple[str, str]], source: str) -> list[tuple[str, str]]:
    """Labels of a packet's metric: job and source unless the sender gave them, and the name with underscores."""
    names = [label for label, _ in own]
    defaults = [(label, value) for label, value in (("job", "nissa"), ("source", source)) if label not in names]
    if not name:
        own = [(label, "" if label == "__name__" else value) for label, value in own]
    return [*own, *defaults, ("__name__", name.replace(".", "_"))]


def parse_one(expected: Expected, message_class: Any, data: bytes) -> Any:
    """One record of a packet, or None where it is at fault: then it is refused alone."""
    try:
        return parse(message_class, data)
    except Refused as fault:
        expected.refused.append({fault.reason})
        return None


def sample(expected: Expected, labels: list[tuple[str, str]], ts_ms: int, bits: int) -> None:
    """Add one sample to the expected result, or its refusal."""
    wrong = faults(labels)
    if wrong:
        expected.refused.append(wrong)
    else:
        expected.samples.append((sorted_labels(labels), ts_ms, bits))
