"""What a setting may be: the least and greatest value of every number, and how settings limit each other.

The tree says names, types and defaults; this table says what would be absurd. Every number of the tree has its row
here, which a test checks, so that a setting cannot be added without its bounds.
"""

from typing import Any

import msgspec

from nissa.config.listen import parse_listen
from nissa.config.redaction import check_redaction
from nissa.config.tree import Config
from nissa.model.durability import parse_durability
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.ladder import check_policies, check_tiers
from nissa.model.level import LEVELS
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, SECOND_MS

YEAR_MS = 365 * DAY_MS
FRAME_OVERHEAD_BYTES = 256  # segment header, frame header and padding, rounded up

# path -> (least, greatest), both allowed.
BOUNDS: dict[str, tuple[int, int]] = {
    "ingest.connections_max": (1, 1_000_000),
    "ingest.header_bytes_max": (256, MIB),
    "ingest.body_bytes_max": (KIB, GIB),
    "ingest.decompressed_bytes_max": (KIB, GIB),
    "ingest.header_timeout_ms": (10, HOUR_MS),
    "ingest.body_timeout_ms": (10, HOUR_MS),
    "ingest.idle_timeout_ms": (10, DAY_MS),
    "ingest.queue_bytes_max": (KIB, 64 * GIB),
    "ingest.queue_frames_max": (1, 1_000_000),
    "ingest.frame_samples_max": (1, 100_000_000),
    "ingest.frame_series_max": (1, 100_000_000),
    "ingest.drain_timeout_ms": (0, HOUR_MS),
    "api.query_timeout_ms": (1, HOUR_MS),
    "api.query_series_max": (1, 100_000_000),
    "api.query_samples_max": (1, 100_000_000_000),
    "api.concurrent_queries_max": (1, 256),
    "api.connections_max": (1, 10_000),
    "api.request_timeout_ms": (10, HOUR_MS),
    "api.idle_timeout_ms": (10, DAY_MS),
    "storage.segment_bytes": (64 * KIB, 4 * GIB),
    "storage.commit_linger_ms": (0, SECOND_MS),
    "storage.seal_samples": (1, 1_000_000_000),
    "storage.seal_interval_ms": (100, DAY_MS),
    "storage.head_samples_max": (1, 4_000_000_000),
    "storage.compaction_fan_in": (2, 1_000),
    "storage.free_bytes_min": (0, 1024 * GIB),
    "storage.free_percent_min": (0, 90),
    "storage.journal_bytes_max": (128 * KIB, 1024 * GIB),
    "storage.events_retention_ms": (SECOND_MS, 100 * YEAR_MS),
    "storage.scrub_interval_ms": (SECOND_MS, YEAR_MS),
    "storage.scrub_bytes_per_second_max": (KIB, 1024 * GIB),
    "series.active_max": (1, 1_000_000_000),
    "series.idle_ttl_ms": (SECOND_MS, YEAR_MS),
    "series.labels_per_series_max": (1, 1_024),
    "series.label_name_bytes_max": (1, 64 * KIB - 1),
    "series.label_value_bytes_max": (1, 64 * KIB - 1),
    "acceptance.past_ms": (0, 100 * YEAR_MS),
    "acceptance.future_ms": (0, YEAR_MS),
    "ladder.raw_retention_ms": (SECOND_MS, 100 * YEAR_MS),
    "ladder.grace_ms": (0, DAY_MS),
    "ttl.event_ttl_ms": (0, YEAR_MS),
    "ttl.metric_ttl_ms": (0, YEAR_MS),
    "ttl.alert_ttl_ms": (0, YEAR_MS),
    "ttl.entries_max": (1, 100_000_000),
    "ttl.cleanup_interval_ms": (SECOND_MS, DAY_MS),
    "ttl.cleanup_slice_entries": (1, 1_000_000),
    "telemetry.interval_ms": (0, HOUR_MS),
}

# (smaller, greater): the value at the first path may not pass the value at the second.
AT_MOST: tuple[tuple[str, str, str], ...] = (
    ("ingest.body_bytes_max", "ingest.queue_bytes_max", "a body must fit the queue"),
    ("ingest.body_bytes_max", "ingest.decompressed_bytes_max", "a body that is not compressed is also limited by it"),
    ("ingest.frame_samples_max", "storage.head_samples_max", "a frame must fit the head"),
    ("storage.segment_bytes", "storage.journal_bytes_max", "a journal holds at least one segment"),
    ("storage.seal_samples", "storage.head_samples_max", "a head is sealed before it is full"),
)


def check_config(config: Config) -> None:
    """Raise ConfigInvalid, naming the path, for the first setting that Nissa will not start with."""
    values = leaves(config)
    for path, (least, greatest) in BOUNDS.items():
        if path in values and not least <= values[path] <= greatest:
            raise ConfigInvalid(path, f"expected {least} to {greatest}, got {values[path]}")
    parse_durability(config.storage.durability)
    check_redaction(config.redaction)
    for level in config.events.drop_levels:
        if level not in LEVELS:
            raise ConfigInvalid("events.drop_levels", f"{level[:80]!r} is none of {', '.join(LEVELS)}")
    if not config.storage.data_dir.strip() or "\0" in config.storage.data_dir:
        raise ConfigInvalid("storage.data_dir", f"expected a directory, got {config.storage.data_dir!r}")
    check_tiers(config.ladder.tiers, config.ladder.raw_retention_ms)
    check_policies(config.ladder.policies, config.ladder.tiers)
    _check_selectors(config)
    _check_addresses(config)
    _check_relations(values)


def leaves(config: msgspec.Struct) -> dict[str, Any]:
    """Path -> value of every setting, in the order of the tree."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, msgspec.Struct):
            found |= {f"{field.name}.{path}": leaf for path, leaf in leaves(value).items()}
        else:
            found[field.name] = value
    return found


def written(value: object) -> str:
    """A setting as it is written in YAML and on the reference page: lists as JSON, which YAML reads."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _check_selectors(config: Config) -> None:
    for number, policy in enumerate(config.ladder.policies):
        from nissa.model.selector import read_selector  # here, as reading settings is part of every command

        try:
            read_selector(policy.match)
        except BadQuery as error:
            raise ConfigInvalid(f"ladder.policies[{number}].match", str(error)) from None


def _check_addresses(config: Config) -> None:
    ingest = parse_listen(config.ingest.listen, "ingest.listen")
    api = parse_listen(config.api.listen, "api.listen")
    if ingest == api and ingest.port != 0:
        raise ConfigInvalid("api.listen", f"{api} is already taken by ingest.listen")


def _check_relations(values: dict[str, Any]) -> None:
    for smaller, greater, why in AT_MOST:
        if values[smaller] > values[greater]:
            raise ConfigInvalid(smaller, f"{values[smaller]} is over {greater}, which is {values[greater]}: {why}")
    room = values["storage.segment_bytes"] - FRAME_OVERHEAD_BYTES
    if values["ingest.body_bytes_max"] > room:
        body = values["ingest.body_bytes_max"]
        what = f"{body} does not fit a journal segment; {room} would (storage.segment_bytes)"
        raise ConfigInvalid("ingest.body_bytes_max", what)
