"""Export: all samples of the series that selectors mean, in time order per series, as a stream in bounded memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export_form import ExportForm, write_form
from nissa.series.select import no_check, select_any
from nissa.store.checked_file import FileGone
from nissa.store.read import stream_samples

BATCH_ROWS_MAX = 131_072  # rows in memory at a time: about 3 MB, and 20 times that as JSON text in the worst case
ATTEMPTS_MAX = 5  # each follows the deletion of a merged block, which happens minutes apart

OnDamage = Callable[[Damaged], None]


def read_batches(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Iterator[SampleBatch]:
    """Samples of the selected series, sorted by series and time, resolved over blocks and head.

    interval_ms: half-open [start, end). check: called between batches; raises to stop. on_damage: told of damaged
    files, what they held being left out; without it the first one is raised.
    """
    series = select_any(backend.index, selectors, check)
    yield from stream_series(backend, series, interval_ms, check, on_damage)


def stream_series(
    backend: Backend,
    series: SeriesColumn,
    interval_ms: tuple[int, int],
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Iterator[SampleBatch]:
    """As ``read_batches``, for known series. A block that is gone before the first row means: take a new snapshot."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        begun = False
        try:
            for batch in stream_samples(backend.snapshot(), series, *interval_ms, BATCH_ROWS_MAX, on_damage):
                begun = True
                check()
                yield batch
        except FileGone:
            if begun or attempt == ATTEMPTS_MAX:
                raise
        else:
            return


def export(
    backend: Backend,
    selectors: Sequence[Selector],
    interval_ms: tuple[int, int],
    form: ExportForm,
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Generator[bytes, None, None]:
    """The export in ``form``, in chunks of some hundred KiB. The next chunk is worked out when it is asked for."""
    batches = read_batches(backend, selectors, interval_ms, check, on_damage)
    return write_form(form, backend.index, batches)
