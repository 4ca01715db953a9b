"""Forms of an export by name."""

import pytest

from nissa.model.errors import BadQuery
from nissa.query.export_form import ExportForm, read_form, write_form
from oracle.backend_twin import regular
from oracle.series_twin import SeriesTwin


def test_forms_are_found_by_their_word():
    """Four words are known; another is refused with the list of them."""
    assert [read_form(form.value) for form in ExportForm] == list(ExportForm)
    with pytest.raises(BadQuery, match="jsonl, csv, parquet, arrow"):
        read_form("xml")


def test_every_form_has_a_writer_and_a_media_type():
    """Each form writes bytes that begin as its readers expect."""
    begins = {"jsonl": b'{"metric"', "csv": b"name,labels", "parquet": b"PAR1", "arrow": b"\xff\xff\xff\xff"}
    for form in ExportForm:
        data = b"".join(write_form(form, SeriesTwin([{"__name__": "up"}]), [regular(1, 3)]))
        assert data.startswith(begins[form.value])
        assert "/" in form.media_type
    assert [form.value for form in ExportForm if form.compressible] == ["jsonl", "csv"]
