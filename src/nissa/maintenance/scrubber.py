"""The scrub job: reads back the file whose last reading is longest ago, and puts damaged files aside or mends them.

    due          a file's turn (scrub.py), one that a reader suspects, once a minute a look whether all files are there
    reading      piece by piece, with rests in between: no more than ``storage.scrub_rate_max``
    damaged      read a second time first: a disk, a cable or memory may fail once
      block      its sound rows in a new block, the rest into the quarantine
      segment    of the series table: written again from its second copy, else out of memory

Other jobs run while a file is being read: what has left the catalogue meanwhile is neither put aside nor mended.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.config.tree import Storage
from nissa.files.checked_file import MISSING
from nissa.files.names import BLOCKS, CATALOGUE, copy_path, locate
from nissa.maintenance.salvage import save_sound
from nissa.maintenance.scrub import ScrubbedFile, next_turn, note_turn, read_back, read_turns
from nissa.model.errors import BlocksChanged
from nissa.model.slices import Slices
from nissa.model.units import MINUTE_MS
from nissa.store.block_file import delete_blocks
from nissa.store.block_set import BlockSet
from nissa.store.garbage import orphaned_files
from nissa.store.gone import is_there
from nissa.store.quarantine import QuarantineRow, put_aside, rename_damaged
from nissa.store.series_copy import mend_segment

SUSPECTS_MAX = 1_000
LOOK_INTERVAL_MS = MINUTE_MS  # between two looks whether all files are there

log = structlog.get_logger()


class Scrubber:
    """Reads files back and knows what is damaged. ``is_due``, ``run`` and ``put_missing_aside`` are for the maintenance
    thread, all else for any."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        settings: Storage,
        blocks: BlockSet,
        clock: Callable[[], int],
        rewrite: Callable[[SeriesSegment], bool],
    ) -> None:
        """clock: Unix milliseconds. rewrite: writes a segment of the series table again out of memory; False where its
        labels are not there."""
        self._directory, self._catalogue, self._settings = directory, catalogue, settings
        self._blocks, self._clock, self._rewrite = blocks, clock, rewrite
        self._turns = read_turns(catalogue)
        self._suspects: tuple[str, ...] = ()  # damaged at their last reading, to be read once more
        rename_damaged(directory, blocks.quarantine)
        self._orphans = [directory / path for path in orphaned_files(directory)]  # there are no more until a start
        self._looked_ms = 0
        self._compared_ms = clock()  # when the catalogue was, last; it has just been opened
        self.damaged_files: dict[str, str] = {}  # that stay where they are: without them nothing could be read
        self.files = self.bytes = 0
        self.oldest_reading_ms = 0  # how long ago the file was read whose turn it is

    # ---- on the maintenance thread ----

    def is_due(self) -> bool:
        """True where a file is to be read back, the catalogue compared, or all files looked for."""
        now_ms = self._clock()
        return self._must_compare(now_ms) or self._must_look(now_ms) or self._next_file(now_ms) is not None

    def run(self) -> Slices[None]:
        """Do one turn of the work that is due. Raises: OSError, Unavailable, Damaged."""
        now_ms = self._clock()
        if self._must_compare(now_ms):
            self._compare_catalogue(now_ms)
        if self._must_look(now_ms):
            self._looked_ms = now_ms
            yield from self.put_missing_aside()
            yield from self._look_for_segments()
        file = self._next_file(now_ms)
        if file is None:
            return
        damage = yield from self._read(file)
        self.files += 1
        if not self._is_current(file):
            return  # it was merged away while it was read
        if damage:
            yield from self._note_damage(file, damage, now_ms)
            return
        self._note_sound(file, now_ms)
        if isinstance(file, SeriesSegment):
            self._mend_or_suspect(file)  # its second copy is read back too

    def _next_file(self, now_ms: int) -> ScrubbedFile | None:
        """The file to read back now, if any."""
        files: list[ScrubbedFile] = [*self._blocks.blocks, *self._catalogue.series_segments()]
        suspects = [file for file in files if file.path in self._suspects]
        turn = next_turn(suspects or files, self._turns, now_ms)
        if turn is None:
            return None
        file, self.oldest_reading_ms = turn
        return file if suspects or self.oldest_reading_ms >= self._settings.scrub_interval_ms else None

    def _read(self, file: ScrubbedFile) -> Slices[str]:
        """Describes the damage of a file; empty where it is sound."""
        reading = read_back(self._directory, file)
        while True:
            try:
                size = next(reading)
            except StopIteration as end:
                return str(end.value)
            self.bytes += size
            yield size / self._settings.scrub_bytes_per_second_max

    def _is_current(self, file: ScrubbedFile) -> bool:
        files: Sequence[ScrubbedFile]
        files = self._blocks.blocks if isinstance(file, BlockRow) else self._catalogue.series_segments()
        return any(one.id == file.id for one in files)

    def _must_compare(self, now_ms: int) -> bool:
        return abs(now_ms - self._compared_ms) >= self._settings.scrub_interval_ms

    def _must_look(self, now_ms: int) -> bool:
        return abs(now_ms - self._looked_ms) >= LOOK_INTERVAL_MS

    def _compare_catalogue(self, now_ms: int) -> None:
        """Compare the catalogue with its digests."""
        self._compared_ms = now_ms
        self.damaged_files.pop(CATALOGUE, None)
        if faults := self._catalogue.check():
            self.damaged_files[CATALOGUE] = "; ".join(faults)
            log.error("the catalogue is damaged", faults=faults)

    def put_missing_aside(self) -> Slices[None]:
        """Put blocks aside whose files are missing. Raises: OSError, Unavailable, BlocksChanged."""
        if not (self._directory / BLOCKS).is_dir():
            return  # a disk that is not there is no damage of single files
        for block in [one for one in self._blocks.blocks if not is_there(self._directory, one)]:
            log.error("a file is missing", path=block.path, rows=block.rows)
            yield from self._put_aside(block, MISSING, self._clock())

    def _look_for_segments(self) -> Slices[None]:
        """Segments of the series table that are missing are written again; those without a second copy get one."""
        for segment in self._catalogue.series_segments():
            if segment.path in self.damaged_files:
                continue
            if not locate(self._directory, segment.path).exists():
                if self._is_current(segment):
                    yield from self._note_damage(segment, MISSING, self._clock())
            elif not locate(self._directory, copy_path(segment.path)).exists():
                self._mend_or_suspect(segment)
            yield 0.0

    def _mend_or_suspect(self, segment: SeriesSegment) -> None:
        if not mend_segment(self._directory, segment.path, segment.seal):
            self.suspect(segment.path)

    def _note_sound(self, file: ScrubbedFile, now_ms: int) -> None:
        self._suspects = tuple(path for path in self._suspects if path != file.path)
        self.damaged_files.pop(file.path, None)
        note_turn(self._catalogue, file.path, now_ms)
        self._turns[file.path] = now_ms

    def _note_damage(self, file: ScrubbedFile, damage: str, now_ms: int) -> Slices[None]:
        """The second time in a row it is believed: a disk, a cable or memory may fail once."""
        if file.path not in self._suspects and damage != MISSING:
            self._suspects += (file.path,)
            return
        log.error("a file is damaged", path=file.path, damage=damage)
        if isinstance(file, BlockRow):
            yield from self._put_aside(file, damage, now_ms)
        elif self._write_again(file):
            self.damaged_files.pop(file.path, None)
        else:
            self.damaged_files[file.path] = damage
            self._turns[file.path] = now_ms
        self._suspects = tuple(path for path in self._suspects if path != file.path)

    def _write_again(self, segment: SeriesSegment) -> bool:
        """Write a segment of the series table again, from its second copy or else out of memory."""
        if mend_segment(self._directory, segment.path, segment.seal):
            log.warning("a segment of the series table was copied again", path=segment.path)
            return True
        if self._rewrite(segment):
            log.warning("a segment of the series table was written again out of memory", path=segment.path)
            return True
        return False

    def _put_aside(self, block: BlockRow, damage: str, now_ms: int) -> Slices[None]:
        """Sound rows into a new block, the rest into the quarantine. Raises: BlocksChanged where it has gone."""
        with self._blocks.hold():
            saved, lost = yield from save_sound(self._directory, self._catalogue, block)
        try:
            with self._blocks.change:
                row = put_aside(self._catalogue, block, damage, now_ms, saved, lost)
                self._blocks.put_aside(block, row, saved)
        except BlocksChanged:  # raised again; nothing was committed
            delete_blocks(self._directory, () if saved is None else (saved,))
            raise
        self._turns.pop(block.path, None)

    # ---- on any thread ----

    def suspect(self, path: str) -> None:
        """A reader met damage in a file: it is read back next. path: absolute, or relative to the directory."""
        known = path.removeprefix(f"{self._directory}/")
        if known not in self._suspects and len(self._suspects) < SUSPECTS_MAX:
            self._suspects += (known,)

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status``."""
        return {
            "scrub": {
                "files": self.files,
                "bytes": self.bytes,
                "oldest_reading_ms": self.oldest_reading_ms,
                "damaged_files": self.damaged_files,
            },
            "quarantine": quarantine_facts(self._blocks.quarantine),
            "unclaimed": sum(path.exists() for path in self._orphans),
        }


def quarantine_facts(rows: Sequence[QuarantineRow]) -> dict[str, Any]:
    """Counts of quarantined files and rows, and their names."""
    files = [{"path": row.path, "rows": row.rows, "min_ms": row.min_ms, "max_ms": row.max_ms} for row in rows[:100]]
    return {"blocks": len(rows), "rows": sum(row.rows for row in rows), "files": files}
