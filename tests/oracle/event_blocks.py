"""Writes one event block, for tests that need a file and not a seal."""

from collections.abc import Sequence
from pathlib import Path

from nissa.catalogue.catalogue import BlockRow
from nissa.model.columns import EventBatch
from nissa.store.event_blocks import EventWriter, sorted_table


def write_events(
    directory: Path, number: int, batches: Sequence[EventBatch], first_lsn: int, last_lsn: int, created_ms: int
) -> BlockRow:
    """Write and sync a block of at least one event, whatever time they span.

    Nothing stays of it where this raises. number: a new id of the catalogue.
    """
    writer = EventWriter(directory, number, level=0, created_ms=created_ms)
    try:
        writer.write(sorted_table(batches))
        return writer.finish(first_lsn, last_lsn)
    except BaseException:  # raised again; the file must not stay
        writer.discard()
        raise
