"""The catalogue: every metric Nissa exposes about itself. What is not here is not exposed (``docs/metrics.md``).

Names are Prometheus': ``nissa_<room>_<noun>_<unit>``, base units, ``_total`` for counters. Labels take few values, all
of Nissa's own choosing: nothing a sender wrote becomes a label.

Where a value comes from:

    status    a dotted path into the engine's status, times ``scale``
    tier      a fact of each tier of the ladder in the status, times ``scale``: label ``tier``
    tally     an attribute of each source's tally: label ``source``
    cells     the hot endpoint's own counts, read in ``collector.py``
    process   /proc, read by prometheus-client
"""

from typing import Final, Literal

import msgspec

from nissa.model.units import SECOND_MS

Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. name: as in the text format, ``_total`` included. aliases: what the specification calls it."""

    name: str
    kind: Kind
    help: str
    origin: Literal["status", "tier", "tally", "cells", "process"]
    path: str = ""
    scale: float = 1.0
    unit: str = ""
    labels: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def _status(name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=path, unit=unit, scale=scale)


def _tier(name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0) -> Metric:
    labels = ("tier",)
    return Metric(name=name, kind=kind, help=help, origin="tier", path=path, unit=unit, scale=scale, labels=labels)


def _tally(name: str, kind: Kind, help: str, path: str) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="tally", path=path, labels=("source",))


def _cells(name: str, kind: Kind, help: str, path: str, unit: str = "", labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="cells", path=path, unit=unit, labels=labels)


def _process(name: str, kind: Kind, help: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="process", unit=unit)


HTTP: Final = (
    Metric(
        name="nissa_ingest_latency_seconds",
        kind="histogram",
        help="From the last byte of a frame to its answer being ready, durability included.",
        origin="cells",
        path="latency",
        unit="seconds",
        aliases=("nissa.ingest.latency_ms",),
    ),
    _cells("nissa_http_requests_total", "counter", "Answers given.", "requests", labels=("path", "code")),
    _cells("nissa_http_body_bytes_total", "counter", "Bytes of frames taken, as received.", "body_bytes", "bytes"),
    _cells("nissa_http_connections", "gauge", "Connections open.", "connections"),
    _cells(
        "nissa_http_connections_refused_total",
        "counter",
        "Connections refused: over ingest.connections_max, or draining.",
        "connections_refused",
    ),
    _cells("nissa_http_buffered_bytes", "gauge", "Bytes of bodies not whole yet.", "buffered_bytes", "bytes"),
    _cells(
        "nissa_http_timeouts_total",
        "counter",
        "Connections ended for being slow: in a header, a body, idle, or reading answers.",
        "timeouts",
        labels=("phase",),
    ),
    _cells("nissa_http_malformed_total", "counter", "Connections ended for bytes that are not HTTP/1.1.", "malformed"),
    _cells("nissa_http_pauses_total", "counter", "Times a connection was not read because of pressure.", "pauses"),
    _cells("nissa_http_errors_total", "counter", "Requests that broke the reader: please report.", "internal_errors"),
)

ACCOUNTING: Final = (
    _tally("nissa_ingest_frames_total", "counter", "Frames received.", "frames"),
    _tally("nissa_ingest_malformed_total", "counter", "Frames that could not be decoded at all.", "malformed"),
    _tally("nissa_ingest_received_total", "counter", "Samples, histograms and events received.", "received"),
    Metric(
        name="nissa_ingest_samples_total",
        kind="counter",
        help="Samples, histograms and events by what became of them: stored, duplicate or quarantined.",
        origin="tally",
        labels=("source", "outcome"),
    ),
    Metric(
        name="nissa_ingest_refused_total",
        kind="counter",
        help="Samples, histograms and events refused, by reason.",
        origin="tally",
        labels=("source", "reason"),
        aliases=("nissa.telemetry.dropped_total",),
    ),
    _tally("nissa_ingest_conflicts_total", "counter", "Duplicates whose value was another one.", "conflicts"),
    _tally("nissa_ingest_in_flight", "gauge", "Received and not yet decided.", "in_flight"),
    _tally("nissa_ingest_residue", "gauge", "What the balance misses: 0 unless Nissa lost count.", "residue"),
)

ENGINE: Final = (
    Metric(
        name="nissa_breaker_state",
        kind="gauge",
        help="0 closed, 1 open, 2 half-open. Open refuses frames with 503 and Retry-After.",
        origin="status",
        path="mode",
        labels=("breaker",),
        aliases=("nissa.breaker.state",),
    ),
    Metric(
        name="nissa_alerts_active",
        kind="gauge",
        help="Alerts firing.",
        origin="status",
        path="alerts.active",
        aliases=("nissa.alerts.active",),
    ),
    _status("nissa_uptime_seconds", "gauge", "Since the engine opened.", "uptime_ms", "seconds", 1 / SECOND_MS),
    _status("nissa_queue_frames", "gauge", "Frames that wait for the engine.", "queue.frames"),
    _status("nissa_queue_bytes", "gauge", "Bytes of frames that are not settled.", "queue.bytes", "bytes"),
    _status("nissa_head_samples", "gauge", "Samples in the head.", "head.samples"),
    _status("nissa_head_sealing_samples", "gauge", "Samples on their way into a block.", "head.sealing"),
    _status("nissa_journal_appended_lsn", "gauge", "Sequence number of the last frame.", "journal.appended_lsn"),
    _status("nissa_journal_durable_lsn", "gauge", "Sequence number of the last durable frame.", "journal.durable_lsn"),
    _status("nissa_journal_checkpoint_lsn", "gauge", "Frames up to here are in blocks.", "journal.checkpoint_lsn"),
    _status("nissa_journal_segments", "gauge", "Journal segments on disk.", "journal.segments"),
    _status("nissa_journal_bytes", "gauge", "Bytes of the journal on disk.", "journal.bytes", "bytes"),
    _status("nissa_journal_commits_total", "counter", "Group commits.", "journal.commits"),
    _status("nissa_journal_commit_failures_total", "counter", "Group commits that failed.", "journal.failures"),
    _status("nissa_seals_total", "counter", "Heads written as blocks.", "seal.count"),
    _status("nissa_seal_failures_total", "counter", "Heads that could not be written yet.", "seal.failures"),
    Metric(
        name="nissa_events_redacted_total",
        kind="counter",
        help="Texts of events that a rule of redaction changed, since the engine opened.",
        origin="status",
        path="events.redacted",
        labels=("rule",),
    ),
    Metric(
        name="nissa_ttl_entries",
        kind="gauge",
        help="Packets and requests remembered, by what was in them.",
        origin="status",
        path="ttl.entries",
        labels=("kind",),
    ),
    Metric(
        name="nissa_ttl_cleaned_total",
        kind="counter",
        help="Of these, dropped because their time was over, since the engine opened.",
        origin="status",
        path="ttl.cleaned",
        labels=("kind",),
    ),
    _status("nissa_ttl_evicted_total", "counter", "Dropped before their time: ttl.entries_max.", "ttl.evicted_total"),
    _status("nissa_ttl_cleanups_total", "counter", "Cleanups finished.", "ttl.cleanup_operations"),
    _status("nissa_ttl_bytes", "gauge", "Memory of packets and requests.", "ttl.memory_bytes", "bytes"),
    Metric(
        name="nissa_blocks",
        kind="gauge",
        help="Blocks by what they hold: raw, events, or windows of a tier.",
        origin="status",
        path="blocks.kinds",
        labels=("kind",),
    ),
    _status("nissa_blocks_samples", "gauge", "Samples in raw blocks.", "blocks.samples"),
    _status("nissa_blocks_bytes", "gauge", "Bytes of all blocks.", "blocks.bytes", "bytes"),
    _status("nissa_retention_blocks_total", "counter", "Blocks dropped for their age.", "upkeep.dropped.blocks"),
    _status("nissa_retention_rows_total", "counter", "Samples, windows and events in them.", "upkeep.dropped.rows"),
    _status("nissa_retention_bytes_total", "counter", "Bytes of their files.", "upkeep.dropped.bytes", "bytes"),
    _status("nissa_pins", "gauge", "Time ranges that retention leaves alone.", "upkeep.pins"),
    _status(
        "nissa_clock_in_doubt",
        "gauge",
        "1 while the wall clock is not believed and nothing is dropped for its age.",
        "upkeep.clock_in_doubt",
    ),
    _status(
        "nissa_clock_off_seconds",
        "gauge",
        "How far the wall clock is ahead of where it was expected.",
        "upkeep.clock_off_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status("nissa_space_low", "gauge", "1 below twice the floor of free space.", "upkeep.space_low"),
    _status("nissa_scrub_files_total", "counter", "Files read back from the disk.", "upkeep.scrub.files"),
    _status("nissa_scrub_bytes_total", "counter", "Bytes of them.", "upkeep.scrub.bytes", "bytes"),
    _status(
        "nissa_scrub_oldest_seconds",
        "gauge",
        "Since the file was read back whose turn it is.",
        "upkeep.scrub.oldest_reading_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status("nissa_quarantine_blocks", "gauge", "Blocks found damaged and put aside.", "upkeep.quarantine.blocks"),
    _status("nissa_quarantine_rows", "gauge", "Samples, windows and events in them.", "upkeep.quarantine.rows"),
    _status(
        "nissa_unclaimed_files", "gauge", "Files put aside by a start that found commits lost.", "upkeep.unclaimed"
    ),
    _status("nissa_upkeep_failures_total", "counter", "Turns of upkeep that failed.", "upkeep.failures"),
    _status("nissa_series", "gauge", "Series that have an id.", "series.total"),
    _status("nissa_series_active", "gauge", "Series that count against the limit.", "series.active"),
    _status("nissa_series_limit", "gauge", "series.active_max.", "series.limit"),
    _status("nissa_series_refused_total", "counter", "New series refused over the limit.", "series.refused"),
    _status("nissa_series_symbols", "gauge", "Distinct label names and values.", "series.symbols"),
    _status("nissa_series_index_bytes", "gauge", "Memory of the series index.", "series.index_bytes", "bytes"),
)

LADDER: Final = (
    _tier(
        "nissa_ladder_written_until_seconds",
        "gauge",
        "Unix time up to which the windows of the tier are written; 0 where none is.",
        "written_until_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _tier(
        "nissa_ladder_lag_seconds",
        "gauge",
        "How far that is behind what is sealed. Less than the span of a block is as it should be.",
        "lag_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _tier("nissa_ladder_windows_total", "counter", "Windows written, since the engine opened.", "windows"),
    _tier("nissa_ladder_late_windows_total", "counter", "Of these, again for samples that came late.", "late_windows"),
    _status("nissa_ladder_failures_total", "counter", "Times the ladder could not be written.", "ladder.failures"),
    _status("nissa_ladder_damages_total", "counter", "Damaged parts the ladder left out.", "ladder.damages"),
)

PROCESS: Final = (
    _process("process_cpu_seconds_total", "counter", "User and system processor time.", "seconds"),
    _process("process_resident_memory_bytes", "gauge", "Resident memory.", "bytes"),
    _process("process_virtual_memory_bytes", "gauge", "Virtual memory.", "bytes"),
    _process("process_start_time_seconds", "gauge", "When the process started, Unix time.", "seconds"),
    _process("process_open_fds", "gauge", "Open file descriptors."),
    _process("process_max_fds", "gauge", "Most file descriptors that may be open."),
)

CATALOGUE: Final = HTTP + ACCOUNTING + ENGINE + LADDER + PROCESS
