"""Settings of message buses: Oona, Esper's bus on Redis Streams, NATS, and Kafka."""

from typing import Annotated, Final, Literal

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS

# In the order they are read: emergencies first, then what Esper publishes to, then topics of its documents.
STREAMS_OF_OONA: Final = (
    "oona.emergency",
    "oona.normal",
    "oona.telemetry",
    "telemetry.seed.health",
    "control.kasmina.commands",
    "innovation.field_reports",
    "compilation.kernel.ready",
    "validation.kernel.characterized",
    "system.events.epoch",
    "morphogenetic.adaptation.triggered",
    "circuit_breaker.state_changed",
)


class Oona(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Oona. url: of Redis, empty: off. consumer: empty for one that follows from host and data directory.

    streams: those that are not there yet are looked for. secret_file: of signatures. dead_letter_stream: empty for
    none.
    """

    url: str = ""
    password_file: str = ""
    group: str = "nissa-observability"
    consumer: str = ""
    streams: tuple[str, ...] = STREAMS_OF_OONA
    secret_file: str = ""
    dead_letter_stream: str = "oona.deadletter"
    dead_letter_entries_max: Annotated[int, count(1, 100_000_000)] = 10_000
    deliveries_max: Annotated[int, count(1, 1_000)] = 5
    claim_idle_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = MINUTE_MS
    batch_entries_max: Annotated[int, count(1, 2_000)] = 1_000
    frame_bytes_max: Annotated[int, size(KIB, 32 * MIB)] = 2 * MIB
    frames_in_flight_max: Annotated[int, count(1, 64)] = 4
    block_ms: Annotated[int, duration(10, MINUTE_MS)] = SECOND_MS
    timeout_ms: Annotated[int, duration(100, HOUR_MS)] = 10 * SECOND_MS
    poll_interval_ms: Annotated[int, duration(100, HOUR_MS)] = 2 * SECOND_MS


class Nats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """NATS. servers: none, and it is off.

    stream: of JetStream, empty for none. durable: its consumer, which processes share. subjects: of alert events,
    patterns included. dead_letter_subject: empty for none.
    """

    servers: tuple[str, ...] = ()
    token_file: str = ""
    credentials_file: str = ""
    stream: str = ""
    durable: str = "nissa-observability"
    filter_subject: str = ""
    subjects: tuple[str, ...] = (
        "system.error.critical",
        "simulation_worker.process_crash",
        "drl_training.diverged_irrecoverably",
    )
    dead_letter_subject: str = ""
    deliveries_max: Annotated[int, count(1, 1_000)] = 5
    ack_wait_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = 30 * SECOND_MS
    ack_pending_max: Annotated[int, count(1, 1_000_000)] = 20_000
    batch_messages_max: Annotated[int, count(1, 2_000)] = 1_000
    frame_bytes_max: Annotated[int, size(KIB, 32 * MIB)] = 2 * MIB
    frames_in_flight_max: Annotated[int, count(1, 64)] = 4
    pending_messages_max: Annotated[int, count(1, 1_000_000)] = 10_000
    timeout_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 10 * SECOND_MS
    poll_interval_ms: Annotated[int, duration(100, HOUR_MS)] = 2 * SECOND_MS


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kafka. brokers: none: off. start: where a group begins that has no offsets. username: of SASL, empty: none.

    queue_bytes_max: of messages fetched ahead.
    """

    brokers: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("nissa.samples", "nissa.events")
    group: str = "nissa"
    start: Literal["earliest", "latest"] = "earliest"
    username: str = ""
    password_file: str = ""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    tls_enabled: bool = False
    ca_file: str = ""
    batch_messages_max: Annotated[int, count(1, 10_000)] = 100
    queue_bytes_max: Annotated[int, size(MIB, GIB)] = 32 * MIB
    session_timeout_ms: Annotated[int, duration(6 * SECOND_MS, HOUR_MS)] = 45 * SECOND_MS
    timeout_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 10 * SECOND_MS
