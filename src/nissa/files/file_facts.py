"""File facts: a block or series segment has its catalogue row in its footer, so that a catalogue can be rebuilt.

    footer of the Parquet file    key "nissa"    {"id":7,"kind":"raw","level":0,"rows":…,"first_lsn":…,"last_lsn":…}

A block repeats its row of the catalogue, but for the checksums, which are those of the whole file. ``sources`` are the
numbers of the blocks it was merged from: where both lie on the disk, the merged one stands for all. Files of versions
before these facts have none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow.parquet as pq

KEY = b"nissa"


class BlockFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One block; fields as in ``BlockRow``. retention_ms, aggregates, tombstone: in blocks of windows."""

    id: int
    kind: str
    level: int
    rows: int
    min_ms: int
    max_ms: int
    series_min: int
    series_max: int
    first_lsn: int
    last_lsn: int
    created_ms: int
    sources: tuple[int, ...] = ()
    retention_ms: int = 0
    aggregates: tuple[str, ...] = ()
    tombstone: int = 0


class SeriesFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series segment. last_lsn: of the frames that brought its series; sources: as of blocks.

    last_series: 0 in files of versions before it, whose ids have no gaps.
    """

    id: int
    first_series: int
    rows: int
    last_lsn: int = 0
    sources: tuple[int, ...] = ()
    last_series: int = 0


def add_facts(writer: "pq.ParquetWriter", facts: BlockFacts | SeriesFacts) -> None:
    """Put ``facts`` into the footer of a file that is being written."""
    writer.add_key_value_metadata({KEY: msgspec.json.encode(facts)})


def read_facts(path: Path) -> BlockFacts | SeriesFacts | None:
    """The facts of a whole file; None in one of a version before them. Raises: ValueError where it is no whole file."""
    import pyarrow.parquet as pq  # heavy: only files without a row are asked

    try:
        with path.open("rb") as file:
            found: dict[bytes, bytes] = pq.read_metadata(file).metadata or {}
    except Exception as error:  # any error of Arrow for bytes it cannot read
        raise ValueError(f"{path}: truncated or not a Parquet file: {error}") from error
    kind: Any = SeriesFacts if path.name.startswith("series-") else BlockFacts
    try:
        facts: BlockFacts | SeriesFacts | None = msgspec.json.decode(found[KEY], type=kind) if KEY in found else None
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: its metadata cannot be read: {error}") from error
    return facts
