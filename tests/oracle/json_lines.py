"""Reads exported JSON lines, as the importer does, line by line."""

from collections.abc import Iterator

from nissa.codec.import_lines import SeriesLine, read_line
from nissa.model.errors import Malformed


def read_json_lines(data: bytes) -> Iterator[SeriesLine]:
    """The lines of ``data``. Raises Malformed, with the offset of the line."""
    offset = 0
    for line in data.splitlines(keepends=True):
        if line.strip():
            try:
                yield read_line(line)
            except ValueError as error:
                raise Malformed(f"line is not of the export form: {error}", offset) from None
        offset += len(line)
