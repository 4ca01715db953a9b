"""The tree of settings of nissa.yaml, with their bounds and defaults.

Precedence: defaults < file < environment (``NISSA_`` and ``__`` between levels) < command line. Nissa does not start
with unknown keys or values out of bounds; the message names the path (``config/load.py``). The reference page
``docs/config.md`` is checked against this file.

A number is one line: its name with the unit, its kind with the least and greatest value allowed, its default. Operators
write ``idle_ttl_ms`` as ``idle_ttl: 2h`` and ``segment_bytes`` as ``segment_size: 64MiB`` (``config/names.py``).
"""

from typing import Annotated

import msgspec

from nissa.config.access import Access, IngestTls, RatesByRole, Tls
from nissa.config.alerting import Alerting
from nissa.config.bronze import BronzeSettings
from nissa.config.database import DatabaseSettings
from nissa.config.events import Events
from nissa.config.incidents import IncidentSettings
from nissa.config.performance import PerformanceSettings
from nissa.config.redaction import Redaction
from nissa.config.rules import RuleSettings
from nissa.config.safeguards import Safeguards
from nissa.config.silver import SilverSettings
from nissa.config.sinks import DeadLetterRedis, Sink
from nissa.config.sla import SlaSettings
from nissa.config.slo import SloSettings
from nissa.config.sources import Sources
from nissa.config.status_page import StatusPageSettings
from nissa.config.stream import Stream
from nissa.model.ladder import DEFAULT_TIERS, Policy, Tier
from nissa.model.quantity import count, duration, size
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS, YEAR_MS


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hot endpoint."""

    listen: str = "127.0.0.1:9470"
    connections_max: Annotated[int, count(1, 1_000_000)] = 10_000
    header_bytes_max: Annotated[int, size(256, MIB)] = 16 * KIB
    body_bytes_max: Annotated[int, size(KIB, GIB)] = 32 * MIB
    decompressed_bytes_max: Annotated[int, size(KIB, GIB)] = 32 * MIB
    header_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 10 * SECOND_MS
    body_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    idle_timeout_ms: Annotated[int, duration(10, DAY_MS)] = 5 * MINUTE_MS
    queue_bytes_max: Annotated[int, size(KIB, 64 * GIB)] = 128 * MIB
    queue_frames_max: Annotated[int, count(1, 1_000_000)] = 4_096
    frame_samples_max: Annotated[int, count(1, 100_000_000)] = 4_000_000
    frame_series_max: Annotated[int, count(1, 100_000_000)] = 1_000_000
    frame_context_bytes_max: Annotated[int, size(KIB, MIB)] = 64 * KIB
    drain_timeout_ms: Annotated[int, duration(0, HOUR_MS)] = 10 * SECOND_MS
    tokens_required: bool = False
    tls: IngestTls = IngestTls()


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control API."""

    listen: str = "127.0.0.1:9471"
    query_timeout_ms: Annotated[int, duration(1, HOUR_MS)] = 30 * SECOND_MS
    slow_query_duration_ms: Annotated[int, duration(1, HOUR_MS)] = 5 * SECOND_MS
    query_series_max: Annotated[int, count(1, 100_000_000)] = 40_000
    query_samples_max: Annotated[int, count(1, 100_000_000_000)] = 50_000_000
    query_memory_bytes_max: Annotated[int, size(MIB, 1024 * GIB)] = 256 * MIB
    queries_memory_bytes_max: Annotated[int, size(MIB, 1024 * GIB)] = 512 * MIB
    row_group_cache_bytes_max: Annotated[int, size(0, 1024 * GIB)] = GIB
    selection_cache_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 64 * MIB
    range_cache_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 64 * MIB
    concurrent_queries_max: Annotated[int, count(1, 256)] = 4
    waiting_queries_max: Annotated[int, count(0, 10_000)] = 64
    query_wait_ms: Annotated[int, duration(0, HOUR_MS)] = 10 * SECOND_MS
    connections_max: Annotated[int, count(1, 10_000)] = 128
    request_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    idle_timeout_ms: Annotated[int, duration(10, DAY_MS)] = 5 * SECOND_MS
    database_retry_ms: Annotated[int, duration(0, HOUR_MS)] = 5 * SECOND_MS
    allowed_hosts: tuple[str, ...] = ()
    remote_deletion: bool = False
    external_labels: dict[str, str] = {}
    access: Access = Access()
    rate_limits: RatesByRole = RatesByRole()
    tls: Tls = Tls()
    stream: Stream = Stream()


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Journal and blocks. durability: ``fsync``, ``interval:50ms`` or ``os``."""

    data_dir: str = "./nissa-data"
    durability: str = "fsync"
    segment_bytes: Annotated[int, size(64 * KIB, 4 * GIB)] = 64 * MIB
    commit_linger_ms: Annotated[int, duration(0, SECOND_MS)] = 1
    seal_samples: Annotated[int, count(1, 1_000_000_000)] = 4_000_000
    seal_interval_ms: Annotated[int, duration(100, DAY_MS)] = 2 * MINUTE_MS
    head_samples_max: Annotated[int, count(1, 4_000_000_000)] = 24_000_000
    compaction_fan_in: Annotated[int, count(2, 1_000)] = 8
    free_bytes_min: Annotated[int, size(0, 1024 * GIB, "free_space_min")] = 256 * MIB
    free_percent_min: Annotated[int, count(0, 90)] = 2
    journal_bytes_max: Annotated[int, size(128 * KIB, 1024 * GIB)] = GIB
    follower_backlog_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 4 * GIB
    follower_backlog_ms_max: Annotated[int, duration(0, YEAR_MS, "follower_backlog_age_max")] = DAY_MS
    events_retention_ms: Annotated[int, duration(SECOND_MS, 100 * YEAR_MS)] = 7 * DAY_MS
    scrub_interval_ms: Annotated[int, duration(SECOND_MS, YEAR_MS)] = 12 * HOUR_MS
    scrub_bytes_per_second_max: Annotated[int, size(KIB, 1024 * GIB, "scrub_rate_max")] = 32 * MIB
    tombstones_max: Annotated[int, count(1, 100_000)] = 1_000
    tombstone_series_max: Annotated[int, count(1, 1_000_000_000)] = 10_000_000


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Identity and its limits."""

    active_max: Annotated[int, count(1, 1_000_000_000)] = 1_000_000
    idle_ttl_ms: Annotated[int, duration(SECOND_MS, YEAR_MS)] = 2 * HOUR_MS
    labels_per_series_max: Annotated[int, count(1, 1_024)] = 64
    label_name_bytes_max: Annotated[int, size(1, 64 * KIB - 1)] = 1_024
    label_value_bytes_max: Annotated[int, size(1, 64 * KIB - 1)] = 64 * KIB - 1


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accepted timestamps: [now - past_ms, now + future_ms]; events and imports have settings of their own."""

    past_ms: Annotated[int, duration(0, 100 * YEAR_MS)] = 6 * HOUR_MS
    future_ms: Annotated[int, duration(0, YEAR_MS)] = 10 * MINUTE_MS
    event_past_ms: Annotated[int, duration(0, 100 * YEAR_MS)] = 6 * HOUR_MS
    event_future_ms: Annotated[int, duration(0, YEAR_MS)] = 10 * MINUTE_MS
    import_past_ms: Annotated[int, duration(0, 100 * YEAR_MS)] = 365 * DAY_MS


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resolutions. tiers: each made of the one before it, the first of samples; none at all turns the ladder off.

    policies: which series go how far; the first that matches decides.
    """

    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    raw_retention_ms: Annotated[int, duration(SECOND_MS, 100 * YEAR_MS)] = 6 * HOUR_MS
    grace_ms: Annotated[int, duration(0, DAY_MS)] = 10 * MINUTE_MS
    policies: tuple[Policy, ...] = ()


class Ttl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time to live of dedup keys of packets and requests, by the longest-lived content in them; 0: none.

    entries_max: of each of the three maps; one more and the oldest is forgotten.
    """

    event_ttl_ms: Annotated[int, duration(0, YEAR_MS)] = HOUR_MS
    metric_ttl_ms: Annotated[int, duration(0, YEAR_MS)] = 2 * HOUR_MS
    alert_ttl_ms: Annotated[int, duration(0, YEAR_MS)] = DAY_MS
    entries_max: Annotated[int, count(1, 100_000_000)] = 1_000_000
    cleanup_interval_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = 5 * MINUTE_MS
    cleanup_slice_entries: Annotated[int, count(1, 1_000_000)] = 10_000


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nissa's telemetry about itself, ingested like anybody's. interval_ms 0 turns it off."""

    interval_ms: Annotated[int, duration(0, HOUR_MS)] = SECOND_MS


class Watchdog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Watchdog: time until a worker thread counts as stalled, and the exit bound beyond ``ingest.drain_timeout_ms``."""

    interval_ms: Annotated[int, duration(10, HOUR_MS)] = 10 * SECOND_MS
    intervals_max: Annotated[int, count(1, 10_000)] = 6
    shutdown_timeout_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 10 * SECOND_MS


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings."""

    ingest: Ingest = Ingest()
    api: Api = Api()
    storage: Storage = Storage()
    series: Series = Series()
    acceptance: Acceptance = Acceptance()
    ladder: Ladder = Ladder()
    events: Events = Events()
    redaction: Redaction = Redaction()
    ttl: Ttl = Ttl()
    telemetry: Telemetry = Telemetry()
    watchdog: Watchdog = Watchdog()
    safeguards: Safeguards = Safeguards()
    sources: Sources = Sources()
    alerting: Alerting = Alerting()
    rules: RuleSettings = RuleSettings()
    slo: SloSettings = SloSettings()
    bronze: BronzeSettings = BronzeSettings()
    silver: SilverSettings = SilverSettings()
    performance: PerformanceSettings = PerformanceSettings()
    sla: SlaSettings = SlaSettings()
    incidents: IncidentSettings = IncidentSettings()
    status_page: StatusPageSettings = StatusPageSettings()
    database: DatabaseSettings = DatabaseSettings()
    sinks: dict[str, Sink] = {}
    dead_letters_redis: DeadLetterRedis = DeadLetterRedis()
