"""A CSV file with a header in which events are looked up: one column is the key, the others become attributes.

The file is read again when it has changed; it is looked at every ``CHECK_MS`` at most. One that cannot be read then
leaves the table as it was, and the log says so.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from nissa.model.errors import ConfigInvalid
from nissa.model.units import MIB, SECOND_MS

FILE_BYTES_MAX: Final = 16 * MIB
ROWS_MAX: Final = 100_000
COLUMNS_MAX: Final = 64
CHECK_MS: Final = 10 * SECOND_MS

log = structlog.get_logger()
Table = dict[str, dict[str, str]]


class LookupTable:
    """The content of one file. For one thread."""

    def __init__(self, file: str, key: str, setting: str) -> None:
        """setting: path of the lookup in the configuration, for messages. Raises: ConfigInvalid."""
        self._path, self._key, self._setting = Path(file), key, setting
        self._seen: tuple[int, int] | None = None
        self._checked_ms = 0
        self._rows = self._read()

    def row_of(self, value: str) -> Mapping[str, str]:
        """The other columns of the row with this key that are not empty; none where there is no such row."""
        return self._rows.get(value, {})

    def refresh(self, now_ms: int) -> None:
        """Read the file again if it has changed. now_ms: the wall clock."""
        if abs(now_ms - self._checked_ms) < CHECK_MS:
            return
        self._checked_ms = now_ms
        try:
            if self._stamp() != self._seen:
                self._rows = self._read()
                log.info("a lookup file was read again", setting=self._setting, rows=len(self._rows))
        except (ConfigInvalid, OSError) as error:
            log.error(
                "a lookup file cannot be read again: the last content stays", setting=self._setting, reason=str(error)
            )

    def _stamp(self) -> tuple[int, int]:
        facts = self._path.stat()
        return facts.st_mtime_ns, facts.st_size

    def _read(self) -> Table:
        try:
            self._seen = self._stamp()
            if self._seen[1] > FILE_BYTES_MAX:
                raise self._fault(f"{self._seen[1]} bytes are over the limit of {FILE_BYTES_MAX}")
            text = self._path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from None
        except UnicodeDecodeError as error:
            raise self._fault(f"not UTF-8 at byte {error.start}") from None
        return self._table(text)

    def _table(self, text: str) -> Table:
        found: Table = {}
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            header: list[str] = next(reader, [])
            if self._key not in header or len(header) > COLUMNS_MAX or len(set(header)) < len(header) or "" in header:
                what = f"expected a first line of up to {COLUMNS_MAX} names, all different, with {self._key!r}"
                raise self._fault(f"{what}; got {', '.join(header)[:200]!r}")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise self._fault(f"line {reader.line_num}: {len(row)} columns; the first line has {len(header)}")
                if len(found) >= ROWS_MAX:
                    raise self._fault(f"line {reader.line_num}: more than {ROWS_MAX} rows")
                values = dict(zip(header, row, strict=True))
                key = values.pop(self._key)
                found[key] = {name: value for name, value in values.items() if value}
        except csv.Error as error:
            raise self._fault(f"line {reader.line_num}: {error}") from None
        return found

    def _fault(self, what: str) -> ConfigInvalid:
        return ConfigInvalid(f"{self._setting}.file", f"{self._path}: {what}")
