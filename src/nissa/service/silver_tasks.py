"""Writes rollups of the daemon every interval, and has the janitor run every hour, on worker threads.

every interval   the last ``silver.late``, and what was missed since the newest row: minutes from the tier of a
                 minute, hours from the coarsest tier with sketches that divides an hour
                 then older times that imports have changed, hours first

Only rows that differ from those written before go to the database. A flush that fails is repeated by the next one,
which begins at the newest row. Which imports are taken is known while the process runs: after a start those that still
have their blocks are taken again, which changes nothing where nothing is new.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import structlog

from nissa.config.tree import Config
from nissa.files.names import IMPORT_KIND
from nissa.ingest.engine import Engine
from nissa.model.alert import ALERT_NAME, Alert, AlertReceiver, AlertState, label_fingerprint
from nissa.model.allowance import Check
from nissa.model.matcher import NAME_LABEL
from nissa.model.selector import read_selectors
from nissa.model.units import DAY_MS, HOUR_MS, SECOND_MS
from nissa.query.limits import Allowance, MemoryBudget
from nissa.rollup.exact import grouped_quantiles
from nissa.rollup.read import WindowRequest, read_windows
from nissa.series.select import select_any
from nissa.service.clock import monotonic_ms
from nissa.service.repeated_work import RepeatedWork
from nissa.store.import_blocks import FOLDED
from nissa.store.read import Snapshot
from nissa.tiers.rollup_rows import (
    GRANULARITIES,
    PERCENTILES,
    Gathered,
    RollupKey,
    RollupRows,
    WrittenRows,
    with_percentiles,
)

if TYPE_CHECKING:
    from nissa.database.database import Database
    from nissa.tiers.janitor import Cleaned, Janitor
    from nissa.tiers.silver import SilverStore

CATCH_UP_MS: Final = {"minute": DAY_MS, "hour": 30 * DAY_MS}
PIECE_MS: Final = {"minute": HOUR_MS, "hour": DAY_MS}  # read and written at once
PIECES_MAX: Final = 100  # of times of imports, in one flush; those without rows do not count
SAMPLES_MAX: Final = 1_000_000  # read at once for the percentiles of minutes: 20 MB
COUNTED_SILVER: Final = ("flushes", "rows", "failures", "keys_left_out", "deleted")
Layers = list[dict[int, RollupKey]]  # the key of each series; a further one where it has several

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
        self._written = {name: WrittenRows(self._settings.compared_rows_max) for name in GRANULARITIES}
        self._imports = set[int]()  # blocks whose times are in ``_due``, or written
        self._due: dict[str, set[int]] = {name: set() for name in GRANULARITIES}  # begins of pieces
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
        """Write the rows that may have changed, then those that imports have changed."""
        store, now_ms = self.silver(), self._now_ms()
        keys = self._keys()
        starts_ms = {}
        for granularity, length_ms in GRANULARITIES.items():
            written = self._written[granularity]
            newest_ms, oldest_ms = store.last_bucket_ms(granularity), now_ms - CATCH_UP_MS[granularity]
            if newest_ms != written.newest_ms:
                written.forget()  # the database is another one, or was restored
            from_ms = min(now_ms - self._settings.late_ms, max(newest_ms, oldest_ms))
            start_ms, end_ms = from_ms // length_ms * length_ms, now_ms // length_ms * length_ms + length_ms
            starts_ms[granularity] = start_ms
            written.forget_before(start_ms)
            for span_ms in _pieces(start_ms, end_ms, PIECE_MS[granularity]):
                self._replace(store, granularity, span_ms, self._rows(keys, length_ms, span_ms))
        self._counts["flushes"] += 1
        self._take_imports(store, keys, starts_ms, now_ms)

    def _replace(self, store: "SilverStore", granularity: str, span_ms: tuple[int, int], rows: RollupRows) -> None:
        written = self._written[granularity]
        changes = written.changes(rows, *span_ms)
        try:
            store.write(granularity, changes)
        except BaseException:  # raised again; it may have been committed
            written.forget()
            raise
        written.note(rows, *span_ms)
        self._counts["rows"] += len(changes.added) + len(changes.changed)

    def _take_imports(self, store: "SilverStore", keys: Layers, until_ms: dict[str, int], now_ms: int) -> None:
        """Rows of times that imports have changed, older than those that each flush writes."""
        with self._engine.snapshot() as snapshot:
            blocks = [block for block in snapshot.blocks if block.kind == IMPORT_KIND and block.level >= FOLDED]
        folded = {block.id: block for block in blocks}
        fresh = [(block.min_ms, block.max_ms + 1) for number, block in folded.items() if number not in self._imports]
        if fresh:
            ages_ms = self._janitor().ages_ms()
            for granularity, due in self._due.items():
                oldest_ms, length_ms = now_ms - ages_ms[granularity], PIECE_MS[granularity]
                for first_ms, end_ms in fresh:
                    due.update(range(max(first_ms, oldest_ms) // length_ms * length_ms, end_ms, length_ms))
        self._imports = set(folded)
        left = PIECES_MAX
        for granularity in ("hour", "minute"):
            due, length_ms = self._due[granularity], PIECE_MS[granularity]
            for first_ms in sorted(due, reverse=True):
                if not left:
                    return
                span_ms = first_ms, min(first_ms + length_ms, until_ms[granularity])
                if span_ms[0] < span_ms[1]:
                    left -= self._amend(store, granularity, self._rows(keys, GRANULARITIES[granularity], span_ms))
                due.discard(first_ms)

    def _amend(self, store: "SilverStore", granularity: str, rows: RollupRows) -> bool:
        """Returns: whether there are any."""
        if len(rows):
            store.amend(granularity, rows.taken(np.arange(len(rows))))
            self._counts["rows"] += len(rows)
        return len(rows) > 0

    def _rows(self, keys: Layers, length_ms: int, span_ms: tuple[int, int]) -> RollupRows:
        limits = self._settings.query_timeout_ms, self._config.api.query_memory_bytes_max, self._memory
        with Allowance(lambda: monotonic_ms() / SECOND_MS, *limits) as allowance:
            check = allowance.check
            with msgspec.structs.replace(self._engine.snapshot(), check=check) as snapshot:
                return _read(snapshot, keys, length_ms, span_ms, check)

    def _keys(self) -> Layers:
        """The keys of each series, in layers of one key a series at most. Keys over the limit are left out."""
        found: dict[int, dict[RollupKey, None]] = {}
        keys: dict[RollupKey, None] = {}
        limits = self._settings.query_timeout_ms, self._config.api.query_memory_bytes_max, self._memory
        with Allowance(lambda: monotonic_ms() / SECOND_MS, *limits) as allowance:
            for metric in self._settings.metrics:
                series = select_any(self._engine.index, read_selectors([metric.match]), allowance.check)
                for number in series.tolist():
                    key = self._key(number, metric.tags)
                    if key not in keys and len(keys) >= self._settings.keys_max:
                        self._counts["keys_left_out"] += 1
                        continue
                    keys[key] = None
                    found.setdefault(number, {})[key] = None
        layers: Layers = []
        for number, own in found.items():
            for place, key in enumerate(own):
                if place == len(layers):
                    layers.append({})
                layers[place][number] = key
        return layers

    def _key(self, series: int, tags: tuple[str, ...]) -> RollupKey:
        labels = dict(self._engine.index.labels(series))
        service = next((labels[name] for name in self._settings.service_labels if labels.get(name)), "")
        kept = tuple((name, labels[name]) for name in sorted(tags) if labels.get(name))
        return RollupKey(service, labels.get(NAME_LABEL, ""), kept)

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

    def _janitor(self) -> "Janitor":
        from nissa.tiers.janitor import Janitor

        own = self._settings
        return Janitor(self._database(), self._owner, own.minutes_retention_ms, own.hours_retention_ms)

    # ---- SilverControl ----

    def silver(self) -> "SilverStore":
        """Rollups; opens the database. Blocks. Raises: Unavailable."""
        from nissa.tiers.silver import SilverStore  # loads SQLAlchemy

        return SilverStore(self._database())

    def tidy(self, *, dry: bool) -> "Cleaned":
        """Have the janitor run, or say what it would delete. Blocks. Raises: Unavailable."""
        found = self._janitor().run(self._now_ms(), dry=dry)
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


def _pieces(start_ms: int, end_ms: int, length_ms: int) -> list[tuple[int, int]]:
    """Parts of a span between multiples of a length, the oldest first."""
    firsts = range(start_ms // length_ms * length_ms, end_ms, length_ms)
    return [(max(first, start_ms), min(first + length_ms, end_ms)) for first in firsts]


def _read(snapshot: Snapshot, layers: Layers, length_ms: int, span_ms: tuple[int, int], check: Check) -> RollupRows:
    """Rows of the windows of a span, of whole buckets."""
    tiers = [row.tier for row in snapshot.tiers]
    fits = [place for place, tier in enumerate(tiers) if length_ms % tier.interval_ms == 0]
    sketched = [place for place in fits if tiers[place].has_sketch]
    gathered = Gathered(length_ms)
    for named in layers if fits else ():
        asked = WindowRequest(np.array(sorted(named), np.uint32), *span_ms, bool(sketched))
        for windows in read_windows(snapshot, (sketched or fits)[-1], asked):
            check()
            gathered.add(windows, named)
    rows = gathered.rows()
    for named in () if sketched else layers:
        rows = _percentiles_of_samples(snapshot, rows, named, length_ms)
    return rows


def _percentiles_of_samples(
    snapshot: Snapshot, rows: RollupRows, named: dict[int, RollupKey], length_ms: int
) -> RollupRows:
    """Rows with the percentiles of their samples, where all of them are retained."""
    places = {key: place for place, key in enumerate(rows.keys)}
    series = np.array(sorted(one for one, key in named.items() if key in places), np.uint32)
    groups = np.array([places[named[one]] for one in series.tolist()], np.int64)
    for span_ms in _spans(rows, length_ms):
        exact = grouped_quantiles(snapshot, series, groups, span_ms, length_ms, PERCENTILES)
        rows = with_percentiles(rows, exact)
    return rows


def _spans(rows: RollupRows, length_ms: int) -> list[tuple[int, int]]:
    """Times of successive buckets with at most ``SAMPLES_MAX`` samples together; buckets with more are left out."""
    buckets, places = np.unique(rows.bucket_ms, return_inverse=True)
    counts = np.zeros(len(buckets), np.int64)
    np.add.at(counts, places, rows.count)
    found: list[tuple[int, int]] = []
    samples = 0
    for bucket_ms, count in zip(buckets.tolist(), counts.tolist(), strict=True):
        if count > SAMPLES_MAX:
            continue
        samples += count
        if found and found[-1][1] == bucket_ms and samples <= SAMPLES_MAX:
            found[-1] = found[-1][0], bucket_ms + length_ms
        else:
            found.append((bucket_ms, bucket_ms + length_ms))
            samples = count
    return found
