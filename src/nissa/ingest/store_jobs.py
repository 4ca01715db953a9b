"""The jobs of the maintenance thread, put together: which there are, which goes first, and what they are given.

retention       drops expired blocks, notes whether space is low            maintenance/retainer.py
release         deletes files that snapshots have let go of                 store/block_set.py
ladder          windows of what was sealed                                  ingest/ladder.py
series          merges segments of the series table                         store/series_merge.py
slices          cuts event blocks that lie in several slices of time        store/event_slices.py
compaction      merges blocks                                               store/compaction.py
tombstones      forgets deletions that merges have carried out              rollup/tombstones.py
series_expiry   drops series that nothing mentions                          ingest/series_expiry.py
scrub           reads files back                                            maintenance/scrubber.py
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nissa.catalogue.catalogue import SeriesSegment
from nissa.config.tree import Config
from nissa.ingest.merges import Merges
from nissa.ingest.recover import Opened
from nissa.ingest.restored_series import is_lost
from nissa.ingest.sealing import Sealer
from nissa.ingest.series_expiry import Expiring, SeriesExpiry
from nissa.ingest.watchdog import Pulse
from nissa.maintenance.jobs import Job, Maintenance
from nissa.maintenance.retainer import Retainer, Steady
from nissa.maintenance.scrubber import Scrubber
from nissa.series.policies import SeriesPolicies

PAUSABLE = frozenset(("slices", "compaction", "scrub"))  # nothing is lost or refused while these wait


class StoreJobs:
    """The maintenance of one directory: ``start`` begins it, ``end`` and ``join`` end it. Safe from any thread."""

    def __init__(
        self,
        opened: Opened,
        sealer: Sealer,
        config: Config,
        clock: Callable[[], int],
        steady: Steady | None,
        call: Callable[[Callable[[], None]], None],
        keeping: SeriesPolicies | None,
    ) -> None:
        """clock: Unix milliseconds. steady: as ``Retainer`` takes it. call: runs something on the engine thread.

        keeping: policies of the ladder, where there are any.
        """
        pipeline, writer, blocks = opened.pipeline, opened.writer, sealer.blocks
        if pipeline.head.empty:  # all that was received before this start lies in blocks
            writer.frozen_ms = clock()
        place = (sealer.directory, opened.catalogue)

        def oldest_head_ms() -> int | None:
            return sealer.oldest_ms(lambda: pipeline.head)

        def rewrite(segment: SeriesSegment) -> bool:
            index = pipeline.index
            return not is_lost(index, segment) and writer.rewrite_series(segment, index)

        self.retainer = Retainer(*place, config, blocks, sealer.tombstones, clock, steady, oldest_head_ms)
        self.scrubber = Scrubber(*place, config.storage, blocks, clock, rewrite)
        self.merges = Merges(writer, opened.catalogue, config, clock, self.retainer, self.scrubber, keeping)
        parts = (opened.catalogue, writer, pipeline, sealer, self.scrubber.suspect)
        self.expiry = SeriesExpiry(Expiring(*parts, call, clock, keeping))
        self.pulse = Pulse()
        jobs = (
            Job("retention", self.retainer.is_due, self.retainer.run),
            *self.merges.jobs(),
            Job("series_expiry", self.expiry.is_due, self.expiry.run),
            Job("scrub", self.scrubber.is_due, self.scrubber.run),
        )
        self._maintenance = Maintenance(jobs, self.pulse.beat)
        self.thread = self._maintenance.thread
        self.start, self.wake = self._maintenance.start, self._maintenance.wake
        self.end = self._maintenance.end
        self._blocks = blocks

    def pause(self, paused: bool) -> None:
        """Pause the jobs that can wait, or let them go on."""
        self._maintenance.paused = PAUSABLE if paused else frozenset()

    def join(self) -> None:
        """Wait until the thread has ended; delete files that no reader holds any more."""
        self._maintenance.join()
        with suppress(OSError):  # garbage at the next start
            self._blocks.delete_unheld()

    def status(self, import_rows: int) -> dict[str, Any]:
        """Parts of ``/api/status``. import_rows: imported samples in memory."""
        facts = self.facts()
        return {
            "maintenance": facts,
            "upkeep": facts,  # its former name, until 0.2
            "ladder": self._ladder_status(),
            "deletions": self.merges.deletion_status(),
            "imports": self.merges.imports.facts(import_rows),
        }

    def facts(self) -> dict[str, Any]:
        """Facts about jobs, retention and scrub."""
        maintenance = self._maintenance
        return {
            **self.retainer.facts(),
            **self.scrubber.facts(),
            "failures": maintenance.failures,
            "last_error": maintenance.last_error,
            "jobs": maintenance.facts(),
        }

    def _ladder_status(self) -> dict[str, Any]:
        """Progress of each tier."""
        ladder, job = self.merges.ladder, self._maintenance.facts()["ladder"]
        found = {"failures": job["failures"], "damages": ladder.damages, "last_error": job["last_error"]}
        return {"lsn": ladder.done_lsn, "tiers": ladder.facts(), **found}
