"""nissa inspect: lists the contents of a directory or file: segments, frames, blocks, series."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nissa.cli.fault import existing, run_command
from nissa.cli.text_table import print_table, utc

SEGMENT_COLUMNS = ("segment", "first_lsn", "last_lsn", "frames", "bytes", "torn_bytes", "rot_frames")
FRAME_COLUMNS = ("lsn", "received", "source", "codec", "encoding", "bytes", "new_series", "offset")
BLOCK_COLUMNS = ("block", "holds", "level", "rows", "bytes", "from", "to")
PIN_COLUMNS = ("pin", "name", "from", "to")
TABLE_COLUMNS = ("segment", "first_series", "last_series", "rows", "bytes")
NEW_SERIES_ALL = 2**32 - 1  # the frame met no limit
CHECKPOINT_COLUMNS = ("lsn", "series")
TIER_COLUMNS = ("tier", "kept", "aggregates", "written_until", "lsn")
QUARANTINE_COLUMNS = ("file", "holds", "rows", "from", "to", "damage")


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A data directory, a journal segment, or a capture.", metavar="PATH")
    ] = Path("nissa-data"),
    frames: Annotated[bool, typer.Option("--frames", help="List the frames of the journal.")] = False,
    after: Annotated[int, typer.Option(help="With --frames: only frames after this LSN.", min=0, metavar="LSN")] = 0,
    limit: Annotated[int, typer.Option(help="With --frames: maximum number; 0: all.", min=0, metavar="N")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List what is on disk: journal segments, the checkpoint, blocks, tiers, series. Changes nothing.

    Times are printed in UTC.

    \b
    Examples:
      nissa inspect                                  contents of ./nissa-data
      nissa inspect --frames --after 1200            frames of the journal after LSN 1200
      nissa inspect monday.capture --frames          frames of a capture
      nissa inspect --json | jq 'select(.kind == "blocks")'
    """
    run_command("nissa inspect", lambda: _inspect(path, frames, (after, limit), as_json))


def _inspect(path: Path, frames: bool, span: tuple[int, int], as_json: bool) -> None:
    existing(path)
    if frames:
        after_lsn, frames_max = span
        print_table("frames", FRAME_COLUMNS, islice(_frame_rows(path, after_lsn), frames_max or None), as_json=as_json)
        return
    print_table("journal", SEGMENT_COLUMNS, _segment_rows(path), as_json=as_json)
    if path.is_dir() and (path / "catalogue.sqlite").exists():
        _print_catalogue(path, as_json)


def _segment_rows(path: Path) -> Iterator[tuple[object, ...]]:
    """One row per segment, read to its end and checked on the way."""
    # Loaded here: the checksum library is not for --help.
    from nissa.journal.recovery import RecoveryReport, read_segment, segment_paths

    directory = _journal_of(path)
    for segment in segment_paths(directory) if path.is_dir() else [path]:
        report = RecoveryReport()
        first = last = 0
        for frame in read_segment(segment, report):
            first, last = first or frame.lsn, frame.lsn
        size = segment.stat().st_size
        yield segment.name, first, last, report.frames, size, report.torn_bytes, report.rot_frames


def _journal_of(path: Path) -> Path:
    """Paths of segments: those of a data directory, which may have lost its journal, or files alone."""
    return path / "journal" if (path / "journal").is_dir() or (path / "catalogue.sqlite").exists() else path


def _frame_rows(path: Path, after_lsn: int) -> Iterator[tuple[object, ...]]:
    from nissa.journal.recovery import read_journal, read_segment

    directory = _journal_of(path)
    for entry in read_journal(directory, after_lsn) if path.is_dir() else read_segment(path):
        frame = entry.frame
        if entry.lsn > after_lsn:
            words = (frame.source.name.lower(), frame.codec.name.lower(), frame.encoding.name.lower())
            new_series = "all" if entry.new_series == NEW_SERIES_ALL else entry.new_series
            yield entry.lsn, utc(frame.received_ms), *words, len(frame.body), new_series, entry.offset


def _print_catalogue(directory: Path, as_json: bool) -> None:
    """The checkpoint, blocks, tiers, what is in quarantine, pins and series segments, as the catalogue has them."""
    from nissa.catalogue.catalogue import NEVER_MS, Catalogue
    from nissa.model.ladder import interval_name
    from nissa.store.pins import read_pins
    from nissa.store.quarantine import read_quarantine

    catalogue = Catalogue.open(directory, readonly=True)
    try:
        checkpoint = catalogue.checkpoint()
        row = (checkpoint.lsn, checkpoint.series_count)
        print_table("checkpoint", CHECKPOINT_COLUMNS, [row], as_json=as_json)
        blocks = [
            (one.path, one.kind, one.level, one.rows, one.bytes, utc(one.min_ms), utc(one.max_ms))
            for one in catalogue.blocks()
        ]
        print_table("blocks", BLOCK_COLUMNS, blocks, as_json=as_json)
        tiers = [
            (
                row.tier.name,
                interval_name(row.tier.retention_ms),
                " ".join(row.tier.aggregates),
                "" if row.written_until_ms == NEVER_MS else utc(row.written_until_ms),
                row.lsn,
            )
            for row in catalogue.tiers()
        ]
        print_table("tiers", TIER_COLUMNS, tiers, as_json=as_json)
        damaged = [
            (one.file, one.kind, one.rows, utc(one.min_ms), utc(one.max_ms), one.damage)
            for one in read_quarantine(catalogue)
        ]
        print_table("quarantine", QUARANTINE_COLUMNS, damaged, as_json=as_json)
        pins = [(one.id, one.name, utc(one.start_ms), utc(one.end_ms)) for one in read_pins(catalogue)]
        print_table("pins", PIN_COLUMNS, pins, as_json=as_json)
        segments = [
            (one.path, one.first_series, one.last_series, one.rows, one.bytes) for one in catalogue.series_segments()
        ]
        print_table("series segments", TABLE_COLUMNS, segments, as_json=as_json)
    finally:
        catalogue.close()
