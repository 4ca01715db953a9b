"""Creates the sources that read message buses. Their libraries are loaded only if a source is configured."""

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

from nissa.config.sources import Sources
from nissa.model.frame import Source
from nissa.model.intake import Intake
from nissa.safeguards.pace import ReadingPace
from nissa.sources.inlet import Inlet
from nissa.sources.positions import StateStore
from nissa.sources.source import RunningSource


def bus_sources(
    config: Sources, data_dir: str, intake: Intake, now_ms: Callable[[], int], state: StateStore, pace: ReadingPace
) -> list[RunningSource]:
    """Create the configured sources that read message buses; they do not run yet.

    config: all sources. data_dir: of this process; the consumer name is derived from it. intake: receives the frames.
    now_ms: wall clock, Unix milliseconds. state: stores positions in streams. pace: of reading. Raises: ConfigInvalid.
    """
    found: list[RunningSource] = []
    if config.oona.url:
        from nissa.sources.oona import OonaSource

        inlet = Inlet(intake, Source.OONA, now_ms, pace)
        found.append(OonaSource(config.oona, inlet, state, consumer_name(data_dir)))
    if config.nats.servers:
        from nissa.sources.nats import NatsSource

        found.append(NatsSource(config.nats, Inlet(intake, Source.NATS, now_ms, pace), state))
    if config.kafka.brokers:
        from nissa.sources.kafka import KafkaSource

        found.append(KafkaSource(config.kafka, Inlet(intake, Source.KAFKA, now_ms, pace)))
    return found


def consumer_name(data_dir: str) -> str:
    """Name of this process among the consumers of a group: the same after a restart, another for another directory."""
    host = socket.gethostname()
    place = hashlib.blake2b(f"{host}\0{Path(data_dir).resolve()}".encode(), digest_size=4).hexdigest()
    return f"nissa-{host}-{place}"
