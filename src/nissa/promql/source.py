"""Interface between the evaluator and the store: selects series, then reads samples and windows of them.

    select(matchers)                          ──▶  Selected: labels of n series     labels first, for all of them
    Selected.read(rows, start, end)           ──▶  Columns of these rows            then samples, slice by slice
    Selected.kept(first, last)                ──▶  Kept: rows, and their rungs      what is retained of them
    Selected.read_tier(rows, rung, …)         ──▶  TierColumns of these rows        where samples are not

Slices bound the memory of a query over many series.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.ladder import RAW, WindowBatch
from nissa.model.matcher import Selector
from nissa.promql.labels import Labels, LabelTexts

ALWAYS_MS = -(2**63)

RowColumn = npt.NDArray[np.int64]
CountColumn = npt.NDArray[np.uint32]


class Columns(NamedTuple):
    """Samples of n series, sorted by series and time. offsets: int64 (n + 1,). ts_ms: int64. value: float64.

    Staleness markers are among the values, with their bits.
    """

    offsets: npt.NDArray[np.int64]
    ts_ms: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


class TierColumns(msgspec.Struct, frozen=True):
    """Windows of n series, sorted by series and start. offsets: int64 (n + 1,). start_ms: int64. count, nans: uint32.

    numbers: the other columns of ``WindowBatch`` that were asked for, by name, float64.
    """

    offsets: npt.NDArray[np.int64]
    start_ms: npt.NDArray[np.int64]
    count: CountColumn
    nans: CountColumn
    numbers: dict[str, npt.NDArray[np.float64]]

    @property
    def keys(self) -> tuple[RowColumn, RowColumn, CountColumn, CountColumn]:
        """The columns that are always there."""
        return self.offsets, self.start_ms, self.count, self.nans


class Rung(msgspec.Struct, frozen=True):
    """Samples, or a tier of the ladder. from_ms: nothing from this time on has expired. aggregates: what it keeps.

    interval_ms: of its windows; 1 for samples.
    """

    name: str = RAW
    interval_ms: int = 1
    from_ms: int = ALWAYS_MS
    aggregates: tuple[str, ...] = ()


class Kept(msgspec.Struct, frozen=True):
    """Series that are retained alike. rows: ascending. rungs: samples first, then tiers from the finest on."""

    rows: RowColumn
    rungs: tuple[Rung, ...] = (Rung(),)


class Selected(Protocol):
    """The series that one selector means."""

    @property
    def labels(self) -> Labels:
        """Their labels, in the order of the source."""

    def expected(self, start_ms: int, end_ms: int, few: float) -> npt.NDArray[np.float64]:
        """About how many samples in [start_ms, end_ms) the series before each have: float64 (n + 1,), ascending.

        few: a total of at most so many samples may be spread evenly over the series.
        """

    def read(self, rows: slice | RowColumn, start_ms: int, end_ms: int) -> Columns:
        """Samples in [start_ms, end_ms) of some series. rows: a slice without a step, or ascending numbers."""

    def kept(self, first: int, last: int) -> Sequence[Kept]:
        """The rows [first, last), each once, by what is retained of them."""

    def read_tier(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int, names: Sequence[str]) -> TierColumns:
        """Windows of a tier that start in [start_ms, end_ms), both at borders of windows. names: of the numbers."""

    def read_sketches(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int) -> Iterator[WindowBatch]:
        """Read windows with sketches, in batches of whole series; their series are numbered as in ``rows``.

        rows: of the selected series. tier: name of the tier. start_ms, end_ms: half-open interval, Unix milliseconds.
        """


class SampleSource(Protocol):
    """The samples that one query reads."""

    @property
    def texts(self) -> LabelTexts:
        """Symbols of all labels that its selections have."""

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers of its ladder, the finest first."""

    @property
    def samples_from_ms(self) -> int:
        """Time from which on no sample has expired."""

    def select(self, matchers: Selector) -> Selected:
        """Series that meet all matchers."""
