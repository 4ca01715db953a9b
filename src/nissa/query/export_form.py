"""The formats of exports, with media type and file suffix."""

from collections.abc import Callable, Generator, Iterable
from enum import Enum

from nissa.model.columns import SampleBatch
from nissa.model.errors import BadQuery
from nissa.query.json_lines import Stale, write_json_lines
from nissa.query.tables import write_arrow, write_csv, write_parquet
from nissa.series.select import SeriesView

Writer = Callable[[SeriesView, Iterable[SampleBatch]], Generator[bytes, None, None]]


class ExportForm(Enum):
    """A form; the value is the word of ``format=`` and ``--format``."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """The Content-Type of an answer in this form."""
        return _MEDIA_TYPES[self]

    @property
    def compressible(self) -> bool:
        """True if gzip on the way makes sense: texts only."""
        return self in (ExportForm.JSONL, ExportForm.CSV)


_MEDIA_TYPES = {
    ExportForm.JSONL: "application/x-ndjson",
    ExportForm.CSV: "text/csv; charset=utf-8; header=present",
    ExportForm.PARQUET: "application/vnd.apache.parquet",
    ExportForm.ARROW: "application/vnd.apache.arrow.stream",
}
_WRITERS: dict[ExportForm, Writer] = {
    ExportForm.CSV: write_csv,
    ExportForm.PARQUET: write_parquet,
    ExportForm.ARROW: write_arrow,
}


def read_form(word: str) -> ExportForm:
    """The form called ``word``. Raises BadQuery."""
    try:
        return ExportForm(word)
    except ValueError:
        known = ", ".join(form.value for form in ExportForm)
        raise BadQuery(f"invalid parameter 'format': {word[:40]!r} is none of {known}") from None


def write_form(
    form: ExportForm, index: SeriesView, batches: Iterable[SampleBatch], stale: Stale = Stale.DROP
) -> Generator[bytes, None, None]:
    """The bytes of an export, in chunks. batches: sorted by series, then time; read as the chunks are asked for.

    stale: the treatment of values that JSON lines have no number for; the other forms have them all.
    """
    if form is ExportForm.JSONL:
        return write_json_lines(index, batches, stale=stale)
    return _WRITERS[form](index, batches)
