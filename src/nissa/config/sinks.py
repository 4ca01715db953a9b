"""Settings of sinks: systems that Nissa passes on what it has received to. Each has a name, and a type that says which.

sinks:
  long_term: {type: remote_write, url: "https://metrics.example/api/v1/write", bearer_token_file: /etc/nissa/token}
  search: {type: elasticsearch, url: "https://search.example:9200", api_key_file: /etc/nissa/key}
  archive: {type: files, url: /mnt/archive}
  lake: {type: iceberg, warehouse: /mnt/lake, catalog: {type: sql, uri: "sqlite:////mnt/lake/catalogue.db"}}

``config/sink_checks.py`` checks them.
"""

from typing import Annotated, Final, Literal

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.relabel import RelabelRule
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS, YEAR_MS


class SinkBasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """User name, and a file with the password. An empty name: none."""

    username: str = ""
    password_file: str = ""


class SinkTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates as files, and how that of the sink is checked. server_name: empty for the host of the address."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False


class RemoteWriteSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="remote_write"):
    """Prometheus, or any store that takes remote write.

    matchers: selectors; a series that one of them selects is sent, and all series where there are none. protocol:
    ``auto`` sends 2.0, and 1.0 once the sink has shown that it does not take it. linger_ms: pause between requests
    while little arrives.
    """

    url: str = ""
    protocol: Literal["auto", "1.0", "2.0"] = "auto"
    matchers: tuple[str, ...] = ()
    write_relabel_configs: tuple[RelabelRule, ...] = ()
    external_labels: dict[str, str] = {}
    headers: dict[str, str] = {}
    basic_auth: SinkBasicAuth = SinkBasicAuth()
    bearer_token_file: str = ""
    tls: SinkTls = SinkTls()
    backfill: bool = False
    backlog_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 16 * GIB
    backlog_ms_max: Annotated[int, duration(0, YEAR_MS, "backlog_age_max")] = DAY_MS
    connections: Annotated[int, count(1, 64)] = 4
    batch_samples_max: Annotated[int, count(1, 1_000_000)] = 10_000
    linger_ms: Annotated[int, duration(0, HOUR_MS)] = SECOND_MS
    timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    dead_letter_bytes_max: Annotated[int, size(0, 1024 * GIB, "dead_letters_size_max")] = 64 * MIB
    dead_letter_ms_max: Annotated[int, duration(SECOND_MS, YEAR_MS, "dead_letters_age_max")] = DAY_MS


class ElasticsearchSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="elasticsearch"):
    """Elasticsearch or OpenSearch, which get events. url: of the server, without an index.

    stream: name of the data stream. setup: make its template and retention where they are not there. levels: of events
    that are sent; none: all. batch_bytes_max: of a request; a longer event is sent by itself.
    """

    url: str = ""
    stream: str = "nissa-events"
    setup: bool = True
    retention_ms: Annotated[int, duration(HOUR_MS, 100 * YEAR_MS)] = 7 * DAY_MS
    levels: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    basic_auth: SinkBasicAuth = SinkBasicAuth()
    bearer_token_file: str = ""
    api_key_file: str = ""
    tls: SinkTls = SinkTls()
    compression: Literal["none", "gzip"] = "none"
    backfill: bool = False
    backlog_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 16 * GIB
    backlog_ms_max: Annotated[int, duration(0, YEAR_MS, "backlog_age_max")] = DAY_MS
    connections: Annotated[int, count(1, 64)] = 2
    batch_events_max: Annotated[int, count(1, 100_000)] = 5_000
    batch_bytes_max: Annotated[int, size(KIB, GIB)] = 8 * MIB
    linger_ms: Annotated[int, duration(0, HOUR_MS)] = SECOND_MS
    timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    dead_letter_bytes_max: Annotated[int, size(0, 1024 * GIB, "dead_letters_size_max")] = 64 * MIB
    dead_letter_ms_max: Annotated[int, duration(SECOND_MS, YEAR_MS, "dead_letters_age_max")] = DAY_MS


class DeadLetterRedis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of Redis that gets dead letters of sinks and notifications. url: empty: none. entries_max: of the list."""

    url: str = ""
    password_file: str = ""
    list: str = "nissa:dead_letters"
    entries_max: Annotated[int, count(1, 100_000_000)] = 10_000
    timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 5 * SECOND_MS


class FilesSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="files"):
    """A folder, or a bucket such as ``s3://BUCKET/PREFIX``, that gets sealed blocks and the series table."""

    url: str = ""
    interval_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = MINUTE_MS
    timeout_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = HOUR_MS


class KafkaSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="kafka"):
    """Kafka. samples_topic, events_topic: empty: none of these are sent. shards: keys of samples, by series.

    event_format: ``nissa`` for packets that Nissa reads again, ``json`` for one document an event. tls_enabled: also
    where ``tls`` has no file.
    """

    brokers: tuple[str, ...] = ()
    samples_topic: str = "nissa.samples"
    events_topic: str = "nissa.events"
    event_format: Literal["nissa", "json"] = "nissa"
    matchers: tuple[str, ...] = ()
    write_relabel_configs: tuple[RelabelRule, ...] = ()
    external_labels: dict[str, str] = {}
    levels: tuple[str, ...] = ()
    shards: Annotated[int, count(1, 64)] = 16
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    basic_auth: SinkBasicAuth = SinkBasicAuth()
    tls_enabled: bool = False
    tls: SinkTls = SinkTls()
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    backfill: bool = False
    backlog_bytes_max: Annotated[int, size(0, 1024 * GIB)] = 16 * GIB
    backlog_ms_max: Annotated[int, duration(0, YEAR_MS, "backlog_age_max")] = DAY_MS
    batch_samples_max: Annotated[int, count(1, 1_000_000)] = 5_000
    batch_events_max: Annotated[int, count(1, 100_000)] = 500
    linger_ms: Annotated[int, duration(0, HOUR_MS)] = SECOND_MS
    timeout_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 30 * SECOND_MS
    dead_letter_bytes_max: Annotated[int, size(0, 1024 * GIB, "dead_letters_size_max")] = 64 * MIB
    dead_letter_ms_max: Annotated[int, duration(SECOND_MS, YEAR_MS, "dead_letters_age_max")] = DAY_MS


class IcebergSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="iceberg"):
    """Apache Iceberg tables that get sealed samples, windows and events, and the series table.

    warehouse: a folder, or a bucket, for new tables. catalog: properties of pyiceberg: ``type`` sql or rest, ``uri``.
    """

    warehouse: str = ""
    catalog: dict[str, str] = {}
    namespace: str = "nissa"
    tables: tuple[Literal["samples", "windows", "events"], ...] = ("samples", "windows", "events")
    interval_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = MINUTE_MS
    timeout_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = HOUR_MS


HttpSink = RemoteWriteSink | ElasticsearchSink
JournalSink = RemoteWriteSink | ElasticsearchSink | KafkaSink  # those that follow the journal
CopySink = FilesSink | IcebergSink  # those that follow the catalogue
Sink = RemoteWriteSink | ElasticsearchSink | KafkaSink | FilesSink | IcebergSink
# By the setting ``type``.
SINK_TYPES: Final = {
    "remote_write": RemoteWriteSink,
    "elasticsearch": ElasticsearchSink,
    "kafka": KafkaSink,
    "files": FilesSink,
    "iceberg": IcebergSink,
}
