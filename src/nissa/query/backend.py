"""What answers are made from. The engine of a running daemon offers it, and so does a Reader of a directory."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nissa.model.columns import Metadata
from nissa.model.tally import Tally
from nissa.series.select import SeriesView, SymbolColumn
from nissa.store.event_runs import EventSnapshot
from nissa.store.pins import Pin
from nissa.store.read import Snapshot


class IndexView(SeriesView, Protocol):
    """The series index as the query rooms see it: selection, and what stands behind ``/api/v1/status/tsdb``."""

    def pair_counts(self) -> tuple[SymbolColumn, SymbolColumn, SymbolColumn]:
        """Every distinct (name symbol, value symbol) and how many series carry it: three parallel arrays, by name."""

    def pairs_of(self, first: int, count: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """Labels of series [first, first + count): starts (count + 1,), and name and value symbols (n, 2)."""

    def symbols_of(self, first: int, count: int) -> tuple[npt.NDArray[np.int64], bytes]:
        """Texts of symbols [first, first + count) as Arrow lays them out: offsets (count + 1,) and the bytes."""


class Keeper(Protocol):
    """Who keeps the data of a daemon: what an operator may change of it. Every call is safe from any thread."""

    def pins(self) -> list[Pin]:
        """Time ranges that retention leaves alone."""

    def add_pin(self, name: str, start_ms: int, end_ms: int) -> Pin:
        """Pin [start_ms, end_ms). Raises: BadQuery."""

    def remove_pin(self, number: int) -> None:
        """Remove a pin. Raises: BadQuery where there is none."""

    def suspect(self, path: str) -> None:
        """A reader met damage in this file."""

    def confirm_clock(self) -> None:
        """The wall clock is right."""


class Backend(Protocol):
    """The seam between the query API and whoever holds the data. Every call is safe from any thread."""

    @property
    def index(self) -> IndexView: ...

    def snapshot(self) -> Snapshot:
        """A consistent view of all samples: blocks and head."""

    def event_snapshot(self) -> EventSnapshot:
        """A consistent view of all events: blocks and head."""

    def accounting(self) -> Mapping[str, Tally]:
        """Source key -> tally."""

    def status(self) -> dict[str, Any]:
        """What ``/api/status`` shows. ``mode`` is ``ready`` or ``read_only``; ``series`` may hold ``active``,
        ``limit``, ``refused`` and ``top_offenders``."""

    def metadata(self) -> Sequence[Metadata]:
        """What senders said about metric names."""
