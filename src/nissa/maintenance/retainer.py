"""The retention job: once a minute expired blocks are dropped, rows first, in one commit; their files follow.

    clock, steady clock ──► ClockGuard: is the wall clock trusted? ──► retention.expired_blocks ──► one commit
    space that is low   ──► every ten seconds instead, and blocks are not merged                    (``is_low``)

Which blocks have expired is decided in ``retention.py``, whether the clock is trusted in ``clock_guard.py``. What time
of the heads counts is asked before the blocks are listed: a head that is sealed in between is then found in both.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, TierRow
from nissa.config.tree import Config
from nissa.files.names import BLOCKS, EVENTS_KIND, IMPORT_KIND, JOURNAL, RAW_KIND, kept_of, tier_of
from nissa.maintenance.clock_guard import ClockGuard, ClockJump, ClockReading, read_clock_reading, write_clock_reading
from nissa.maintenance.forecast import Forecast, KindRetention, forecast
from nissa.maintenance.retention import Rules, expired_blocks, horizons, oldest_unfolded
from nissa.maintenance.space import bytes_beside, read_space
from nissa.model.errors import BadQuery
from nissa.model.ladder import interval_of
from nissa.model.units import MINUTE_MS, SECOND_MS
from nissa.store.block_set import BlockSet
from nissa.store.pins import PINS_RESERVED, Pin, add_pin, drop_unpinned, keep_pin, read_pins, remove_pin
from nissa.store.tombstones import Tombstones

RETAIN_INTERVAL_MS = MINUTE_MS
LOW_INTERVAL_MS = 10 * SECOND_MS  # between two tries to make space
DOUBT_LOG_MS = 10 * MINUTE_MS

Steady = Callable[[], tuple[str, int]]

log = structlog.get_logger()


class Dropped(msgspec.Struct):
    """Counts of blocks that retention has dropped since the start."""

    blocks: int = 0
    rows: int = 0
    bytes: int = 0


class Retainer:
    """Drops expired blocks and counts them. ``is_due`` and ``run`` are for the maintenance thread, all else for any."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        config: Config,
        blocks: BlockSet,
        tombstones: Tombstones,
        clock: Callable[[], int],
        steady: Steady | None,
        oldest_head_ms: Callable[[], int | None],
    ) -> None:
        """clock: Unix milliseconds. steady: which run of the machine this is, and milliseconds since it began; without
        it nothing is dropped by age. oldest_head_ms: time of the oldest sample in no block, None where there is none.
        """
        self._directory, self._catalogue, self._config = directory, catalogue, config
        self._blocks, self._tombstones = blocks, tombstones
        self._clock, self._steady, self._oldest_head_ms = clock, steady, oldest_head_ms
        self._guard = ClockGuard(read_clock_reading(catalogue))
        self._pins_lock = threading.Lock()
        self._pins = tuple(read_pins(catalogue))
        self._doubt_logged_ms: int | None = None
        self._confirmed = False
        self.retained_ms: int | None = None  # the steady clock when retention last ran
        self.clock_jump: ClockJump | None = None
        self.dropped = Dropped()
        self.is_low = False

    # ---- on the maintenance thread ----

    def is_due(self) -> bool:
        """True once a minute, or more often while space is low, which is noted here; or once the clock is confirmed."""
        self._watch_space()
        if self._steady is None:
            return False
        interval_ms = LOW_INTERVAL_MS if self.is_low else RETAIN_INTERVAL_MS
        return self.retained_ms is None or self._confirmed or self._steady()[1] - self.retained_ms >= interval_ms

    def run(self) -> None:
        """Drop expired blocks. Raises: OSError, Unavailable, Damaged."""
        if self._steady is not None:
            boot, self.retained_ms = self._steady()
            self.retain(ClockReading(self._clock(), boot, self.retained_ms))

    def retain(self, now: ClockReading) -> None:
        """Drop blocks expired at ``now``, unless the clock is in doubt. Raises: OSError, Unavailable, Damaged."""
        if self._confirmed:
            self._confirmed = False
            self._guard.believe(now)
        self.clock_jump = self._guard.look(now)
        if self.clock_jump is not None:
            self._report_clock_jump(self.clock_jump, now.steady_ms)
            return
        self._doubt_logged_ms = None
        write_clock_reading(self._catalogue, now)
        head_ms = self._oldest_head_ms()  # before the blocks: what is sealed in between is then in both
        pins = self._pins = tuple(read_pins(self._catalogue))
        expired = self._expired(self._blocks.blocks, now.wall_ms, head_ms, pins)
        if expired:
            self._drop(expired, pins)

    def _watch_space(self) -> None:
        """Note whether space is low, well before ingestion must close."""
        is_low = read_space(self._directory, self._config.storage).is_low
        if is_low and not self.is_low:
            log.warning("disk space is low: expired blocks are deleted at once, blocks are not merged")
        self.is_low = is_low

    def _expired(
        self, blocks: Sequence[BlockRow], now_ms: int, head_ms: int | None, pins: Sequence[Pin]
    ) -> list[BlockRow]:
        config, catalogue = self._config, self._catalogue
        wanted = config.ladder.tiers
        rules = Rules(
            config.ladder.raw_retention_ms,
            config.storage.events_retention_ms,
            config.acceptance.past_ms,
            bool(wanted),
            config.acceptance.event_future_ms,
        )
        tiers: Sequence[TierRow] = catalogue.tiers()
        if tuple(row.tier for row in tiers) != wanted:
            tiers = ()  # the ladder has changed, and has not begun yet
        reach = horizons(now_ms, rules, tiers, catalogue.tiers(unused=True), oldest_unfolded(blocks, tiers, head_ms))
        return expired_blocks(blocks, now_ms, reach, pins)

    def _drop(self, expired: Sequence[BlockRow], pins: Sequence[Pin]) -> None:
        with self._blocks.change:
            if not drop_unpinned(self._catalogue, expired, pins):
                return  # a pin was set meanwhile: the next run knows of it
            self._tombstones.expire(expired)
            self._blocks.replace(expired, ())
        dropped = self.dropped
        for block in expired:
            dropped.blocks += 1
            dropped.rows += block.rows
            dropped.bytes += block.bytes
        log.info("expired blocks were dropped", blocks=len(expired), rows=sum(block.rows for block in expired))

    def _report_clock_jump(self, clock_jump: ClockJump, steady_ms: int) -> None:
        if self._doubt_logged_ms is None or steady_ms - self._doubt_logged_ms >= DOUBT_LOG_MS:
            self._doubt_logged_ms = steady_ms
            log.warning("nothing is dropped by age while the wall clock is not trusted", reason=str(clock_jump))

    # ---- on any thread ----

    def confirm_clock(self) -> None:
        """The wall clock is right, an operator says: it is trusted from the next run on."""
        self._confirmed = True

    def pins(self) -> list[Pin]:
        """All pins."""
        return list(self._pins)

    def add_pin(self, name: str, start_ms: int, end_ms: int) -> Pin:
        """Pin [start_ms, end_ms). name: its purpose. Raises: BadQuery."""
        with self._pins_lock:
            pin = add_pin(self._catalogue, name, start_ms, end_ms, self._clock(), PINS_RESERVED)
            self._pins = tuple(read_pins(self._catalogue))
        return pin

    def keep_pin(self, name: str, start_ms: int, end_ms: int) -> None:
        """Have the one pin of this name reach over [start_ms, end_ms). Raises: BadQuery; then it is as before."""
        with self._pins_lock:
            keep_pin(self._catalogue, name, start_ms, end_ms, self._clock(), PINS_RESERVED)
            self._pins = tuple(read_pins(self._catalogue))

    def remove_pin(self, number: int) -> None:
        """Remove the pin of this number. Raises: BadQuery where there is none."""
        with self._pins_lock:
            removed = remove_pin(self._catalogue, number)
            self._pins = tuple(read_pins(self._catalogue))
        if not removed:
            raise BadQuery(f"there is no pin {number}")

    def forecast(self, journal_bytes: int) -> Forecast:
        """Growth of the directory and the day its disk is full; lists the directory. journal_bytes: on disk now."""
        blocks, config = self._blocks.blocks, self._config
        tiers = {tier.name: tier for tier in config.ladder.tiers}
        kept = {
            RAW_KIND: KindRetention(config.ladder.raw_retention_ms),
            EVENTS_KIND: KindRetention(config.storage.events_retention_ms),
        }
        kept[IMPORT_KIND] = kept[RAW_KIND]
        for kind in {block.kind for block in blocks}:
            tier, policy = tiers.get(tier_of(kind)), kept_of(kind)
            if tier is not None:
                kept[kind] = KindRetention(interval_of(policy) if policy else tier.retention_ms, tier.interval_ms)
        space = read_space(self._directory, config.storage)
        other_bytes = bytes_beside(self._directory, (BLOCKS, JOURNAL))
        return forecast(blocks, kept, space, self._clock(), journal_bytes=journal_bytes, other_bytes=other_bytes)

    @property
    def clock_in_doubt(self) -> bool:
        """True while nothing is dropped by age."""
        return self._steady is None or self.clock_jump is not None

    def doubts_clock(self) -> bool:
        """True while the wall clock is in doubt, also for a jump that no run has seen yet."""
        if self._steady is None or self.clock_jump is not None:
            return True
        return self._guard.is_off(ClockReading(self._clock(), *self._steady()))

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status``."""
        jump = self.clock_jump
        clock = "no steady clock" if self._steady is None else "trusted" if jump is None else str(jump)
        return {
            "clock": clock,
            "clock_off_ms": 0 if jump is None else jump.off_ms,
            "clock_in_doubt": self.clock_in_doubt,
            "dropped": msgspec.to_builtins(self.dropped),
            "pins": len(self._pins),
            "space_low": self.is_low,
        }
