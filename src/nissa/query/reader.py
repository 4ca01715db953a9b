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
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

from nissa.model.columns import Metadata, SampleBatch
from nissa.model.errors import BadQuery
from nissa.model.ladder import RAW
from nissa.model.selector import read_selectors
from nissa.model.tally import Tally
from nissa.query.backend import Backend, IndexView
from nissa.query.events import EventPage, EventQuestion, read_levels, read_page, read_table
from nissa.query.export import ATTEMPTS_MAX, OnDamage, read_batches
from nissa.query.export_form import read_form, write_form
from nissa.query.resolution import Wanted, read_wanted
from nissa.query.series_answers import SeriesQuestion, label_names, label_sets, label_values
from nissa.query.tables import record_batch, table_schema
from nissa.query.times import read_range
from nissa.query.window_tables import window_table, write_windows
from nissa.query.windows import Part, stream_parts
from nissa.store.checked_file import FileGone
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

Load = Callable[[], Backend]
Time = str | float | datetime | None
Answer = TypeVar("Answer")

WANTED_RAW = Wanted()
SAMPLES_LOOKED_AT_MAX = 50_000_000
COLUMNS = frozenset({"name", "labels", "timestamp", "value"})


class Reader:
    """Questions to one data directory. It is a ``Backend`` too. Not to be used from several threads at once."""

    def __init__(self, load: Load) -> None:
        """load: reads the directory anew and gives what is in it."""
        self._load = load
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

        matchers: one selector or several, whose series are united. start, end: RFC 3339 text, Unix seconds or an aware
        datetime; both are inside the range. label_columns: labels to give as columns of their own, null where missing.
        resolution: ``raw``; a tier such as ``5m`` gives windows with the columns of ``query/window_tables.py``;
        ``auto`` the coarsest tier that serves ``step``, a duration such as ``5m``. quantiles: 0.5, 0.95 and 0.99 where
        none are given.
        on_damage: told of each damaged file, the rest being read; without it the first is raised.
        Rows are sorted by series and time; where ``auto`` had to stitch, coarser windows stand first.
        Raises: BadQuery, Damaged.
        """
        import pyarrow as pa  # heavy: nobody who only receives needs it

        if taken := COLUMNS.intersection(label_columns):
            raise BadQuery(f"label_columns: {', '.join(sorted(taken))} would be there twice")
        wanted = read_wanted(resolution, step, ",".join(map(str, quantiles)))
        if not wanted.is_raw:
            windows = self._parts(matchers, (start, end), wanted, on_damage)
            return window_table(self.index, windows, wanted, label_columns)
        batches = self.batches(matchers, start, end, on_damage=on_damage)
        parts = [record_batch(self.index, batch, label_columns) for batch in batches]
        return pa.Table.from_batches(parts, table_schema(label_columns)).unify_dictionaries()

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
        start_ms, end_ms = read_range(start, end)
        question = EventQuestion(
            start_ms=start_ms,
            end_ms=end_ms,
            sources=frozenset([source] if isinstance(source, str) else source),
            levels=read_levels([level] if isinstance(level, str) else list(level)),
            text=text,
            newest_first=newest_first,
        )
        return self._persist(lambda: read_table(self.event_snapshot(), question, on_damage=on_damage))

    def events_page(self, question: EventQuestion, *, on_damage: OnDamage | None = None) -> EventPage:
        """One page of events (``query/events.py``). Raises: BadQuery, Damaged."""
        return self._persist(lambda: read_page(self.event_snapshot(), question, on_damage=on_damage))

    def series(self, matchers: str | Iterable[str], start: Time = None, end: Time = None) -> list[dict[str, str]]:
        """Label sets of the selected series; with a time, of those that have samples in the range."""
        return self._persist(lambda: label_sets(self, self._question(matchers, start, end), 0))

    def labels(self, matchers: str | Iterable[str] = ()) -> list[str]:
        """Label names of the selected series, or of all."""
        return label_names(self, self._question(matchers, None, None))

    def label_values(self, name: str, matchers: str | Iterable[str] = ()) -> list[str]:
        """Values of one label in the selected series, or in all."""
        return label_values(self, name, self._question(matchers, None, None))

    def export(
        self,
        sink: IO[bytes],
        matchers: str | Iterable[str],
        start: Time = None,
        end: Time = None,
        form: str = "jsonl",
        *,
        wanted: Wanted = WANTED_RAW,
        on_damage: OnDamage | None = None,
    ) -> int:
        """Write samples to ``sink`` as jsonl, csv, parquet or arrow, in bounded memory; returns how many bytes.

        wanted: windows instead (``query.resolution.read_wanted``).
        """
        chosen = read_form(form)
        if wanted.is_raw:
            chunks = write_form(chosen, self.index, self.batches(matchers, start, end, on_damage=on_damage))
        else:
            chunks = write_windows(chosen, self.index, self._parts(matchers, (start, end), wanted, on_damage), wanted)
        return sum(sink.write(chunk) or len(chunk) for chunk in chunks)

    def batches(
        self,
        matchers: str | Iterable[str],
        start: Time = None,
        end: Time = None,
        *,
        on_damage: OnDamage | None = None,
    ) -> Iterator[SampleBatch]:
        """Samples as numpy columns, in bounded memory; ``index.labels(series)`` names a series.

        Files are opened before this returns: what the daemon deletes afterwards is still read.
        """
        selectors, interval_ms = read_selectors(matchers), read_range(start, end)

        return self._persist(lambda: _begun(read_batches(self, selectors, interval_ms, on_damage=on_damage)))

    def refresh(self) -> None:
        """Read the directory anew: what was written since is there afterwards."""
        self._view = self._load()

    # ---- the Backend ----

    @property
    def index(self) -> IndexView:
        """The series index."""
        return self._view.index

    def snapshot(self) -> Snapshot:
        """All samples: blocks, and what the journal holds behind them."""
        return self._view.snapshot()

    def event_snapshot(self) -> EventSnapshot:
        """All events: blocks, and what the journal holds behind them."""
        return self._view.event_snapshot()

    def accounting(self) -> Mapping[str, Tally]:
        """Source key -> tally."""

        def balance() -> Mapping[str, Tally]:
            return self._view.accounting()

        return self._persist(balance)

    def status(self) -> dict[str, Any]:
        """What is known of the directory."""
        return self._view.status()

    def metadata(self) -> Sequence[Metadata]:
        """What senders said about metric names."""
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
        self, matchers: str | Iterable[str], span: tuple[Time, Time], wanted: Wanted, on_damage: OnDamage | None
    ) -> Iterator[Part]:
        """Windows; files are opened before this returns."""
        selectors, interval_ms = read_selectors(matchers), read_range(*span)
        return self._persist(lambda: _begun(stream_parts(self, selectors, interval_ms, wanted, on_damage=on_damage)))

    def _question(self, matchers: str | Iterable[str], start: Time, end: Time) -> SeriesQuestion:
        return SeriesQuestion(read_selectors(matchers), read_range(start, end), SAMPLES_LOOKED_AT_MAX)

    def _persist(self, read: Callable[[], Answer]) -> Answer:
        """``read()``, again after a refresh where a file was merged into another meanwhile."""
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                return read()
            except FileGone:
                self.refresh()
        return read()


def _begun(parts: Iterator[Answer]) -> Iterator[Answer]:
    """The same, begun: whatever its first one needs is open."""
    first = next(parts, None)
    return iter(()) if first is None else chain((first,), parts)
