"""Scraping as a source: the entries of ``scrape_configs``, their targets, and one task per target.

prometheus.yml ──► entries ──► Discovery ──groups──► targets_of ──► Pool: tasks of new targets start, others end
                                                                      └─ Scraper ──► intake
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from nissa._fast.exposition_series import ExpositionSeries
from nissa.config.scrape import Scrape
from nissa.config.scrape_configs import ScrapeConfig, TlsConfig
from nissa.config.scrape_entries import read_scrape_entries
from nissa.config.tree import Config
from nissa.model.quantity import Unit, write_quantity
from nissa.model.relabel import Labels, Relabelling
from nissa.model.secrets import hide_in_urls
from nissa.sources.inlet import Inlet
from nissa.sources.scrape.answers import AnswerReader
from nissa.sources.scrape.discovery import Discovery
from nissa.sources.scrape.fetch import Client, Session, open_session, tls_context
from nissa.sources.scrape.followed import Followed, FollowedMemory
from nissa.sources.scrape.reports import Reports
from nissa.sources.scrape.scraper import Scraper, Shared
from nissa.sources.scrape.targets import Found, ScrapeTarget, targets_of
from nissa.sources.source import Connected

DROPPED_SHOWN: Final = 100  # targets that relabelling dropped, of one entry, in lists

log = structlog.get_logger()


class ScrapeSource:
    """All targets of ``sources.scrape``."""

    path: Final = "sources.scrape"

    def __init__(self, config: Scrape, inlet: Inlet, body_bytes_max: int) -> None:
        """body_bytes_max: of an answer. Raises: ConfigInvalid where an entry cannot be read or served."""
        self._config = config
        self._inlet = inlet
        self._entries = _checked_entries(config)
        self._memory = FollowedMemory(config.followed_bytes_max)
        self._series = ExpositionSeries(secrets.token_bytes(32))
        self._answers = AnswerReader(self._series, body_bytes_max)
        self._pools: dict[str, Pool] = {}
        self._ended = (0, 0)  # scrapes and failures of pools that are gone
        self._changed = asyncio.Event()

    async def run(self, connected: Connected) -> None:
        """Scrape until cancelled; then markers for what is scraped no more are not sent: another start goes on."""
        async with open_session() as session:
            reports = Reports(self._inlet)
            shared = Shared(self._inlet, self._answers, reports, lambda: Followed(self._series, self._memory))
            self._pools = {}
            connected()
            try:
                async with asyncio.TaskGroup() as tasks:
                    while True:
                        await self._sync(tasks, session, shared)
                        await self._changed.wait()
                        self._changed.clear()
            finally:
                await reports.flush()

    async def _sync(self, tasks: asyncio.TaskGroup, session: Session, shared: Shared) -> None:
        """Have a pool for each entry."""
        wanted = {entry.job_name: (setting, entry) for setting, entry in self._entries.items()}
        for job in self._pools.keys() - wanted.keys():
            pool = self._pools.pop(job)
            await pool.end()
            self._ended = (self._ended[0] + pool.scrapes_ended, self._ended[1] + pool.failures_ended)
        for job, (setting, entry) in wanted.items():
            if job not in self._pools:
                pool = self._pools[job] = Pool(entry, setting, session, shared, self._room)
                pool.task = tasks.create_task(pool.run())
            elif self._pools[job].entry != entry:
                self._pools[job].replace(entry, setting)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read and check the entries of ``config``.

        Returns: a function that has them scraped; targets that stay go on as before. Raises: ConfigInvalid.
        """
        wanted = config.sources.scrape
        entries = _checked_entries(wanted)

        def apply() -> None:
            self._config, self._entries = wanted, entries
            self._memory.bytes_max = wanted.followed_bytes_max
            self._changed.set()

        return apply

    def _room(self) -> int:
        return self._config.targets_max - sum(len(pool.scrapers) for pool in self._pools.values())

    def facts(self) -> Mapping[str, object]:
        """Counts over all targets."""
        pools = list(self._pools.values())
        health = [scraper.health for pool in pools for scraper in pool.scrapers.values()]
        failures = sum(pool.failures_ended for pool in pools) + sum(one.failures for one in health)
        return {
            "targets": len(health),
            "targets_up": sum(one.state == "up" for one in health),
            "scrapes": self._ended[0] + sum(pool.scrapes_ended for pool in pools) + sum(one.scrapes for one in health),
            "scrapes_failed": self._ended[1] + failures,
            "followed_bytes": self._memory.used_bytes,
            "not_followed": self._memory.refused,
            "discovery_failures": sum(pool.discovery.failures for pool in pools),
            "discovery_errors": {
                hide_in_urls(place): hide_in_urls(why)
                for pool in pools
                for place, why in pool.discovery.errors().items()
            },
        }

    def targets(self) -> dict[str, Any]:
        """Targets as Prometheus' ``/api/v1/targets`` lists them."""
        return {
            "activeTargets": [_shown(scraper) for pool in self._pools.values() for scraper in pool.scrapers.values()],
            "droppedTargets": [
                {"discoveredLabels": _without_secrets(labels), "scrapePool": pool.entry.job_name}
                for pool in self._pools.values()
                for labels in pool.dropped[:DROPPED_SHOWN]
            ],
            "droppedTargetCounts": {pool.entry.job_name: len(pool.dropped) for pool in self._pools.values()},
        }


def _checked_entries(config: Scrape) -> dict[str, ScrapeConfig]:
    """Entries by their paths. Raises: ConfigInvalid where one cannot be read or served."""
    read = read_scrape_entries(config)
    for warning in read.warnings:
        log.warning(warning)
    for setting, entry in read.entries.items():
        for client in (entry, *entry.http_sd_configs):
            if client.tls_config != TlsConfig():
                tls_context(client.tls_config, f"{setting}.tls_config")
    return read.entries


class Pool:
    """The targets of one entry, and their tasks."""

    def __init__(
        self,
        entry: ScrapeConfig,
        setting: str,
        session: Session,
        shared: Shared,
        room: Callable[[], int],
    ) -> None:
        """setting: path of the entry, for messages. room: how many more targets there may be, over all entries.

        Raises: ConfigInvalid for certificates that cannot be loaded.
        """
        self.scrapers: dict[str, Scraper] = {}
        self.dropped: tuple[Labels, ...] = ()
        self.scrapes_ended = self.failures_ended = 0
        self.task: asyncio.Task[None] | None = None
        self._session = session
        self._shared = shared
        self._room = room
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._configure(entry, setting)

    def _configure(self, entry: ScrapeConfig, setting: str) -> None:
        self.entry = entry
        self._setting = setting
        self._client = Client(self._session, entry, setting)
        lists = [Client(self._session, one, f"{setting}.http_sd_configs") for one in entry.http_sd_configs]
        self.discovery = Discovery(entry, setting, lists, getattr(self, "discovery", None))
        self._relabelling = Relabelling(entry.relabel_configs)

    def replace(self, entry: ScrapeConfig, setting: str) -> None:
        """Take another entry of the same job from now on: targets that stay go on with their state and timing."""
        self._configure(entry, setting)
        self._changed.set()

    async def run(self) -> None:
        """Hold a task for each target until cancelled."""
        discovery = self.discovery
        discovering = asyncio.create_task(discovery.run(self._changed.set))
        try:
            while True:
                await self._sync(targets_of(self.entry, self._relabelling, discovery.groups()))
                await self._changed.wait()
                self._changed.clear()
                if self.discovery is not discovery:
                    discovering.cancel()
                    await asyncio.gather(discovering, return_exceptions=True)
                    discovery = self.discovery
                    discovering = asyncio.create_task(discovery.run(self._changed.set))
        finally:
            for task in (discovering, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(discovering, *self._tasks.values(), return_exceptions=True)

    async def end(self) -> None:
        """Scrape nothing any more; series get staleness markers."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for key in list(self.scrapers):
            await self._end(key)

    async def _sync(self, found: Found) -> None:
        self.dropped = found.dropped
        wanted = _limited(found.targets, self.entry.target_limit)
        for key in [key for key, scraper in self.scrapers.items() if not _goes_on(scraper.target, wanted.get(key))]:
            await self._end(key)
        for key, target in wanted.items():
            if key in self.scrapers:
                self.scrapers[key].configure(target, self.entry, self._client)
            elif self._room() > 0:
                self._start(key, target)
            else:
                log.warning("further targets are not scraped (sources.scrape.targets_max)", setting=self._setting)
                break

    def _start(self, key: str, target: ScrapeTarget) -> None:
        scraper = self.scrapers[key] = Scraper(target, self.entry, self._client, self._shared)
        self._tasks[key] = asyncio.create_task(scraper.run(), name=target.url)

    async def _end(self, key: str) -> None:
        scraper, task = self.scrapers.pop(key), self._tasks.pop(key)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await scraper.end()
        self.scrapes_ended += scraper.health.scrapes
        self.failures_ended += scraper.health.failures


def _limited(targets: dict[str, ScrapeTarget], limit: int) -> dict[str, ScrapeTarget]:
    """Targets as they are; none of them is asked where they are more than ``limit``, if that is not 0."""
    if not 0 < limit < len(targets):
        return targets
    error = f"{len(targets)} targets are over the limit of {limit} (target_limit)"
    return {key: msgspec.structs.replace(target, error=error) for key, target in targets.items()}


def _goes_on(target: ScrapeTarget, wanted: ScrapeTarget | None) -> bool:
    """True if the task of a target serves the one that is wanted now: only what was discovered may differ."""
    if wanted is None:
        return False
    same = (target.interval_ms, target.timeout_ms, target.error)
    return same == (wanted.interval_ms, wanted.timeout_ms, wanted.error)


def _shown(scraper: Scraper) -> dict[str, Any]:
    target, health = scraper.target, scraper.health
    return {
        "discoveredLabels": _without_secrets(target.discovered),
        "labels": target.labels,
        "scrapePool": target.job,
        "scrapeUrl": hide_in_urls(target.url),
        "globalUrl": hide_in_urls(target.url),
        "lastError": hide_in_urls(health.error),
        "lastScrape": _rfc3339(health.last_ms),
        "lastScrapeDuration": health.duration_s,
        "health": health.state,
        "scrapeInterval": write_quantity(target.interval_ms, Unit.DURATION),
        "scrapeTimeout": write_quantity(target.timeout_ms, Unit.DURATION),
    }


def _without_secrets(labels: Labels) -> Labels:
    return {name: hide_in_urls(value) for name, value in labels.items()}


def _rfc3339(ms: int) -> str:
    """A time as Go writes it; that of a target that was never asked is Go's zero."""
    if not ms:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
