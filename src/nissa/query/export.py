"""Export: all samples of the series that selectors mean, in time order per series, as a stream in bounded memory."""

from collections.abc import Callable, Generator, Iterable, Iterator

from nissa.model.columns import SampleBatch
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export_form import ExportForm, write_form
from nissa.series.select import no_check, select_any
from nissa.store.read import stream_samples

BATCH_ROWS_MAX = 131_072  # rows in memory at a time: about 3 MB, and 20 times that as JSON text in the worst case


def read_batches(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    check: Callable[[], None] = no_check,
) -> Iterator[SampleBatch]:
    """Samples of the selected series, sorted by series and time, resolved over blocks and head.

    interval_ms: half-open [start, end). check: called between batches; raises to stop.
    """
    series = select_any(backend.index, selectors, check)
    if not len(series):
        return
    for batch in stream_samples(backend.snapshot(), series, *interval_ms, BATCH_ROWS_MAX):
        check()
        if len(batch):
            yield batch


def export(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    form: ExportForm,
    check: Callable[[], None] = no_check,
) -> Generator[bytes, None, None]:
    """The export in ``form``, in chunks of some hundred KiB. The next chunk is worked out when it is asked for."""
    return write_form(form, backend.index, read_batches(backend, selectors, interval_ms, check))
