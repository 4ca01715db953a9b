"""Settings in force: the part of the configuration that affects the replay of frames, recorded on disk.

``settings.json`` says under which settings the frames behind the checkpoint were taken. It changes only while no frame
waits to be replayed (``recover.py``), so a frame is always replayed under the settings it was taken under.

    {"settings":{"series":{…},"acceptance":{…},…},"crc":2774319801}          CRC-32C of the bytes between the two names

Before format 3 the file was the settings alone, without a checksum.
"""

import os
from pathlib import Path

import google_crc32c
import msgspec

from nissa.config.redaction import Redaction, rules_in_force
from nissa.config.tree import Acceptance, Config, Series
from nissa.files.checked_file import sync_directory
from nissa.model.errors import Damaged

SETTINGS = "settings.json"
ANY_AGE_MS = 2**64  # past and future of a window that holds every time


class RecordedSettings(msgspec.Struct, frozen=True):
    """Content of the file. settings: as bytes, for they are under the checksum."""

    settings: msgspec.Raw
    crc: int


class RecordedAcceptance(msgspec.Struct, frozen=True):
    """``Acceptance`` as it is noted. None: versions that noted no window of events took events of every time.

    import_past_ms: 0 in versions that knew no imports.
    """

    past_ms: int
    future_ms: int
    event_past_ms: int | None = None
    event_future_ms: int | None = None
    import_past_ms: int = 0


class RecordedEvents(msgspec.Struct, frozen=True):
    """The part of ``Events`` that decides about events in the store; its other rules are for sinks."""

    drop_levels: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """The part of the configuration that decides which records of a frame are stored."""

    series: Series
    acceptance: RecordedAcceptance
    frame_samples_max: int
    frame_series_max: int
    decompressed_bytes_max: int
    events: RecordedEvents = RecordedEvents()
    redaction: Redaction = rules_in_force(Redaction())  # with the defaults of when they were noted
    event_ttl_ms: int = 0  # versions that noted none of these took every packet for a new one
    metric_ttl_ms: int = 0
    alert_ttl_ms: int = 0
    ttl_entries_max: int = 1_000_000


def settings_of(config: Config) -> Settings:
    """The part of ``config`` that replays depend on."""
    ingest, ttl = config.ingest, config.ttl
    return Settings(
        config.series,
        recorded_acceptance(config.acceptance),
        ingest.frame_samples_max,
        ingest.frame_series_max,
        ingest.decompressed_bytes_max,
        RecordedEvents(config.events.drop_levels),
        rules_in_force(config.redaction),
        ttl.event_ttl_ms,
        ttl.metric_ttl_ms,
        ttl.alert_ttl_ms,
        ttl.entries_max,
    )


def recorded_acceptance(acceptance: Acceptance) -> RecordedAcceptance:
    """The acceptance window as it is noted."""
    wide = acceptance.event_past_ms >= ANY_AGE_MS
    past_ms, future_ms = (None, None) if wide else (acceptance.event_past_ms, acceptance.event_future_ms)
    return RecordedAcceptance(acceptance.past_ms, acceptance.future_ms, past_ms, future_ms, acceptance.import_past_ms)


def _acceptance_of(noted: RecordedAcceptance) -> Acceptance:
    past_ms, future_ms = noted.event_past_ms, noted.event_future_ms
    return Acceptance(
        noted.past_ms,
        noted.future_ms,
        ANY_AGE_MS if past_ms is None else past_ms,
        ANY_AGE_MS if future_ms is None else future_ms,
        noted.import_past_ms,
    )


def read_settings(directory: Path) -> Settings | None:
    """The settings in force in ``directory``; None where none were ever noted. Raises: Damaged."""
    path = directory / SETTINGS
    try:
        text = path.read_bytes()
        if msgspec.json.decode(text, type=dict[str, msgspec.Raw]).keys().isdisjoint(RecordedSettings.__struct_fields__):
            return msgspec.json.decode(text, type=Settings)
        noted = msgspec.json.decode(text, type=RecordedSettings)
        crc = google_crc32c.value(bytes(noted.settings))
        if crc != noted.crc:
            raise Damaged(str(path), f"its settings have CRC-32C {crc}, expected {noted.crc}")
        return msgspec.json.decode(noted.settings, type=Settings)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(str(path), str(error)) from error


def under_settings(config: Config, settings: Settings | None) -> Config:
    """``config`` with ``settings`` in the place of its own, where there are any."""
    if settings is None:
        return config
    ingest = msgspec.structs.replace(
        config.ingest,
        frame_samples_max=settings.frame_samples_max,
        frame_series_max=settings.frame_series_max,
        decompressed_bytes_max=settings.decompressed_bytes_max,
    )
    ttl = msgspec.structs.replace(
        config.ttl,
        event_ttl_ms=settings.event_ttl_ms,
        metric_ttl_ms=settings.metric_ttl_ms,
        alert_ttl_ms=settings.alert_ttl_ms,
        entries_max=settings.ttl_entries_max,
    )
    return msgspec.structs.replace(
        config,
        ingest=ingest,
        ttl=ttl,
        series=settings.series,
        acceptance=_acceptance_of(settings.acceptance),
        events=msgspec.structs.replace(config.events, drop_levels=settings.events.drop_levels),
        redaction=settings.redaction,
    )


def write_settings(directory: Path, settings: Settings) -> None:
    """Note ``settings`` as in force from here on: the old ones or the new ones stand there, whenever power is cut.

    Raises: OSError, the old ones being in force still.
    """
    path = directory / SETTINGS
    fresh = path.with_suffix(".new")
    text = msgspec.json.encode(settings)
    fresh.unlink(missing_ok=True)  # with the rights it was made with
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(RecordedSettings(msgspec.Raw(text), google_crc32c.value(text))))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(directory)
