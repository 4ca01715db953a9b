"""Writes rollups of the daemon every interval, and has the janitor run every hour, on worker threads.

every interval   the last ``silver.late``, and what was missed since the newest row: minutes from the tier of a
                 minute, hours from the coarsest tier with sketches that divides an hour
a flush that fails is repeated by the next one, which begins at the newest row
"""

import math
import secrets
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.alert import ALERT_NAME, Alert, AlertReceiver, AlertState, label_fingerprint
from nissa.model.allowance import Check
from nissa.model.ladder import SketchColumn, WindowBatch
from nissa.model.matcher import NAME_LABEL
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, SECOND_MS
from nissa.query.limits import Allowance, MemoryBudget
from nissa.rollup.exact import grouped_quantiles
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.windows import join_windows, take_windows
from nissa.series.select import select_any
from nissa.service.clock import monotonic_ms
from nissa.service.repeated_work import RepeatedWork
from nissa.store.read import Snapshot

if TYPE_CHECKING:
    from nissa.database.database import Database
    from nissa.tiers.janitor import Cleaned
    from nissa.tiers.silver import Rollup, RollupKey, SilverStore

CATCH_UP_MS: Final = {"minute": DAY_MS, "hour": 30 * DAY_MS}
PERCENTILES: Final = np.array([0.5, 0.9, 0.95, 0.99])
UNKNOWN: Final = (None,) * len(PERCENTILES)
SAMPLES_MAX: Final = 1_000_000  # read at once for the percentiles of minutes: 20 MB
COUNTED_SILVER: Final = ("flushes", "rows", "failures", "keys_left_out", "deleted")

log = structlog.get_logger()


class SilverTasks:
    """Rollups and janitor. Offers ``SilverControl``."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        database: "Callable[[], Database]",
        receiver: AlertReceiver,
        now_ms: Callable[[], int],
    ) -> None:
        """database: opens it; blocks. receiver: takes the alert of too many combinations. Raises: ConfigInvalid."""
        self._config, self._engine, self._settings = config, engine, config.silver
        self._database, self._receiver, self._now_ms = database, receiver, now_ms
        self._memory = MemoryBudget(config.api.queries_memory_bytes_max)
        self._owner = secrets.token_hex(8)
        self._counts = {**dict.fromkeys(COUNTED_SILVER, 0), "combinations": 0}
        self._repeated = (
            RepeatedWork("rollups", self.flush, lambda: self._settings.interval_ms, self._counts),
            RepeatedWork("deletions of rollups", self._tidy, lambda: self._settings.janitor_interval_ms, self._counts),
        )
        for metric in self._settings.metrics:
            read_selectors([metric.match])

    def start(self) -> None:
        """Begin, where metrics are configured."""
        if self._settings.metrics:
            for work in self._repeated:
                work.start()

    async def stop(self) -> None:
        """End; work under way ends first."""
        for work in self._repeated:
            await work.stop()

    def flush(self) -> None:
        """Write the rows that may have changed."""
        from nissa.tiers.silver import GRANULARITIES

        store, now_ms = self.silver(), self._now_ms()
        for granularity, length_ms in GRANULARITIES.items():
            oldest_ms = now_ms - CATCH_UP_MS[granularity]
            from_ms = min(now_ms - self._settings.late_ms, max(store.last_bucket_ms(granularity), oldest_ms))
            start_ms, end_ms = from_ms // length_ms * length_ms, now_ms // length_ms * length_ms + length_ms
            rows = self._rows(length_ms, start_ms, end_ms)
            store.replace(granularity, start_ms, end_ms, rows)
            self._counts["rows"] += len(rows)
        self._counts["flushes"] += 1

    def _rows(self, length_ms: int, start_ms: int, end_ms: int) -> "list[Rollup]":
        limits = self._settings.query_timeout_ms, self._config.api.query_memory_bytes_max, self._memory
        with Allowance(lambda: monotonic_ms() / SECOND_MS, *limits) as allowance:
            check = allowance.check
            with msgspec.structs.replace(self._engine.snapshot(), check=check) as snapshot:
                return self._read(snapshot, length_ms, (start_ms, end_ms), check)

    def _read(self, snapshot: Snapshot, length_ms: int, span_ms: tuple[int, int], check: Check) -> "list[Rollup]":
        tiers = [row.tier for row in snapshot.tiers]
        fits = [place for place, tier in enumerate(tiers) if length_ms % tier.interval_ms == 0]
        sketched = [place for place in fits if tiers[place].has_sketch]
        rows: list[Rollup] = []
        if not fits:
            return rows
        keys: dict[RollupKey, None] = {}
        for metric in self._settings.metrics:
            series = select_any(self._engine.index, read_selectors([metric.match]), check)
            named = self._keys(series.tolist(), metric.tags, keys)
            asked = WindowRequest(np.array(sorted(named), np.uint32), *span_ms, bool(sketched))
            gathered = Gathered(length_ms)
            for windows in read_windows(snapshot, (sketched or fits)[-1], asked):
                check()
                gathered.add(windows, named)
            found = gathered.rows()
            rows += found if sketched else _with_percentiles(snapshot, found, named, length_ms)
        return rows

    def _keys(self, series: list[int], tags: tuple[str, ...], keys: "dict[RollupKey, None]") -> "dict[int, RollupKey]":
        """The key of each series, but for those of keys over the limit. keys: of the whole flush."""
        from nissa.tiers.silver import RollupKey

        found: dict[int, RollupKey] = {}
        for number in series:
            labels = dict(self._engine.index.labels(number))
            service = next((labels[name] for name in self._settings.service_labels if labels.get(name)), "")
            kept = tuple((name, labels[name]) for name in sorted(tags) if labels.get(name))
            key = RollupKey(service, labels.get(NAME_LABEL, ""), kept)
            if key not in keys and len(keys) >= self._settings.keys_max:
                self._counts["keys_left_out"] += 1
                continue
            keys[key] = None
            found[number] = key
        return found

    def _tidy(self) -> None:
        found = self.tidy(dry=False)
        if found.combinations > self._settings.combinations_max:
            self._alert(found.combinations)

    def _alert(self, combinations: int) -> None:
        now_ms = self._now_ms()
        labels = {ALERT_NAME: "NissaSilverCombinations", "severity": "warning", "job": "nissa"}
        limit = self._settings.combinations_max
        summary = f"{combinations} combinations of tags are rolled up, more than {limit} (silver.combinations_max)"
        ends_ms = now_ms + 2 * self._settings.janitor_interval_ms
        place = (labels, {"summary": summary}, now_ms, ends_ms, now_ms, "", float(combinations), AlertState.FIRING)
        self._receiver.put([Alert(*place, label_fingerprint(labels), "silver")], now_ms)

    # ---- SilverControl ----

    def silver(self) -> "SilverStore":
        """Rollups; opens the database. Blocks. Raises: Unavailable."""
        from nissa.tiers.silver import SilverStore  # loads SQLAlchemy

        return SilverStore(self._database())

    def tidy(self, *, dry: bool) -> "Cleaned":
        """Have the janitor run, or say what it would delete. Blocks. Raises: Unavailable."""
        from nissa.tiers.janitor import Janitor

        own = self._settings
        janitor = Janitor(self._database(), self._owner, own.minutes_retention_ms, own.hours_retention_ms)
        found = janitor.run(self._now_ms(), dry=dry)
        self._counts["combinations"] = found.combinations
        if not dry:
            self._counts["deleted"] += found.minutes + found.hours
        return found

    def database(self) -> "Database":
        """The database of the system's configuration. Blocks. Raises: Unavailable."""
        return self._database()

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        return dict(self._counts)


class Gathered:
    """Windows of several series, added up by key and bucket: all of them in one sort, as keys are many."""

    def __init__(self, length_ms: int) -> None:
        """length_ms: of a bucket."""
        self._length_ms = length_ms
        self._parts: list[WindowBatch] = []
        self._numbers: dict[RollupKey, int] = {}
        self._keys: list[npt.NDArray[np.int64]] = []  # number of the key of each window of each part

    def add(self, windows: WindowBatch, named: "dict[int, RollupKey]") -> None:
        """Add windows, sorted by series and start."""
        filled = take_windows(windows, np.flatnonzero(windows.count > 0))
        if not len(filled):
            return
        series, places = np.unique(filled.series, return_inverse=True)
        numbers = [self._numbers.setdefault(named[one], len(self._numbers)) for one in series.tolist()]
        self._parts.append(filled)
        self._keys.append(np.array(numbers, np.int64)[places])

    def rows(self) -> "list[Rollup]":
        """A row for each key and bucket."""
        from nissa.tiers.silver import Rollup

        if not self._parts:
            return []
        keys, starts = np.concatenate(self._keys), np.concatenate([part.start_ms for part in self._parts])
        buckets = starts // self._length_ms
        order = np.lexsort((buckets, keys))
        keys, buckets = keys[order], buckets[order]
        firsts = np.flatnonzero(np.concatenate(([True], (np.diff(keys) != 0) | (np.diff(buckets) != 0))))

        def added(name: str, add: np.ufunc, kind: type = np.float64) -> list[Any]:
            column: npt.NDArray[Any] = np.concatenate([getattr(part, name) for part in self._parts]).astype(kind)
            found: list[Any] = add.reduceat(column[order], firsts).tolist()
            return found

        named = list(self._numbers)
        columns = (
            [named[number] for number in keys[firsts].tolist()],
            (buckets[firsts] * self._length_ms).tolist(),
            added("count", np.add, np.int64),
            map(_finite, added("sum", np.add)),
            map(_finite, added("min", np.minimum)),
            map(_finite, added("max", np.maximum)),
            self._percentiles(order, firsts),
        )
        return list(map(Rollup, *columns))

    def _percentiles(self, order: npt.NDArray[np.intp], firsts: npt.NDArray[np.intp]) -> list[tuple[float | None, ...]]:
        """Of each group of windows in this order; None where one of them has no sketch."""
        sketched = [part for part in self._parts if part.sketch is not None]
        if not sketched:
            return [UNKNOWN] * len(firsts)
        has = np.concatenate([np.full(len(part), part.sketch is not None) for part in self._parts])
        places = np.cumsum(has) - 1  # of the sketch of each window that has one
        whole = take_windows(join_windows(sketched), places[order][has[order]]).sketch
        before = np.concatenate(([0], np.cumsum(has[order])))
        found = []
        for first, last in pairwise([*firsts.tolist(), len(order)]):
            low, high = int(before[first]), int(before[last])
            is_whole = whole is not None and high - low == last - first
            found.append(_quantiles(whole, low, high) if whole is not None and is_whole else UNKNOWN)
        return found


def _quantiles(sketches: SketchColumn, low: int, high: int) -> tuple[float | None, ...]:
    """Of sketches [low, high) together."""
    from nissa._fast.sketch import Sketch

    merged, offsets = Sketch(), sketches.offsets[low : high + 1]
    merged.merge(offsets - offsets[0], sketches.data[offsets[0] : offsets[-1]])
    return tuple(map(_finite, merged.quantiles(PERCENTILES).tolist()))


def _with_percentiles(
    snapshot: Snapshot, rows: "list[Rollup]", named: "dict[int, RollupKey]", length_ms: int
) -> "list[Rollup]":
    """Rows with the percentiles of their samples, where all of them are retained: as many as the row has counted."""
    numbers = {key: number for number, key in enumerate({row.key: None for row in rows})}
    series = np.array(sorted(one for one, key in named.items() if key in numbers), np.uint32)
    groups = np.array([numbers[named[int(one)]] for one in series], np.int64)
    known: dict[tuple[int, int, int], tuple[float | None, ...]] = {}  # by key, bucket and number of samples
    for span_ms in _spans(rows, length_ms):
        exact = grouped_quantiles(snapshot, series, groups, span_ms, length_ms, PERCENTILES)
        cells = zip(exact.group.tolist(), exact.window_ms.tolist(), exact.count.tolist(), strict=True)
        known |= {cell: tuple(map(_finite, own)) for cell, own in zip(cells, exact.values.tolist(), strict=True)}
    return [
        msgspec.structs.replace(row, percentiles=known.get((numbers[row.key], row.bucket_ms, row.count), UNKNOWN))
        for row in rows
    ]


def _spans(rows: "list[Rollup]", length_ms: int) -> list[tuple[int, int]]:
    """Times of successive buckets with at most ``SAMPLES_MAX`` samples together; buckets with more are left out."""
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.bucket_ms] = counts.get(row.bucket_ms, 0) + row.count
    found: list[tuple[int, int]] = []
    samples = 0
    for bucket_ms, count in sorted(counts.items()):
        if count > SAMPLES_MAX:
            continue
        samples += count
        if found and found[-1][1] == bucket_ms and samples <= SAMPLES_MAX:
            found[-1] = found[-1][0], bucket_ms + length_ms
        else:
            found.append((bucket_ms, bucket_ms + length_ms))
            samples = count
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
