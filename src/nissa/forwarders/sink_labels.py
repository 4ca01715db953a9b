"""Labels of series as one sink gets them: chosen by matchers, with external labels, changed by rules.

    labels ──matchers──► external labels ──► write_relabel_configs ──► sorted, encoded, a shard by their hash
              │ none fits                     │ dropped
              └───────────────────────────────┴──► the series is not sent

Each series is judged once. For one thread.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from nissa._fast.series import SeriesIndex
from nissa._fast.sink_series import SinkSeries
from nissa.config.sinks import KafkaSink, RemoteWriteSink
from nissa.model.columns import Metadata, SeriesColumn
from nissa.model.matcher import NAME_LABEL, Selector
from nissa.model.predicate import takes
from nissa.model.relabel import Relabelling
from nissa.model.selector import read_selectors

METADATA_MAX: Final = 100_000  # metric names whose metadata is known; further ones are not sent with series
METRIC_TYPES: Final = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
FAMILY_SUFFIXES: Final = ("_bucket", "_count", "_sum")


class SinkRules:
    """Matchers, external labels and rules of one sink, compiled. none: True where every series is sent as it is."""

    def __init__(self, config: RemoteWriteSink | KafkaSink) -> None:
        """Raises: ConfigInvalid, BadQuery, ValueError; the check of the configuration has refused those before."""
        self._selectors: Sequence[Selector] = read_selectors(config.matchers) if config.matchers else ()
        self._relabelling = Relabelling(config.write_relabel_configs)
        self._external = dict(config.external_labels)
        self.none = not (self._selectors or self._relabelling or self._external)

    def applied(self, labels: dict[str, str]) -> dict[str, str] | None:
        """The labels that the sink gets; None where it does not get the series. ``labels`` may change."""
        if self._selectors and not any(_fits(selector, labels) for selector in self._selectors):
            return None
        for name, value in self._external.items():
            labels.setdefault(name, value)
        return self._relabelling.applied(labels) or None


def _fits(selector: Selector, labels: dict[str, str]) -> bool:
    return all(takes(matcher, labels.get(matcher.name, "")) for matcher in selector)


class SinkLabels:
    """Series of one index as the sink gets them. table: their encoded labels."""

    def __init__(self, index: SeriesIndex | None, rules: SinkRules, connections: int) -> None:
        """index: None where all series are added by hand. connections: series are shared out among so many shards."""
        self.index = index
        self.table = SinkSeries(connections)
        self._rules = rules
        self._connections = connections
        self._metadata: dict[str, Metadata] = {}
        self._changed: set[str] = set()

    def note(self, series: SeriesColumn) -> None:
        """Judge the series of these rows that are new."""
        if self.index is None:
            return
        for one in self.table.unknown(series).tolist():
            found = self._rules.applied(dict(self.index.labels(one)))
            if found is None:
                self.table.drop(one)
            else:
                self.add(one, found)

    def add(self, series: int, labels: Mapping[str, str]) -> None:
        """Send a series with these labels."""
        pairs = sorted((name.encode(), value.encode()) for name, value in labels.items())
        head = b"".join(_label(name, value) for name, value in pairs)
        shard = zlib.crc32(head) % self._connections
        self.table.add(series, head, [text for pair in pairs for text in pair], shard)
        self._describe(series, labels.get(NAME_LABEL, ""))

    def note_metadata(self, metadata: Sequence[Metadata]) -> list[Metadata]:
        """Remember metadata for series that come; returns new and changed metadata."""
        changed = [one for one in metadata if self._metadata.get(one.name) != one]
        for one in changed:
            if one.name in self._metadata or len(self._metadata) < METADATA_MAX:
                self._metadata[one.name] = one
                self._changed.add(one.name)
        return changed

    def describe_changed(self) -> None:
        """Give changed metadata to series that were there before it."""
        names, self._changed = self._changed, set()
        if not names or self.index is None:
            return
        names = {name + suffix for name in names for suffix in ("", *FAMILY_SUFFIXES)}
        wanted, name_symbol = np.zeros(self.index.symbol_count, np.uint8), self.index.symbol(NAME_LABEL)
        for symbol in self.index.values_of(name_symbol).tolist() if name_symbol >= 0 else ():
            wanted[symbol] = self.index.symbol_text(symbol) in names
        for series in self.index.filter([(name_symbol, wanted, False)]).tolist():
            if self.table.is_sent(series):
                words = self.table.texts_of(series)
                self._describe(series, dict(zip(words[::2], words[1::2], strict=True)).get(b"__name__", b"").decode())

    def _describe(self, series: int, metric: str) -> None:
        known = self._metadata
        about = known.get(metric)
        for suffix in FAMILY_SUFFIXES:
            if about is None and metric.endswith(suffix):
                about = known.get(metric.removesuffix(suffix))
        if about is not None:
            self.table.describe(series, metric_type(about.type), about.help.encode(), about.unit.encode())


def metric_type(word: str) -> int:
    """The number of a type in both versions of remote write."""
    return METRIC_TYPES.index(word) if word in METRIC_TYPES else 0


def metadata_fields(metadata: Sequence[Metadata]) -> bytes:
    """Fields ``metadata`` of a WriteRequest of 1.0."""
    return b"".join(
        proto_field(
            3,
            b"\x08%c" % metric_type(one.type)
            + proto_field(2, one.name.encode())
            + proto_field(4, one.help.encode())
            + proto_field(5, one.unit.encode()),
        )
        for one in metadata
    )


def _label(name: bytes, value: bytes) -> bytes:
    """labels=1 { name=1, value=2 }"""
    return proto_field(1, proto_field(1, name) + proto_field(2, value))


def proto_field(number: int, content: bytes) -> bytes:
    """A field of a length and bytes."""
    size, out = len(content), bytearray((number << 3 | 2,))
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + content
