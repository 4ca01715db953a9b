"""Export: all samples of the selected series, in time order per series, as a stream in bounded memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import msgspec

from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.matcher import Selector
from nissa.query.backend import Backend, IndexView
from nissa.query.export_form import ExportForm, write_form
from nissa.query.json_lines import Stale
from nissa.series.select import select_any
from nissa.store.read import stream_samples

BATCH_ROWS_MAX = 131_072  # rows in memory at a time: about 3 MB, and 20 times that as JSON text in the worst case

OnDamage = Callable[[Damaged], None]


def read_batches(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    check: Check = no_check,
    on_damage: OnDamage | None = None,
    index: IndexView | None = None,
) -> Iterator[SampleBatch]:
    """Read samples of the selected series from blocks and head, sorted by series and time, without duplicates.

    selectors: union of their series. interval_ms: [start, end), Unix milliseconds. check: called between batches;
    raises to cancel. on_damage: called with each damage, whose rows are left out; without it the first damage is
    raised. index: an index of the backend taken earlier, if the caller names series by it; a newer one may lack some of
    them. Raises: Damaged.
    """
    series = select_any(backend.index if index is None else index, selectors, check)
    yield from stream_series(backend, series, interval_ms, check, on_damage)


def stream_series(
    backend: Backend,
    series: SeriesColumn,
    interval_ms: tuple[int, int],
    check: Check = no_check,
    on_damage: OnDamage | None = None,
) -> Iterator[SampleBatch]:
    """Read samples of given series, sorted by series and time, without duplicates.

    series: ids, ascending. backend, interval_ms, check, on_damage and errors: as for ``read_batches``.
    """
    with msgspec.structs.replace(backend.snapshot(), check=check) as snapshot:
        for batch in stream_samples(snapshot, series, *interval_ms, BATCH_ROWS_MAX, on_damage):
            check()
            yield batch


def export_samples(
    backend: Backend,
    selectors: Sequence[Selector],
    interval_ms: tuple[int, int],
    form: ExportForm,
    check: Check = no_check,
    on_damage: OnDamage | None = None,
    stale: Stale = Stale.DROP,
) -> Generator[bytes, None, None]:
    """Write the samples of the selected series in one format, in chunks of some hundred KiB, computed on request.

    form: the format. stale: form of NaN, staleness markers and infinities in JSON lines. backend, selectors,
    interval_ms, check, on_damage and errors: as for ``read_batches``.
    """
    index = backend.index
    batches = read_batches(backend, selectors, interval_ms, check, on_damage, index)
    return write_form(form, index, batches, stale)
