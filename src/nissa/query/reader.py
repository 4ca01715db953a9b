"""A data directory read from Python, also while a daemon writes it.

    with nissa.open("nissa-data") as data:
        samples = data.samples('up{job="api"}', start="2024-11-21T00:00:00Z")
        samples.to_pandas()
        polars.from_arrow(samples)
        duckdb.sql("select name, avg(value) from samples group by name")

A Reader shows the directory as it was when it was opened or last refreshed. The daemon may replace and delete files
under it; a read that misses one refreshes and begins again. How the directory is loaded is given from outside
(``Load``): it takes rooms that queries know nothing of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

import msgspec
import numpy as np

from nissa.catalogue.catalogue import Catalogue
from nissa.files.checked_file import FileGone
from nissa.files.names import RAW_KIND
from nissa.model.allowance import Check, no_check
from nissa.model.columns import Metadata, SampleBatch
from nissa.model.counters import Counters
from nissa.model.errors import BadQuery, Damaged
from nissa.model.ladder import AUTO, RAW
from nissa.model.matcher import Selector
from nissa.model.selector import read_selectors
from nissa.model.status import Status
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.stored import StoredSource
from nissa.promql.tables import answer_table
from nissa.promql.values import QueryResult
from nissa.query.backend import Backend, IndexView
from nissa.query.events import EventPage, EventRequest, read_event_table, read_levels, read_page
from nissa.query.export import OnDamage, stream_series
from nissa.query.export_form import read_form, write_form
from nissa.query.files import matched_files
from nissa.query.json_lines import Stale, read_stale
from nissa.query.resolution import WindowSelection, read_selected
from nissa.query.series_answers import SeriesRequest, label_names, label_sets, label_values, matched_series
from nissa.query.tables import sample_record_batch, table_schema
from nissa.query.times import read_moment, read_range, read_step
from nissa.query.window_tables import window_chunks, window_table
from nissa.query.windows import Part, stream_window_parts
from nissa.series.select import select_any
from nissa.store.event_runs import EventSnapshot
from nissa.store.gone import ATTEMPTS_MAX, read_again
from nissa.store.read import Snapshot, head_range_ms

if TYPE_CHECKING:
    import pyarrow as pa

Load = Callable[[], Backend]
Time = str | float | datetime | None
Result = TypeVar("Result")

WANTED_RAW = WindowSelection()
SAMPLES_LOOKED_AT_MAX = 50_000_000
COLUMNS = frozenset({"name", "labels", "timestamp", "value"})


class Reader:
    """Questions to one data directory. It is a ``Backend`` too. Not to be used from several threads at once."""

    def __init__(self, load: Load, now_ms: Callable[[], int], check: Check = no_check) -> None:
        """load: reads the directory anew and gives what is in it. now_ms: the wall clock, for relative times.

        check: called by every loop of a question, with the bytes it takes; what it raises ends the question.
        """
        self._load = load
        self._now_ms = now_ms
        self._check = check
        self._view = load()

    # ---- questions ----

    def samples(
        self,
        matchers: str | Iterable[str],
        start: Time = None,
        end: Time = None,
        *,
        label_columns: Sequence[str] = (),
        resolution: str = RAW,
        step: str = "",
        quantiles: Iterable[float] = (),
        on_damage: OnDamage | None = None,
    ) -> "pa.Table":
        """Samples as an Arrow table with the columns name, labels (JSON), timestamp and value (``query/tables.py``).

        matchers: one selector or several, whose series are united. start, end: RFC 3339 text, a date, Unix seconds, an
        aware datetime, or relative to now, such as ``-1h``; both are inside the range. label_columns: labels to give as
        columns of their own, null where missing.
        resolution: ``raw``; a tier such as ``5m`` gives windows with the columns of ``query/window_tables.py``;
        ``auto`` the coarsest tier that serves ``step``, a duration such as ``5m``. quantiles: 0.5, 0.95 and 0.99 where
        none are given.
        on_damage: called with each damaged file, and the rest is read; without it the first damage is raised.
        Rows are sorted by series and time; where ``auto`` had to stitch, coarser windows stand first.
        Raises: BadQuery, Damaged.
        """
        import pyarrow as pa  # heavy, and not needed for receiving

        if taken := COLUMNS.intersection(label_columns):
            raise BadQuery(f"label_columns: {', '.join(sorted(taken))} would appear twice")
        wanted = read_selected(resolution, step, ",".join(map(str, quantiles)))
        if not wanted.is_raw:
            windows = self._parts(matchers, (start, end), wanted, on_damage)
            return window_table(self.index, windows, wanted, label_columns)
        batches = self.batches(matchers, start, end, on_damage=on_damage)
        parts = [sample_record_batch(self.index, batch, label_columns) for batch in batches]
        return pa.Table.from_batches(parts, table_schema(label_columns)).unify_dictionaries()

    def query(self, expression: str, time: Time = None, *, resolution: str = AUTO) -> "pa.Table":
        """The answer to a PromQL expression at one time as an Arrow table (``promql/tables.py``).

        time: as start of ``samples``; where none is given, that of the newest sample. resolution: ``raw``, a tier such
        as ``5m``, or ``auto``: samples while they are retained, and tiers before that (docs/promql.md).
        Raises: BadQuery, ExecutionFailed, Damaged.
        """
        return answer_table(self.answer(expression, time, resolution=resolution))

    def query_range(
        self, expression: str, start: Time, end: Time, step: str | float, *, resolution: str = AUTO
    ) -> "pa.Table":
        """The answer to a PromQL expression at start, start + step … up to end, as an Arrow table.

        start, end: times as in ``samples``, both needed. step: seconds, or a duration such as ``5m``.
        resolution: as for ``query``. Columns: name, labels (JSON), timestamp and value, a row for each series and step
        that has one; warnings and the resolutions read are the table's metadata (``promql/tables.py``).
        Raises: BadQuery, ExecutionFailed, Damaged.
        """
        return answer_table(self.answer_range(expression, start, end, step, resolution=resolution))

    def answer(self, expression: str, time: Time = None, *, resolution: str = AUTO) -> QueryResult:
        """Evaluate a PromQL expression at one time and return the result as the API has it.

        expression, time, resolution and errors: as for ``query``.
        """
        at_ms = self._newest_ms() if time is None else read_moment(time, "time", self._now_ms())
        options: Any = {"check": self._check, "resolution": resolution}
        return self._persist(lambda: evaluate_instant(self._source(), expression, at_ms, **options))

    def answer_range(
        self, expression: str, start: Time, end: Time, step: str | float, *, resolution: str = AUTO
    ) -> QueryResult:
        """Evaluate a PromQL expression over a range and return the result as the API has it.

        expression, start, end, step, resolution and errors: as for ``query_range``.
        """
        now_ms = self._now_ms()
        span_ms = read_moment(start, "start", now_ms), read_moment(end, "end", now_ms), read_step(step)
        options: Any = {"check": self._check, "resolution": resolution}
        return self._persist(lambda: evaluate_range(self._source(), expression, *span_ms, **options))

    def events(
        self,
        start: Time = None,
        end: Time = None,
        *,
        source: str | Iterable[str] = (),
        level: str | Iterable[str] = (),
        text: str = "",
        newest_first: bool = False,
        on_damage: OnDamage | None = None,
    ) -> "pa.Table":
        """Events as an Arrow table: timestamp, level, source, event_id, description, attributes, packet_id.

        start, end, on_damage: as for ``samples``. source: one or several; none means all. level: so, of unspecified,
        info, warning, error and critical. text: a part of the description or the event id, in any case.
        Rows are sorted by time, events of one millisecond in order of arrival. Raises: BadQuery, Damaged.
        """
        start_ms, end_ms = read_range(start, end, self._now_ms())
        question = EventRequest(
            start_ms=start_ms,
            end_ms=end_ms,
            sources=frozenset([source] if isinstance(source, str) else source),
            levels=read_levels([level] if isinstance(level, str) else list(level)),
            text=text,
            newest_first=newest_first,
        )
        damage = unless_gone(on_damage)
        return self._persist(lambda: read_event_table(self.event_snapshot(), question, self._check, damage))

    def events_page(self, question: EventRequest, *, on_damage: OnDamage | None = None) -> EventPage:
        """One page of events (``query/events.py``). Raises: BadQuery, Damaged."""
        damage = unless_gone(on_damage)
        return self._persist(lambda: read_page(self.event_snapshot(), question, self._check, damage))

    def series(self, matchers: str | Iterable[str], start: Time = None, end: Time = None) -> list[dict[str, str]]:
        """Return the label sets of the selected series.

        matchers: selectors, as in PromQL. start, end: both included; with one of them, only series with data in the
        range. Raises: BadQuery.
        """
        return self._persist(lambda: label_sets(self, self._question(matchers, start, end), 0))

    def labels(self, matchers: str | Iterable[str] = (), start: Time = None, end: Time = None) -> list[str]:
        """Return the label names of the selected series, or of all.

        matchers: selectors, as in PromQL. start, end: both included; with one of them, only series with data in the
        range. Raises: BadQuery.
        """
        return self._persist(lambda: label_names(self, self._question(matchers, start, end)))

    def label_values(
        self, name: str, matchers: str | Iterable[str] = (), start: Time = None, end: Time = None
    ) -> list[str]:
        """Return the values of one label in the selected series, or in all.

        name: of the label. matchers: selectors, as in PromQL. start, end: both included; with one of them, only series
        with data in the range. Raises: BadQuery.
        """
        return self._persist(lambda: label_values(self, name, self._question(matchers, start, end)))

    def export(
        self,
        sink: IO[bytes],
        matchers: str | Iterable[str],
        start: Time = None,
        end: Time = None,
        form: str = "jsonl",
        *,
        wanted: WindowSelection = WANTED_RAW,
        stale: str = Stale.DROP.value,
        on_damage: OnDamage | None = None,
    ) -> int:
        """Write samples to ``sink`` in bounded memory; returns the number of bytes.

        matchers: selectors, as in PromQL. start, end: both included. form: ``jsonl``, ``csv``, ``parquet`` or
        ``arrow``. wanted: windows instead of samples (``query.resolution.read_selected``). stale: form of NaN,
        staleness markers and infinities in jsonl: ``drop``, ``null``, or ``split``, which loses nothing
        (``query/json_lines.py``). on_damage: called with each damage, whose rows are left out; without it the first
        damage is raised. Raises: BadQuery, Damaged.
        """
        chosen = read_form(form)
        if wanted.is_raw:
            batches = self.batches(matchers, start, end, on_damage=on_damage)
            chunks = write_form(chosen, self.index, batches, read_stale(stale))
        else:
            windows = self._parts(matchers, (start, end), wanted, on_damage)
            chunks = window_chunks(chosen, self.index, windows, wanted)
        return sum(sink.write(chunk) or len(chunk) for chunk in chunks)

    def batches(
        self,
        matchers: str | Iterable[str],
        start: Time = None,
        end: Time = None,
        *,
        on_damage: OnDamage | None = None,
    ) -> Iterator[SampleBatch]:
        """Read samples as numpy columns, in bounded memory; ``index.labels(series)`` names a series.

        matchers: selectors, as in PromQL. start, end: both included. on_damage: called with each damage, whose rows are
        left out; without it the first damage is raised. Raises: BadQuery, Damaged.

        At most 64 files are opened before this returns; they are read even if the daemon deletes them afterwards. If
        another file is gone when it is needed, the directory is read again and the batches continue after the last row.
        """
        selectors, interval_ms = read_selectors(matchers), read_range(start, end, self._now_ms())
        return _begun(self._batches(selectors, interval_ms, unless_gone(on_damage)))

    def files(
        self,
        kind: str = RAW,
        matchers: str | Iterable[str] = (),
        start: Time = None,
        end: Time = None,
    ) -> list[str]:
        """Paths of the Parquet files that are there now, oldest first; together they hold every sealed row once.

        kind: ``raw``, ``events``, ``series``, or a tier such as ``5m``. matchers, start, end: only files that may hold
        rows of these series, or in this range. A daemon deletes a file once it has merged it into another: a program
        that finds one gone asks again. What is not sealed yet lies in the journal, where only Nissa reads it.
        Raises: BadQuery, Damaged.
        """
        selectors, interval_ms = read_selectors(matchers), read_range(start, end, self._now_ms())
        directory = self.snapshot().directory
        with closing(Catalogue.open(directory, readonly=True)) as catalogue:
            there = catalogue.list_files()
        series = None
        if selectors:
            self.refresh()  # the files may have series that are newer than this view
            series = matched_series(self, SeriesRequest(selectors, check=self._check))
        return [str(directory / one.path) for one in matched_files(there, kind, interval_ms, series)]

    def refresh(self) -> None:
        """Read the directory anew, with everything written since."""
        self._view = self._load()

    # ---- the Backend ----

    @property
    def index(self) -> IndexView:
        """The series index."""
        return self._view.index

    def snapshot(self) -> Snapshot:
        """All samples: blocks, and later frames of the journal."""
        return self._view.snapshot()

    @property
    def arrivals(self) -> None:
        """None: answers are not cached."""

    def event_snapshot(self) -> EventSnapshot:
        """All events: blocks, and later frames of the journal."""
        return self._view.event_snapshot()

    def accounting(self) -> Mapping[str, Counters]:
        """Source key -> tally."""

        def balance() -> Mapping[str, Counters]:
            return self._view.accounting()

        return self._persist(balance)

    @property
    def admin(self) -> None:
        """None: the directory is only read."""

    def status(self) -> Status:
        """Status of the directory."""
        return self._view.status()

    def metadata(self) -> Sequence[Metadata]:
        """Metadata that senders gave for metric names."""
        return self._view.metadata()

    # ---- life ----

    def close(self) -> None:
        """Nothing is held open between questions; here for ``with``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _parts(
        self,
        matchers: str | Iterable[str],
        span: tuple[Time, Time],
        wanted: WindowSelection,
        on_damage: OnDamage | None,
    ) -> Iterator[Part]:
        """Windows; files are opened before this returns."""
        selectors, interval_ms = read_selectors(matchers), read_range(*span, self._now_ms())
        place = (selectors, interval_ms, wanted, self._check, unless_gone(on_damage))
        return self._persist(lambda: _begun(stream_window_parts(self, *place)))

    def _batches(
        self, selectors: Sequence[Selector], interval_ms: tuple[int, int], on_damage: OnDamage | None
    ) -> Iterator[SampleBatch]:
        """Batches; where a file is gone, those of the directory as it is then, from behind the last row."""
        series = select_any(self.index, selectors, self._check)
        failed, last = 0, None
        while True:
            left = series if last is None else series[series >= last[0]]
            try:
                for batch in stream_series(self, left, interval_ms, self._check, on_damage):
                    rows = batch if last is None else rows_behind(batch, *last)
                    if len(rows):
                        failed, last = 0, (int(rows.series[-1]), int(rows.ts_ms[-1]))
                        yield rows
            except FileGone:
                failed += 1
                if failed == ATTEMPTS_MAX:
                    raise
                self.refresh()
            else:
                return

    def _newest_ms(self) -> int:
        """The time of the newest sample there is, 0 where there is none."""
        snapshot = self.snapshot()
        newest = [block.max_ms for block in snapshot.blocks if block.kind == RAW_KIND]
        newest += (head_range_ms(snapshot) or ())[1:]
        return max(newest, default=0)

    def _question(self, matchers: str | Iterable[str], start: Time, end: Time) -> SeriesRequest:
        interval_ms = read_range(start, end, self._now_ms())
        return SeriesRequest(read_selectors(matchers), interval_ms, SAMPLES_LOOKED_AT_MAX, self._check, _not_gone)

    def _source(self) -> StoredSource:
        snapshot = msgspec.structs.replace(self.snapshot(), check=self._check)
        return StoredSource(self.index, snapshot, check=self._check)

    def _persist(self, read: Callable[[], Result]) -> Result:
        """``read()``, again after a refresh where a file was merged into another meanwhile."""
        return read_again(read, self.refresh)


def unless_gone(on_damage: OnDamage | None) -> OnDamage | None:
    """``on_damage``, but a file that is not there ends the question: it may have been merged, and is asked again."""
    if on_damage is None:
        return None

    def note(damage: Damaged) -> None:
        _not_gone(damage)
        on_damage(damage)

    return note


def _not_gone(damage: Damaged) -> None:
    if isinstance(damage, FileGone):
        raise damage


def rows_behind(batch: SampleBatch, series: int, ts_ms: int) -> SampleBatch:
    """The rows of a sorted batch behind one of this series and time."""
    first = int(np.searchsorted(batch.series, np.uint32(series), "left"))
    end = int(np.searchsorted(batch.series, np.uint32(series), "right"))
    first += int(np.searchsorted(batch.ts_ms[first:end], ts_ms, "right"))
    return SampleBatch(batch.series[first:], batch.ts_ms[first:], batch.value[first:])


def _begun(parts: Iterator[Result]) -> Iterator[Result]:
    """The same parts, with the first one read already, so that its errors are raised here."""
    first = next(parts, None)
    return iter(()) if first is None else chain((first,), parts)
