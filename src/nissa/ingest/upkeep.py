"""Upkeep of what is stored, on the sealer thread whenever it has nothing to seal: once a second, a little at a time.

    every minute        what is over is dropped: rows first, in one transaction, then files       (store/retention.py)
    all the time        the file that was not read for longest is read back from the disk          (store/scrub.py)
    when space is low   the same dropping at once, the head sealed for the journal's sake, no merges

Nothing goes while the wall clock is in doubt (store/clock_guard.py). A damaged block is put aside
(store/quarantine.py). What fails is counted and tried again at the next turn; the sealer goes on.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nissa.config.tree import Config
from nissa.ingest.space import read_space
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import MINUTE_MS, SECOND_MS
from nissa.rollup.salvage import save_sound_windows
from nissa.store.catalogue import BlockRow, Catalogue, TierRow
from nissa.store.checked_file import sync_directory
from nissa.store.clock_guard import ClockGuard, Doubt, Sighting, read_sighting, write_sighting
from nissa.store.garbage import unclaimed_files
from nissa.store.names import BLOCKS, CATALOGUE, is_tier_kind, locate
from nissa.store.pins import Pin, add_pin, drop_unpinned, read_pins, remove_pin
from nissa.store.quarantine import QuarantineRow, put_aside, read_quarantine, rename_damaged
from nissa.store.retention import Rules, blocks_over, horizons, oldest_unfolded
from nissa.store.salvage import save_sound_rows
from nissa.store.scrub import ScrubbedFile, next_turn, note_turn, read_back, read_turns

RETAIN_INTERVAL_MS = MINUTE_MS
LOW_INTERVAL_MS = 10 * SECOND_MS  # between two tries to make space
SUSPECTS_MAX = 1_000
DOUBT_LOG_MS = 10 * MINUTE_MS

Steady = Callable[[], tuple[str, int]]

log = structlog.get_logger()


class Dropped(msgspec.Struct):
    """What retention has dropped since the start."""

    blocks: int = 0
    rows: int = 0
    bytes: int = 0


class Hands(msgspec.Struct, frozen=True):
    """What the upkeep needs of the sealer.

    blocks: those there are now. forget: show them no more. replace: show another one for them. oldest_head_ms: time of
    the oldest sample in no block. between: seals the head that waits; raises Unavailable to end the work. pause: waits
    so many seconds at most.
    """

    blocks: Callable[[], tuple[BlockRow, ...]]
    forget: Callable[[Sequence[BlockRow]], None]
    replace: Callable[[tuple[BlockRow, ...], BlockRow], None]
    oldest_head_ms: Callable[[], int | None]
    between: Callable[[], None]
    pause: Callable[[float], None]


class Upkeep:
    """What is to be done, what was done. ``step`` is for the sealer thread, all else for any."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        config: Config,
        clock: Callable[[], int],
        steady: Steady | None,
        hands: Hands,
    ) -> None:
        """clock: Unix milliseconds. steady: which run of the machine this is, and milliseconds since it began.

        Without a steady clock nothing is dropped for its age.
        """
        self._directory, self._catalogue, self._config = directory, catalogue, config
        self._clock, self._steady, self._hands = clock, steady, hands
        self._guard = ClockGuard(read_sighting(catalogue))
        self._retained_ms: int | None = None
        self._doubt_logged_ms: int | None = None
        self._confirmed = False
        self._pins_lock = threading.Lock()
        self._pins = tuple(read_pins(catalogue))
        self._turns = read_turns(catalogue)
        self._suspects: tuple[str, ...] = ()  # damaged at their last reading, to be read once more
        self.doubt: Doubt | None = None
        self.dropped = Dropped()
        self.quarantine = tuple(read_quarantine(catalogue))
        rename_damaged(directory, self.quarantine)
        self._unclaimed = [directory / path for path in unclaimed_files(directory)]  # there are no more until a start
        self.damaged_files: dict[str, str] = {}  # that stay where they are: without them nothing could be read
        self._compared_ms = clock()  # when the catalogue was, last; it has just been opened
        self.scrubbed_files = self.scrubbed_bytes = 0
        self.oldest_reading_ms = 0  # how long ago the file was read whose turn it is
        self.is_low = False
        self.failures = 0
        self.last_error: str | None = None

    # ---- on the sealer thread ----

    def step(self) -> None:
        """Do what is due. Raises nothing: what goes wrong is counted."""
        for work in (self._watch_space, self._retain_when_due, self._scrub):
            try:
                work()
            except Unavailable as error:  # the engine closes, or the catalogue waits for the disk
                log.info("upkeep is put off", reason=str(error))
            except Exception as error:  # nothing is lost: it is tried again at the next turn
                self.failures += 1
                self.last_error = f"{type(error).__name__}: {error}"
                log.exception("upkeep failed; trying again")

    def _watch_space(self) -> None:
        """Note whether space is low, well before ingestion must close."""
        is_low = read_space(self._directory, self._config.storage).is_low
        if is_low and not self.is_low:
            log.warning("space is low: what may go goes now, blocks are not merged")
        self.is_low = is_low

    def _retain_when_due(self) -> None:
        if self._steady is None:
            return
        boot, steady_ms = self._steady()
        interval_ms = LOW_INTERVAL_MS if self.is_low else RETAIN_INTERVAL_MS
        if self._retained_ms is not None and steady_ms - self._retained_ms < interval_ms and not self._confirmed:
            return
        self._retained_ms = steady_ms
        self.retain(Sighting(self._clock(), boot, steady_ms))

    def retain(self, now: Sighting) -> None:
        """Drop what is over, unless the clock is in doubt. Raises: OSError, Unavailable."""
        if self._confirmed:
            self._confirmed = False
            self._guard.believe(now)
        self.doubt = self._guard.look(now)
        if self.doubt is not None:
            self._tell_doubt(self.doubt, now.steady_ms)
            return
        self._doubt_logged_ms = None
        write_sighting(self._catalogue, now)
        head_ms = self._hands.oldest_head_ms()  # before the blocks: what is sealed in between is then in both
        pins = self._pins = tuple(read_pins(self._catalogue))
        over = self._over(self._hands.blocks(), now.wall_ms, head_ms, pins)
        if over:
            self._drop(over, pins)

    def _over(
        self, blocks: Sequence[BlockRow], now_ms: int, head_ms: int | None, pins: Sequence[Pin]
    ) -> list[BlockRow]:
        config, catalogue = self._config, self._catalogue
        wanted = config.ladder.tiers
        rules = Rules(
            config.ladder.raw_retention_ms, config.storage.events_retention_ms, config.acceptance.past_ms, bool(wanted)
        )
        tiers: Sequence[TierRow] = catalogue.tiers()
        if tuple(row.tier for row in tiers) != wanted:
            tiers = ()  # the ladder has changed, and has not begun yet
        reach = horizons(now_ms, rules, tiers, catalogue.tiers(unused=True), oldest_unfolded(blocks, tiers, head_ms))
        return blocks_over(blocks, now_ms, reach, pins)

    def _drop(self, over: Sequence[BlockRow], pins: Sequence[Pin]) -> None:
        if not drop_unpinned(self._catalogue, over, pins):
            return  # somebody set a pin meanwhile: the next turn knows of it
        self._hands.forget(over)
        dropped = self.dropped
        for block in over:
            dropped.blocks += 1
            dropped.rows += block.rows
            dropped.bytes += block.bytes
            locate(self._directory, block.path).unlink(missing_ok=True)
        sync_directory(self._directory / BLOCKS)
        log.info("blocks are over and were dropped", blocks=len(over), rows=sum(block.rows for block in over))

    def _tell_doubt(self, doubt: Doubt, steady_ms: int) -> None:
        if self._doubt_logged_ms is None or steady_ms - self._doubt_logged_ms >= DOUBT_LOG_MS:
            self._doubt_logged_ms = steady_ms
            log.warning("nothing is dropped for its age", reason=str(doubt))

    # ---- scrubbing, on the sealer thread ----

    def _scrub(self) -> None:
        """Read one file back where its turn has come."""
        now_ms = self._clock()
        self._compare_catalogue(now_ms)
        files: list[ScrubbedFile] = [*self._hands.blocks(), *self._catalogue.series_segments()]
        suspects = [file for file in files if file.path in self._suspects]
        turn = next_turn(suspects or files, self._turns, now_ms)
        if turn is None:
            return
        file, self.oldest_reading_ms = turn
        if not suspects and self.oldest_reading_ms < self._config.storage.scrub_interval_ms:
            return
        damage = read_back(self._directory, file, self._between_pieces)
        self.scrubbed_files += 1
        if not damage:
            self._note_sound(file, now_ms)
        elif any(block.id == file.id for block in self._hands.blocks()) or not isinstance(file, BlockRow):
            self._note_damage(file, damage, now_ms)  # else it was merged away while it was read

    def _compare_catalogue(self, now_ms: int) -> None:
        """Look whether the catalogue still says what was written, where that was not done for long."""
        if abs(now_ms - self._compared_ms) < self._config.storage.scrub_interval_ms:
            return
        self._compared_ms = now_ms
        self.damaged_files.pop(CATALOGUE, None)
        if faults := self._catalogue.check():
            self.damaged_files[CATALOGUE] = "; ".join(faults)
            log.error("the catalogue is damaged", faults=faults)

    def _between_pieces(self, size: int) -> None:
        self.scrubbed_bytes += size
        self._hands.pause(size / self._config.storage.scrub_bytes_per_second_max)
        self._hands.between()

    def _note_sound(self, file: ScrubbedFile, now_ms: int) -> None:
        self._suspects = tuple(path for path in self._suspects if path != file.path)
        self.damaged_files.pop(file.path, None)
        note_turn(self._catalogue, file.path, now_ms)
        self._turns[file.path] = now_ms

    def _note_damage(self, file: ScrubbedFile, damage: str, now_ms: int) -> None:
        """The second time in a row it is believed: a disk, a cable or memory may fail once."""
        if file.path not in self._suspects:
            self._suspects += (file.path,)
            return
        log.error("a file is damaged", path=file.path, damage=damage)
        if isinstance(file, BlockRow):
            self._put_aside(file, damage, now_ms)
        else:  # its series are in memory still
            self.damaged_files[file.path] = damage
            self._turns[file.path] = now_ms
        self._suspects = tuple(path for path in self._suspects if path != file.path)

    def _put_aside(self, block: BlockRow, damage: str, now_ms: int) -> None:
        place = (self._directory, self._catalogue, block, self._hands.between)
        if is_tier_kind(block.kind):
            saved, lost = save_sound_windows(*place)
        else:
            saved = save_sound_rows(*place)
            lost = block.rows - (0 if saved is None else saved.rows)
        row = put_aside(self._catalogue, block, damage, now_ms, saved, lost)
        self.quarantine += (row,)  # before it is forgotten: readers hear of it once too often rather than never
        if saved is None:
            self._hands.forget((block,))
        else:
            self._hands.replace((block,), saved)
        self._turns.pop(block.path, None)
        rename_damaged(self._directory, (row,))

    # ---- on any thread ----

    def suspect(self, path: str) -> None:
        """Somebody met damage in a file, told by its path, also relative to the directory: it is read back next."""
        known = path.removeprefix(f"{self._directory}/")
        if known not in self._suspects and len(self._suspects) < SUSPECTS_MAX:
            self._suspects += (known,)

    def confirm_clock(self) -> None:
        """Somebody who knows says that the wall clock is right: believed at the next step."""
        self._confirmed = True

    def pins(self) -> list[Pin]:
        """All pins."""
        return list(self._pins)

    def add_pin(self, name: str, start_ms: int, end_ms: int) -> Pin:
        """Pin [start_ms, end_ms). Raises: BadQuery."""
        with self._pins_lock:
            pin = add_pin(self._catalogue, name, start_ms, end_ms, self._clock())
            self._pins = tuple(read_pins(self._catalogue))
        return pin

    def remove_pin(self, number: int) -> None:
        """Remove a pin. Raises: BadQuery where there is none."""
        with self._pins_lock:
            removed = remove_pin(self._catalogue, number)
            self._pins = tuple(read_pins(self._catalogue))
        if not removed:
            raise BadQuery(f"there is no pin {number}")

    def facts(self) -> dict[str, Any]:
        """What ``/api/status`` tells."""
        return {
            "clock": "no steady clock"
            if self._steady is None
            else "trusted"
            if self.doubt is None
            else str(self.doubt),
            "clock_off_ms": 0 if self.doubt is None else self.doubt.off_ms,
            "clock_in_doubt": self._steady is None or self.doubt is not None,
            "dropped": msgspec.to_builtins(self.dropped),
            "pins": len(self._pins),
            "space_low": self.is_low,
            "failures": self.failures,
            "last_error": self.last_error,
            "scrub": {
                "files": self.scrubbed_files,
                "bytes": self.scrubbed_bytes,
                "oldest_reading_ms": self.oldest_reading_ms,
                "damaged_files": self.damaged_files,
            },
            "quarantine": quarantine_facts(self.quarantine),
            "unclaimed": sum(path.exists() for path in self._unclaimed),
        }


def quarantine_facts(rows: Sequence[QuarantineRow]) -> dict[str, Any]:
    """How much is in quarantine, and what."""
    files = [{"path": row.path, "rows": row.rows, "min_ms": row.min_ms, "max_ms": row.max_ms} for row in rows[:100]]
    return {"blocks": len(rows), "rows": sum(row.rows for row in rows), "files": files}
