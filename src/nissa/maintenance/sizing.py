"""Estimates what an installation needs, from what it receives and how long it keeps it.

    cores    samples/s × CPU time of a sample / BUSY + queries, at least 2
    memory   the process + series × index + head + limits of queries and cache
    disk     journal + samples × raw retention + windows of each tier × its retention + events × theirs + free space

The figures are measured ones, of ``docs/performance.md``, and on the careful side: a year of ``bench.year`` takes 0.63
of the disk that is computed here. Bytes and milliseconds throughout.
"""

from typing import Final

import msgspec

from nissa.config.tree import Config
from nissa.model.units import GIB, MIB, SECOND_MS
from nissa.store.bands import HELD_BYTES_MAX

CPU_S_PER_SAMPLE: Final = 0.86e-6  # decoding to ladder, with events (--case spans)
CPU_S_PER_EVENT: Final = 2.0e-6  # redacted and deduplicated, with HTTP
BUSY: Final = 0.5  # of the cores, in the mean: bursts and merges need the rest
QUERY_CORES: Final = 1.0
CORES_MIN: Final = 2
PROCESS_BYTES: Final = 150 * MIB
SERIES_BYTES: Final = 400  # index and labels of an active series
HEAD_SAMPLE_BYTES: Final = 24  # in memory until it is in a block
HEADS: Final = 2  # one fills while the other is sealed
JOURNAL_SAMPLE_BYTES: Final = 25  # compressed, as received
RAW_SAMPLE_BYTES: Final = 0.9
WINDOW_BYTES: Final = 23.4
SKETCH_WINDOW_BYTES: Final = 32.1
EVENT_BYTES_SHARE: Final = 0.35  # of an event's text, in a block


class Workload(msgspec.Struct, frozen=True):
    """An intake. new_series_per_hour: series that were not there before. event_bytes: of one event as text."""

    samples_per_s: float
    series: int
    new_series_per_hour: int = 0
    events_per_s: float = 0.0
    event_bytes: int = 400


class Need(msgspec.Struct, frozen=True):
    """An amount, and how it comes about. part: what needs it."""

    part: str
    amount: float
    because: str


class Sizing(msgspec.Struct, frozen=True):
    """Cores, bytes of memory and bytes of disk, each with its parts. settings: path -> value to change, and why."""

    cores: tuple[Need, ...]
    memory: tuple[Need, ...]
    disk: tuple[Need, ...]
    settings: dict[str, str]

    @property
    def totals(self) -> dict[str, float]:
        """cores, memory_bytes, disk_bytes."""
        return {
            "cores": max(float(CORES_MIN), sum(need.amount for need in self.cores)),
            "memory_bytes": sum(need.amount for need in self.memory),
            "disk_bytes": sum(need.amount for need in self.disk),
        }


def estimate(workload: Workload, config: Config) -> Sizing:
    """The needs of a workload under these settings."""
    return Sizing(_cores(workload), _memory(workload, config), _disk(workload, config), _settings(workload, config))


def _cores(workload: Workload) -> tuple[Need, ...]:
    taken = workload.samples_per_s * CPU_S_PER_SAMPLE / BUSY
    events = workload.events_per_s * CPU_S_PER_EVENT / BUSY
    return (
        Need("samples", taken, f"{CPU_S_PER_SAMPLE * 1e6:g} µs each, cores {BUSY:.0%} busy"),
        Need("events", events, f"{CPU_S_PER_EVENT * 1e6:g} µs each"),
        Need("queries", QUERY_CORES, "one query at a time; more for many dashboards"),
    )


def _memory(workload: Workload, config: Config) -> tuple[Need, ...]:
    series = min(workload.series + workload.new_series_per_hour * config.series.idle_ttl_ms / 3_600_000, 1e12)
    waiting = min(
        workload.samples_per_s * config.storage.seal_interval_ms / SECOND_MS, float(config.storage.seal_samples)
    )
    return (
        Need("process", PROCESS_BYTES, "interpreter and libraries"),
        Need("series", series * SERIES_BYTES, f"{series:,.0f} active x {SERIES_BYTES} B (series.idle_ttl)"),
        Need("head", HEADS * waiting * HEAD_SAMPLE_BYTES, f"{HEADS} x {waiting:,.0f} samples x {HEAD_SAMPLE_BYTES} B"),
        Need("queue", config.ingest.queue_bytes_max, "ingest.queue_size_max"),
        Need("queries", config.api.queries_memory_bytes_max, "api.queries_memory_size_max"),
        Need("cache", config.api.row_group_cache_bytes_max, "api.row_group_cache_size_max"),
        Need("block orders", HELD_BYTES_MAX, "at most: the places of series in raw blocks that queries read"),
        Need("selection cache", config.api.selection_cache_bytes_max, "api.selection_cache_size_max"),
        Need("range cache", config.api.range_cache_bytes_max, "api.range_cache_size_max"),
    )


def _disk(workload: Workload, config: Config) -> tuple[Need, ...]:
    storage, ladder = config.storage, config.ladder
    waiting = workload.samples_per_s * JOURNAL_SAMPLE_BYTES * 2 * storage.seal_interval_ms / SECOND_MS
    raw = workload.samples_per_s * ladder.raw_retention_ms / SECOND_MS * RAW_SAMPLE_BYTES
    needs = [
        Need(
            "journal", min(max(waiting, 64 * MIB), 2 * storage.journal_bytes_max), "two seals, storage.journal_size_max"
        ),
        Need("raw", raw, f"{RAW_SAMPLE_BYTES:g} B a sample for ladder.raw_retention"),
    ]
    for tier in ladder.tiers:
        each = SKETCH_WINDOW_BYTES if tier.has_sketch else WINDOW_BYTES
        alive = workload.series + workload.new_series_per_hour * tier.interval_ms / 3_600_000
        windows = alive * (tier.retention_ms / tier.interval_ms)
        needs.append(Need(tier.name, windows * each, f"{windows:,.0f} windows x {each:g} B"))
    text = workload.events_per_s * workload.event_bytes * EVENT_BYTES_SHARE * storage.events_retention_ms / SECOND_MS
    needs.append(Need("events", text, f"{EVENT_BYTES_SHARE:.0%} of their text for storage.events_retention"))
    taken = sum(need.amount for need in needs)
    needs.append(Need("merges", taken * 0.1, "old and new files side by side"))
    share = (taken * 1.1) * storage.free_percent_min / (100 - storage.free_percent_min)
    needs.append(Need("free", 2 * max(storage.free_bytes_min, share), "twice storage.free_space_min"))
    return tuple(needs)


def _settings(workload: Workload, config: Config) -> dict[str, str]:
    """Settings that would refuse this workload."""
    found = {}
    if workload.series + workload.new_series_per_hour > config.series.active_max * 0.8:
        wanted = int((workload.series + workload.new_series_per_hour) * 1.5)
        found["series.active_max"] = f"{wanted} (now {config.series.active_max})"
    waiting = workload.samples_per_s * config.storage.seal_interval_ms / SECOND_MS
    if waiting * JOURNAL_SAMPLE_BYTES > config.storage.journal_bytes_max:
        wanted_bytes = int(waiting * JOURNAL_SAMPLE_BYTES * 2)
        found["storage.journal_size_max"] = f"{-(-wanted_bytes // GIB)}GiB (now {config.storage.journal_bytes_max} B)"
    return found
