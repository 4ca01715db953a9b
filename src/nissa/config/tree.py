"""The tree of settings: what an operator may write in nissa.yaml, with the defaults in force when nothing is written.

Precedence: defaults < file < environment (``NISSA_`` and ``__`` between levels) < command line. Unknown keys and absurd
values refuse to start, naming the path (``config/load.py``). The reference page ``docs/config.md`` is checked against
this file.
"""

import msgspec

from nissa.config.redaction import Redaction
from nissa.model.ladder import DEFAULT_TIERS, Policy, Tier
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hot endpoint."""

    listen: str = "127.0.0.1:9470"
    connections_max: int = 10_000
    header_bytes_max: int = 16 * KIB
    body_bytes_max: int = 32 * MIB
    decompressed_bytes_max: int = 32 * MIB
    header_timeout_ms: int = 10 * SECOND_MS
    body_timeout_ms: int = 30 * SECOND_MS
    idle_timeout_ms: int = 5 * MINUTE_MS
    queue_bytes_max: int = 128 * MIB
    queue_frames_max: int = 4_096
    frame_samples_max: int = 4_000_000
    frame_series_max: int = 1_000_000
    drain_timeout_ms: int = 10 * SECOND_MS


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control API."""

    listen: str = "127.0.0.1:9471"
    query_timeout_ms: int = 30 * SECOND_MS
    query_series_max: int = 40_000
    query_samples_max: int = 50_000_000
    concurrent_queries_max: int = 4
    connections_max: int = 128
    request_timeout_ms: int = 30 * SECOND_MS
    idle_timeout_ms: int = 5 * SECOND_MS


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Journal and blocks. durability: ``fsync``, ``interval:<ms>`` or ``os``."""

    data_dir: str = "./nissa-data"
    durability: str = "fsync"
    segment_bytes: int = 64 * MIB
    commit_linger_ms: int = 1
    seal_samples: int = 4_000_000
    seal_interval_ms: int = 2 * MINUTE_MS
    head_samples_max: int = 24_000_000
    compaction_fan_in: int = 8
    free_bytes_min: int = 256 * MIB
    free_percent_min: int = 2
    journal_bytes_max: int = GIB
    events_retention_ms: int = 7 * DAY_MS
    scrub_interval_ms: int = 12 * HOUR_MS
    scrub_bytes_per_second_max: int = 32 * MIB


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Identity and its limits."""

    active_max: int = 1_000_000
    idle_ttl_ms: int = 2 * HOUR_MS
    labels_per_series_max: int = 64
    label_name_bytes_max: int = 1_024
    label_value_bytes_max: int = 64 * KIB - 1


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which timestamps are taken: [now - past_ms, now + future_ms]."""

    past_ms: int = 6 * HOUR_MS
    future_ms: int = 10 * MINUTE_MS


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resolutions. tiers: each made of the one before it, the first of samples; none at all turns the ladder off.

    policies: which series go how far; the first that matches decides.
    """

    tiers: tuple[Tier, ...] = DEFAULT_TIERS
    raw_retention_ms: int = 6 * HOUR_MS
    grace_ms: int = 10 * SECOND_MS
    policies: tuple[Policy, ...] = ()


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """drop_levels: events of these levels are refused as ``dropped_level``, whoever sends them."""

    drop_levels: tuple[str, ...] = ()


class Ttl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long packets and requests are remembered, by the longest-lived thing in them; 0: not at all.

    entries_max: of each of the three maps; one more and the oldest is forgotten.
    """

    event_ttl_ms: int = HOUR_MS
    metric_ttl_ms: int = 2 * HOUR_MS
    alert_ttl_ms: int = DAY_MS
    entries_max: int = 1_000_000
    cleanup_interval_ms: int = 5 * MINUTE_MS
    cleanup_slice_entries: int = 10_000


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nissa's telemetry about itself, ingested like anybody's. interval_ms 0 turns it off."""

    interval_ms: int = SECOND_MS


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
