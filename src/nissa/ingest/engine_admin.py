"""Administration of a running engine (``query.backend.Admin``): deletion, lookup of requests, and care of the store."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nissa._fast.dedup_keys import key_of_request
from nissa.dedup import CacheType
from nissa.ingest.deletion import any_in_memory, bury, chosen_series
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.sealing import Sealer
from nissa.journal.journal import Journal
from nissa.maintenance.admin import StoreAdmin
from nissa.maintenance.retainer import Retainer
from nissa.maintenance.scrubber import Scrubber
from nissa.model.allowance import Check, no_check
from nissa.model.matcher import Selector
from nissa.model.receipt import FoundRequest
from nissa.store.tombstones import Tombstone


class Administered(msgspec.Struct, frozen=True):
    """Parts of an engine that its administration works on.

    ask: runs a function on the engine thread and returns its result; raises Unavailable once closed or broken. flush:
    seals all that was taken before. clock: Unix milliseconds.
    """

    pipeline: Pipeline
    journal: Journal
    sealer: Sealer
    ask: Callable[[Callable[[], Any]], Any]
    flush: Callable[[], None]
    clock: Callable[[], int]


class EngineAdmin(StoreAdmin):
    """Deletion of series, dedup entries of requests; and pins, the clock and suspect files. Safe from any thread."""

    def __init__(self, retainer: Retainer, scrubber: Scrubber, parts: Administered) -> None:
        """retainer, scrubber: of the store. parts: of the engine."""
        super().__init__(retainer, scrubber)
        self._parts = parts

    def find_request(self, epoch: int, request_id: str) -> list[FoundRequest]:
        """Dedup entries of a request, at most one for each kind. Raises: Unavailable once closed or broken."""
        pipeline, journal = self._parts.pipeline, self._parts.journal

        def find() -> list[FoundRequest]:
            durable_lsn = journal.durable_lsn
            key, now_ms = key_of_request(pipeline.index, epoch, request_id.encode()), pipeline.clock.now_ms
            return [
                FoundRequest(kind.value, found.lsn, found.lsn <= durable_lsn, found.expires_ms - now_ms)
                for kind in CacheType
                if (found := pipeline.remembered.get(kind, key, now_ms)) is not None
            ]

        entries: list[FoundRequest] = self._parts.ask(find)
        return entries

    def delete_series(
        self, selectors: Sequence[Selector], interval_ms: tuple[int, int], check: Check = no_check
    ) -> Tombstone | None:
        """Delete samples received until now of the selected series, in the half-open interval.

        Returns None where there is nothing of them. Raises: BadQuery, Unavailable, Damaged, and what ``check`` raises.
        """
        pipeline, sealer = self._parts.pipeline, self._parts.sealer
        series = chosen_series(pipeline.index, selectors, check)
        with sealer.snapshot(lambda: pipeline.head) as snapshot:
            in_memory = any_in_memory(snapshot.heads, series, interval_ms)
        if in_memory or sealer.import_rows(lambda: pipeline.head):
            self._parts.flush()
        return bury(sealer.tombstones, sealer.blocks.blocks, series, interval_ms, self._parts.clock())
