"""StatsD with DogStatsD's tags: lines are aggregated in memory, and a flush gives bodies of remote write 1.0.

    lines ──► _fast/statsd (meters) ── flush, every interval ──► WriteRequest bodies ──► journal

    sent                 exposed                                                   type
    page.views:3|c       page_views_total                   cumulative             counter
    queue.depth:7|g      queue_depth                        the latest value       gauge
    users.seen:ann|s     users_seen                         distinct, in the interval   gauge
    api.time:12|ms       api_time_count, api_time_sum       cumulative, seconds    summary
                         api_time{quantile="0.5"} …         of the interval, within 1.1 %

Counters are cumulative: a new one begins with a sample of 0 at the start of its interval, so that ``increase`` sees
its first values too. A meter without lines for ``idle_ttl_ms`` is removed, and its series get staleness markers.
Characters of names other than letters, digits, ``_`` and ``:`` become ``_``.

Time is an argument. Events and service checks are stored as lines, for ``codec/statsd_events.py``.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from nissa._fast.statsd import Meters
from nissa._fast.write_request import series_body
from nissa._proto.remote_write_v1_pb2 import MetricMetadata, TimeSeries, WriteRequest
from nissa.model.columns import STALE_BITS

COUNTER: Final = 0
GAUGE: Final = 1
SET: Final = 2
OBSERVED: Final = 3

BODY_METERS_MAX: Final = 1_000  # of one body: it is made in 5 ms or so
_TYPES: Final = {COUNTER: "COUNTER", GAUGE: "GAUGE", SET: "GAUGE", OBSERVED: "SUMMARY"}
_STALE: Final = np.array([STALE_BITS], np.uint64).view(np.float64)[0]
_NAME: Final = re.compile(r"[^a-zA-Z0-9_:]")
_TAG: Final = re.compile(r"[^a-zA-Z0-9_]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

Identity = tuple[str, tuple[tuple[str, str], ...]]


class StatsdLimits(msgspec.Struct, frozen=True):
    """Bounds: meters, buckets of all sketches and members of all sets in an interval, events until they are taken."""

    meters_max: int = 100_000
    buckets_max: int = 4_000_000
    members_max: int = 1_000_000
    events_max: int = 10_000


class _Meter(msgspec.Struct, gc=False):
    """One meter. heads: labels of its series, encoded; begun: its first sample is out; shown: quantiles are out."""

    kind: int
    identity: Identity
    heads: list[bytes]
    touched_ms: int
    begun: bool = False
    shown: bool = False


class StatsdAggregate:
    """All that was received since the last flush, and the counters since the start. Not thread-safe."""

    def __init__(
        self, secret: bytes, limits: StatsdLimits, quantiles: Sequence[float], idle_ttl_ms: int, now_ms: int
    ) -> None:
        """secret: at least 32 random bytes. quantiles: 0 to 1, of timers. now_ms: when the first interval begins."""
        self._meters = Meters(secret, limits.meters_max, limits.buckets_max, limits.members_max)
        self._quantiles = tuple(quantiles)
        self._idle_ttl_ms = idle_ttl_ms
        self._events_max = limits.events_max
        self._meters_max = limits.meters_max
        self._by_identity: dict[Identity, int] = {}
        self._open: dict[int, _Meter] = {}
        self._free: list[int] = []
        self._described: set[str] = set()
        self._undescribed: list[tuple[str, int]] = []
        self._events: list[bytes] = []
        self._begin_ms = now_ms
        self.conflicting = 0
        self.over_limit = 0
        self.misnamed = 0
        self.events_dropped = 0

    def add(self, data: bytes | memoryview) -> list[bytes]:
        """Add lines, each with its line feed but the last. Returns the first malformed ones, at most 8."""
        return self._meters.add(data, self._meet, self._keep_event)

    def take_events(self) -> list[bytes]:
        """Lines of events and service checks since the last call."""
        events, self._events = self._events, []
        return events

    def flush(self, now_ms: int) -> Iterator[bytes]:
        """Bodies of remote write 1.0 with every meter as it is now, at ``now_ms``; begins a new interval.

        now_ms: Unix milliseconds. Where it is not after the last flush, it is made so by a millisecond. Each body has
        a slice of the meters, made when it is asked for; lines that are added meanwhile belong to the new interval.
        """
        meters = self._meters
        now_ms = max(now_ms, self._begin_ms + 1)
        quantiles = self._quantiles_by_meter()
        columns = (meters.touched.tolist(), meters.total.tolist(), meters.count.tolist())
        interval = _Interval(self._begin_ms, now_ms, *columns, quantiles)
        self._begin_ms = now_ms
        meters.flushed()
        return self._bodies(list(self._open.items()), interval)

    def facts(self) -> dict[str, int]:
        """Counts since the start."""
        meters = self._meters
        refused = meters.malformed + self.misnamed + self.conflicting + self.over_limit
        return {
            "lines": meters.lines,
            "lines_refused": refused,
            "lines_malformed": meters.malformed + self.misnamed,
            "lines_conflicting": self.conflicting,
            "lines_over_limit": self.over_limit,
            "meters": len(self._open),
            "values_unsketched": meters.unsketched + meters.uncounted,
            "events_dropped": self.events_dropped,
        }

    # Heads that are not known.

    def _meet(self, name: bytes, kind: int, tags: bytes) -> int:
        """The meter of a head; -1, and counted, where it can have none."""
        try:
            identity = identity_of(name, kind, tags)
        except ValueError:
            self.misnamed += 1
            return -1
        place = self._by_identity.get(identity)
        if place is not None:
            if self._open[place].kind == kind:
                return place
            self.conflicting += 1
            return -1
        if len(self._open) >= self._meters_max:
            self.over_limit += 1
            return -1
        place = self._free.pop() if self._free else len(self._open)
        self._meters.open_meter(place, kind)
        self._by_identity[identity] = place
        self._open[place] = _Meter(kind, identity, self._heads(identity, kind), self._begin_ms)
        if identity[0] not in self._described:
            self._described.add(identity[0])
            self._undescribed.append((identity[0], kind))
        return place

    def _keep_event(self, line: bytes) -> None:
        if len(self._events) < self._events_max:
            self._events.append(line)
        else:
            self.events_dropped += 1

    def _heads(self, identity: Identity, kind: int) -> list[bytes]:
        name, labels = identity
        if kind == COUNTER:
            return [_head(f"{name}_total", labels)]
        if kind != OBSERVED:
            return [_head(name, labels)]
        quantiles = [_head(name, (*labels, ("quantile", _shortest(each)))) for each in self._quantiles]
        return [_head(f"{name}_count", labels), _head(f"{name}_sum", labels), *quantiles]

    # Flushes.

    def _bodies(self, meters: list[tuple[int, _Meter]], interval: "_Interval") -> Iterator[bytes]:
        notes = self._notes()
        for first in range(0, len(meters), BODY_METERS_MAX):
            rows = _Rows()
            ended = []
            for place, meter in meters[first : first + BODY_METERS_MAX]:
                if interval.touched[place]:
                    meter.touched_ms = interval.now_ms
                elif interval.now_ms - meter.touched_ms > self._idle_ttl_ms:
                    ended.append(place)
                    rows.end(meter, interval.now_ms)
                    continue
                rows.put(place, meter, interval)
            yield notes + rows.body()
            notes = b""
            self._close(ended)

    def _quantiles_by_meter(self) -> dict[int, list[float]]:
        """Quantiles of each sketch: the bucket of the nearest rank, within the extremes of the interval."""
        meter, value, weight = self._meters.take_buckets()
        if not len(meter):
            return {}
        order = np.lexsort((value, meter))
        meter, value, weight = meter[order], value[order], weight[order]
        starts = np.flatnonzero(np.diff(meter, prepend=np.uint32(2**32 - 1)))
        ends = np.append(starts[1:], len(meter))
        summed = np.cumsum(weight)
        before = summed[starts] - weight[starts]
        wanted = np.array(self._quantiles)
        targets = before[:, None] + (summed[ends - 1] - before)[:, None] * wanted * (1 - 1e-12)
        ranks = np.clip(np.searchsorted(summed, targets), starts[:, None], ends[:, None] - 1)
        places = meter[starts]
        low, high = self._meters.low[places][:, None], self._meters.high[places][:, None]
        found = np.where(wanted == 1, high, np.clip(value[ranks], low, high))
        return dict(zip(places.tolist(), found.tolist(), strict=True))

    def _close(self, places: list[int]) -> None:
        free = [place for place in places if not self._meters.touched[place]]  # others have come again meanwhile
        if not free:
            return
        for place in free:
            del self._by_identity[self._open.pop(place).identity]
        self._free += free
        self._meters.close_meters(np.array(free, np.uint32))

    def _notes(self) -> bytes:
        """Metadata of names that are new since the last flush, encoded."""
        request = WriteRequest()
        for name, kind in self._undescribed:
            full = f"{name}_total" if kind == COUNTER else name
            request.metadata.append(MetricMetadata(type=_TYPES[kind], metric_family_name=full))
        self._undescribed = []
        return request.SerializeToString()


class _Interval(msgspec.Struct, frozen=True, gc=False):
    """Columns of the meters at a flush, by meter, and quantiles of those that have any."""

    begin_ms: int
    now_ms: int
    touched: list[int]
    total: list[float]
    count: list[float]
    quantiles: dict[int, list[float]]


class _Rows:
    """Samples of one body."""

    def __init__(self) -> None:
        self._heads: list[bytes] = []
        self._which: list[int] = []
        self._ts_ms: list[int] = []
        self._value: list[float] = []

    def put(self, place: int, meter: _Meter, interval: _Interval) -> None:
        """Samples of a meter that stays active."""
        first, now_ms = len(self._heads), interval.now_ms
        self._heads += meter.heads
        numbers = [interval.total[place]]
        if meter.kind == OBSERVED:
            numbers.insert(0, interval.count[place])
        if not meter.begun and meter.kind in (COUNTER, OBSERVED):
            for each in range(len(numbers)):
                self._row(first + each, interval.begin_ms, 0.0)
        meter.begun = True
        found = interval.quantiles.get(place)
        if found is not None:
            numbers += found
        elif meter.shown:
            numbers += [_STALE] * (len(meter.heads) - len(numbers))
        meter.shown = found is not None
        for each, number in enumerate(numbers):
            self._row(first + each, now_ms, number)

    def end(self, meter: _Meter, now_ms: int) -> None:
        """Staleness markers of a meter that ends."""
        first = len(self._heads)
        self._heads += meter.heads
        for each in range(2 if meter.kind == OBSERVED and not meter.shown else len(meter.heads)):
            self._row(first + each, now_ms, _STALE)

    def body(self) -> bytes:
        """The samples, encoded."""
        which, ts_ms = np.array(self._which, np.int64), np.array(self._ts_ms, np.int64)
        return series_body(self._heads, which, ts_ms, np.array(self._value, np.float64))

    def _row(self, head: int, at_ms: int, number: float) -> None:
        self._which.append(head)
        self._ts_ms.append(at_ms)
        self._value.append(number)


def identity_of(name: bytes, kind: int, tags: bytes) -> Identity:
    """Name without the suffix of its kind, and labels sorted by name; of a repeated tag the last.

    kind: 0 counter, 1 gauge, 2 set, 3 observed. Raises: ValueError for text that is not UTF-8, or has control
    characters in its name.
    """
    text = name.decode()
    if _CONTROL.search(text):
        raise ValueError("a name with control characters")
    text = _NAME.sub("_", text)
    text = text if not text[0].isdigit() else f"_{text}"
    labels: dict[str, str] = {}
    for tag in tags.decode().split(","):
        key, colon, value = tag.partition(":")
        if key:
            labels[label_of(key, kind)] = value if colon else "true"
    if kind == COUNTER:
        text = text.removesuffix("_total") or text
    return text, tuple(sorted((key, value) for key, value in labels.items() if value))


def label_of(tag: str, kind: int = GAUGE) -> str:
    """The label of a tag's name. One that the series has of its own gets ``exported_`` in front."""
    label = _TAG.sub("_", tag)
    if label[0].isdigit():
        label = f"_{label}"
    return f"exported_{label}" if label == "__name__" or (label == "quantile" and kind == OBSERVED) else label


def _head(name: str, labels: tuple[tuple[str, str], ...]) -> bytes:
    series = TimeSeries()
    for key, value in sorted((("__name__", name), *labels)):
        series.labels.add(name=key, value=value)
    return series.SerializeToString()


def _shortest(quantile: float) -> str:
    return f"{quantile:g}"
