"""Interface for reading data, implemented by the engine of a daemon and by the Reader of a directory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nissa.maintenance.forecast import Forecast
from nissa.model.allowance import Check
from nissa.model.columns import Metadata, SeriesColumn
from nissa.model.counters import Counters
from nissa.model.matcher import Selector
from nissa.model.receipt import FoundRequest
from nissa.model.status import Status
from nissa.series.select import SeriesView, SymbolColumn
from nissa.store.arrivals import Arrivals
from nissa.store.event_runs import EventSnapshot
from nissa.store.pins import Pin
from nissa.store.read import Snapshot


class IndexView(SeriesView, Protocol):
    """The series index as the query rooms see it: selection, and what stands behind ``/api/v1/status/tsdb``."""

    def value_counts(self, name: int) -> SymbolColumn:
        """Number of series that have each symbol as value of the label ``name``, by symbol."""

    def pairs_of(self, first: int, count: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Labels of series [first, first + count): starts (count + 1,), and name and value symbols (n, 2)."""

    def pairs_of_each(self, series: SeriesColumn, /) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """The same of some series."""

    def symbols_of(self, first: int, count: int) -> tuple[npt.NDArray[np.int64], bytes]:
        """Texts of symbols [first, first + count) as Arrow lays them out: offsets (count + 1,) and the bytes."""


class Admin(Protocol):
    """Administration of a daemon's data. Every call is safe from any thread."""

    def pins(self) -> list[Pin]:
        """Time ranges that retention leaves alone."""

    def add_pin(self, name: str, start_ms: int, end_ms: int) -> Pin:
        """Pin [start_ms, end_ms). Raises: BadQuery."""

    def remove_pin(self, number: int) -> None:
        """Remove a pin. Raises: BadQuery if it does not exist."""

    def suspect(self, path: str) -> None:
        """A reader met damage in this file."""

    def forecast(self, journal_bytes: int) -> Forecast:
        """Growth of the directory and the day its disk is full. journal_bytes: on disk now."""

    def confirm_clock(self) -> None:
        """The wall clock is right."""

    def delete_series(self, selectors: Sequence[Selector], interval_ms: tuple[int, int], check: Check) -> object:
        """Delete rows received so far of the selected series in the interval. Raises: BadQuery, Unavailable."""

    def find_request(self, epoch: int, request_id: str) -> list[FoundRequest]:
        """Dedup entries of a request, at most one for each kind. Raises: Unavailable."""


class Backend(Protocol):
    """Interface between the query API and the owner of the data. All methods are safe from any thread."""

    @property
    def index(self) -> IndexView: ...

    @property
    def admin(self) -> Admin | None:
        """Administration; None where the directory is only read."""

    def snapshot(self) -> Snapshot:
        """A consistent view of all samples: blocks and head."""

    @property
    def arrivals(self) -> Arrivals | None:
        """Times of new rows; None where the directory is only read, and no answer of a query is cached."""

    def event_snapshot(self) -> EventSnapshot:
        """A consistent view of all events: blocks and head."""

    def accounting(self) -> Mapping[str, Counters]:
        """Source key -> tally."""

    def status(self) -> Status:
        """Status for ``/api/status`` and the metrics."""

    def metadata(self) -> Sequence[Metadata]:
        """Metadata that senders gave for metric names."""
