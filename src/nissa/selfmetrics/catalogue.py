"""The catalogue of all metrics of Nissa itself (``docs/metrics.md``).

Names follow Prometheus: ``nissa_<room>_<noun>_<unit>``, base units, ``_total`` for counters. Labels have few values,
never text of a sender.

Where a value comes from:

    status    a dotted path into the engine's status, times ``scale``
    tier      a fact of each tier of the ladder in the status, times ``scale``: label ``tier``
    source    a fact of each running source in the status, times ``scale``: label ``source``
    breaker   a fact of each circuit breaker in the status: label ``breaker``
    sink      a fact of each sink in the status, times ``scale``: label ``sink``
    shed      frames refused at the doors in the status: labels ``source``, ``priority``, ``reason``
    counters  an attribute of each source's counters: label ``source``
    cells     the counts of the ingest port, read in ``collector.py``
    process   /proc, read by prometheus-client
"""

from typing import Final

from nissa.model.units import SECOND_MS
from nissa.selfmetrics.alerting_metrics import ALERTING
from nissa.selfmetrics.bus_metrics import BUSES
from nissa.selfmetrics.incident_metrics import INCIDENTS
from nissa.selfmetrics.ingest_metrics import ACCOUNTING, HTTP
from nissa.selfmetrics.metric import Kind, Metric
from nissa.selfmetrics.rule_metrics import RULES
from nissa.selfmetrics.safeguard_metrics import SAFEGUARDS
from nissa.selfmetrics.silver_metrics import SILVER
from nissa.selfmetrics.sink_metrics import SINKS
from nissa.selfmetrics.sla_metrics import AGREEMENTS
from nissa.selfmetrics.source_metrics import SOURCES


def _status(
    name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0, former: str = ""
) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=path, unit=unit, scale=scale, former=former)


def _tier(name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0) -> Metric:
    labels = ("tier",)
    return Metric(name=name, kind=kind, help=help, origin="tier", path=path, unit=unit, scale=scale, labels=labels)


def _process(name: str, kind: Kind, help: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="process", unit=unit)


ENGINE: Final = (
    _status(
        "nissa_uptime_seconds",
        "gauge",
        "Time since the storage engine was opened.",
        "uptime_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status(
        "nissa_config_last_reload_successful",
        "gauge",
        "1 if the last time settings were read they were valid; 0 if a reload failed and changed nothing.",
        "reload.successful",
    ),
    _status(
        "nissa_config_last_reload_success_timestamp_seconds",
        "gauge",
        "Unix time at which settings were last read successfully.",
        "reload.last_success_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status(
        "nissa_workers_stalled",
        "gauge",
        "Worker threads that the watchdog currently sees making no progress.",
        "watchdog.count",
    ),
    _status(
        "nissa_worker_stalls_total",
        "counter",
        "Times the watchdog found a worker thread making no progress.",
        "watchdog.stalls",
    ),
    _status(
        "nissa_queue_frames",
        "gauge",
        "Frames (request bodies or messages) waiting for the engine thread.",
        "queue.frames",
    ),
    _status(
        "nissa_queue_bytes",
        "gauge",
        "Bytes of frames (request bodies or messages) that are neither acknowledged nor refused yet.",
        "queue.bytes",
        "bytes",
    ),
    _status("nissa_head_samples", "gauge", "Samples in memory that are not in a block on disk yet.", "head.samples"),
    _status(
        "nissa_head_sealing_samples",
        "gauge",
        "Samples in memory that are being written to a block on disk.",
        "head.sealing",
    ),
    _status(
        "nissa_journal_appended_lsn",
        "gauge",
        "Sequence number of the last frame appended to the journal, durable or not.",
        "journal.appended_lsn",
    ),
    _status(
        "nissa_journal_durable_lsn",
        "gauge",
        "Sequence number of the last frame that is durable in the journal.",
        "journal.durable_lsn",
    ),
    _status(
        "nissa_journal_checkpoint_lsn",
        "gauge",
        "Sequence number up to which all frames of the journal are in blocks on disk.",
        "journal.checkpoint_lsn",
    ),
    _status("nissa_journal_segments", "gauge", "Journal segments on disk.", "journal.segments"),
    _status("nissa_journal_bytes", "gauge", "Bytes of the journal on disk.", "journal.bytes", "bytes"),
    _status("nissa_journal_commits_total", "counter", "Group commits of the journal.", "journal.commits"),
    _status(
        "nissa_journal_commit_failures_total",
        "counter",
        "Group commits of the journal that failed.",
        "journal.failures",
    ),
    _status(
        "nissa_journal_follower_kept_bytes",
        "gauge",
        "Bytes of journal segments retained only because a follower has not read them yet.",
        "followers.kept_bytes",
        "bytes",
    ),
    _status(
        "nissa_journal_follower_backlog_frames",
        "gauge",
        "Durable frames of the journal that the slowest follower has not read yet.",
        "followers.backlog_frames",
    ),
    _status(
        "nissa_journal_follower_lost_frames_total",
        "counter",
        "Acknowledged journal frames that a follower missed, because they were damaged or deleted before it read them.",
        "followers.lost_frames",
    ),
    _status(
        "nissa_seals_total", "counter", "Times samples in memory were written to blocks on disk (seals).", "seal.count"
    ),
    _status(
        "nissa_seal_failures_total",
        "counter",
        "Failed attempts to write samples in memory to blocks on disk (seals); each is retried.",
        "seal.failures",
    ),
    Metric(
        name="nissa_events_redacted_total",
        kind="counter",
        help="Event texts that a redaction rule changed since the engine opened, by rule.",
        origin="status",
        path="events.redacted",
        labels=("rule",),
    ),
    Metric(
        name="nissa_ttl_entries",
        kind="gauge",
        help="Keys in the deduplication maps for packets and requests, by kind.",
        origin="status",
        path="ttl.entries",
        labels=("kind",),
    ),
    Metric(
        name="nissa_ttl_cleaned_total",
        kind="counter",
        help="Deduplication keys that expired since the engine opened, by kind.",
        origin="status",
        path="ttl.cleaned",
        labels=("kind",),
    ),
    _status(
        "nissa_ttl_evicted_total",
        "counter",
        "Deduplication keys evicted before they expired because ttl.entries_max was reached.",
        "ttl.evicted_total",
    ),
    _status(
        "nissa_ttl_cleanups_total",
        "counter",
        "Completed sweeps of the deduplication maps for expired keys.",
        "ttl.cleanup_operations",
    ),
    _status(
        "nissa_ttl_bytes",
        "gauge",
        "Memory of the deduplication maps for packets and requests.",
        "ttl.memory_bytes",
        "bytes",
    ),
    Metric(
        name="nissa_blocks",
        kind="gauge",
        help="Blocks on disk, by content: raw samples, events, or windows of a tier.",
        origin="status",
        path="blocks.kinds",
        labels=("kind",),
    ),
    _status("nissa_blocks_samples", "gauge", "Samples in raw blocks on disk.", "blocks.samples"),
    _status("nissa_blocks_bytes", "gauge", "Bytes of all blocks on disk.", "blocks.bytes", "bytes"),
    _status(
        "nissa_row_group_cache_hits_total",
        "counter",
        "Row groups of blocks that queries found decoded in the row-group cache.",
        "row_groups.hits",
    ),
    _status(
        "nissa_row_group_cache_misses_total",
        "counter",
        "Row groups of blocks that queries had to read and decode.",
        "row_groups.misses",
    ),
    _status(
        "nissa_row_group_cache_bytes",
        "gauge",
        "Memory of the row-group cache for queries.",
        "row_groups.bytes",
        "bytes",
    ),
    _status(
        "nissa_selection_cache_hits_total",
        "counter",
        "Selectors of queries whose series were in the selection cache.",
        "selections.hits",
    ),
    _status(
        "nissa_selection_cache_misses_total",
        "counter",
        "Selectors of queries whose series were searched for in the whole series index.",
        "selections.misses",
    ),
    _status("nissa_selection_cache_bytes", "gauge", "Memory of the selection cache.", "selections.bytes", "bytes"),
    _status(
        "nissa_retention_blocks_total",
        "counter",
        "Expired blocks deleted by retention since the engine opened.",
        "maintenance.dropped.blocks",
    ),
    _status(
        "nissa_retention_rows_total",
        "counter",
        "Samples, windows and events in blocks deleted by retention since the engine opened.",
        "maintenance.dropped.rows",
    ),
    _status(
        "nissa_retention_bytes_total",
        "counter",
        "Bytes of blocks deleted by retention since the engine opened.",
        "maintenance.dropped.bytes",
        "bytes",
    ),
    _status(
        "nissa_tombstones",
        "gauge",
        "Deletions (tombstones) whose rows are not yet removed from all blocks.",
        "deletions.tombstones",
    ),
    _status(
        "nissa_deleted_rows_total",
        "counter",
        "Samples and windows of deleted series that merges removed from disk since the engine opened.",
        "deletions.dropped_rows",
    ),
    _status(
        "nissa_import_samples_waiting",
        "gauge",
        "Imported samples older than acceptance.past that are not folded into the ladder yet.",
        "imports.waiting",
    ),
    _status(
        "nissa_import_samples_folded_total",
        "counter",
        "Imported samples older than acceptance.past folded into the ladder, or left out, since the engine opened.",
        "imports.folded",
    ),
    _status(
        "nissa_import_windows_written_total",
        "counter",
        "Windows that imports added or changed since the engine opened; tiers computed from those do not count.",
        "imports.written",
    ),
    _status(
        "nissa_import_windows_kept_total",
        "counter",
        "Windows that imports left unchanged because the samples they were computed from have expired.",
        "imports.kept",
    ),
    _status(
        "nissa_import_samples_left_out_total",
        "counter",
        "Imported samples left out because their window's samples have expired, or no tier retains their age.",
        "imports.kept_samples",
    ),
    _status("nissa_pins", "gauge", "Pinned time ranges, which retention does not delete.", "maintenance.pins"),
    _status(
        "nissa_clock_jump",
        "gauge",
        "1 while retention deletes nothing because the wall clock has jumped, else 0.",
        "maintenance.clock_in_doubt",
        former="nissa_clock_in_doubt",
    ),
    _status(
        "nissa_clock_off_seconds",
        "gauge",
        "Difference between the wall clock and the time expected from the monotonic boot clock.",
        "maintenance.clock_off_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status(
        "nissa_space_low",
        "gauge",
        "1 while free disk space is below twice storage.free_space_min, else 0.",
        "maintenance.space_low",
    ),
    _status(
        "nissa_snapshots_open",
        "gauge",
        "Snapshots of the store held by running queries.",
        "snapshots.snapshots",
    ),
    _status(
        "nissa_snapshots_oldest_seconds",
        "gauge",
        "Age of the oldest snapshot of the store held by a running query.",
        "snapshots.oldest_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status(
        "nissa_snapshots_held_files",
        "gauge",
        "Merged or expired block files not deleted yet because a running query reads them.",
        "snapshots.files",
    ),
    _status(
        "nissa_snapshots_held_bytes",
        "gauge",
        "Bytes of merged or expired block files not deleted yet because a running query reads them.",
        "snapshots.bytes",
        "bytes",
    ),
    _status(
        "nissa_scrub_files_total",
        "counter",
        "Files read back and verified by the scrub since the engine opened.",
        "maintenance.scrub.files",
    ),
    _status(
        "nissa_scrub_bytes_total",
        "counter",
        "Bytes read back and verified by the scrub since the engine opened.",
        "maintenance.scrub.bytes",
        "bytes",
    ),
    _status(
        "nissa_scrub_oldest_seconds",
        "gauge",
        "Time since the file with the oldest verification was verified by the scrub.",
        "maintenance.scrub.oldest_reading_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _status(
        "nissa_quarantine_blocks",
        "gauge",
        "Damaged blocks in quarantine, which queries leave out.",
        "maintenance.quarantine.blocks",
    ),
    _status(
        "nissa_quarantine_rows",
        "gauge",
        "Samples, windows and events in damaged blocks, which queries leave out.",
        "maintenance.quarantine.rows",
    ),
    _status(
        "nissa_orphaned_files",
        "gauge",
        "Files set aside as .unclaimed at start because the catalogue had lost commits and did not name them.",
        "maintenance.unclaimed",
        former="nissa_unclaimed_files",
    ),
    _status(
        "nissa_maintenance_failures_total",
        "counter",
        "Failed maintenance jobs (ladder, merges, retention, scrub and others); each is retried.",
        "maintenance.failures",
        former="nissa_upkeep_failures_total",
    ),
    _status("nissa_series", "gauge", "Series known, active or idle.", "series.total"),
    _status("nissa_series_active", "gauge", "Active series, which count against series.active_max.", "series.active"),
    _status("nissa_series_limit", "gauge", "Maximum of active series (series.active_max).", "series.limit"),
    _status(
        "nissa_series_refused_total",
        "counter",
        "Times a new series was refused because series.active_max was reached.",
        "series.refused",
    ),
    _status(
        "nissa_series_dropped_total",
        "counter",
        "Idle series forgotten because no stored data refers to them any more.",
        "series.dropped",
    ),
    _status(
        "nissa_series_symbols",
        "gauge",
        "Distinct label names and values in memory, shared by all series.",
        "series.symbols",
    ),
    _status(
        "nissa_series_index_bytes",
        "gauge",
        "Memory of the series index; labels of idle series moved to disk do not count.",
        "series.index_bytes",
        "bytes",
    ),
)

LADDER: Final = (
    _tier(
        "nissa_ladder_written_until_seconds",
        "gauge",
        "Unix time up to which windows of a ladder tier are written; 0 before the first.",
        "written_until_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _tier(
        "nissa_ladder_lag_seconds",
        "gauge",
        "Time by which a ladder tier is behind the samples in blocks; up to one block span of the tier is normal.",
        "lag_ms",
        "seconds",
        1 / SECOND_MS,
    ),
    _tier(
        "nissa_ladder_windows_total", "counter", "Windows written to a ladder tier since the engine opened.", "windows"
    ),
    _tier(
        "nissa_ladder_late_windows_total",
        "counter",
        "Windows of a ladder tier rewritten because of late samples, since the engine opened.",
        "late_windows",
    ),
    _status(
        "nissa_ladder_failures_total",
        "counter",
        "Failed attempts to write windows of the ladder; each is retried.",
        "ladder.failures",
    ),
    _status(
        "nissa_ladder_damages_total",
        "counter",
        "Damaged blocks left out when windows of the ladder were computed.",
        "ladder.damages",
    ),
)

PROCESS: Final = (
    _process("process_cpu_seconds_total", "counter", "User and system CPU time of the process.", "seconds"),
    _process("process_resident_memory_bytes", "gauge", "Resident memory of the process.", "bytes"),
    _process("process_virtual_memory_bytes", "gauge", "Virtual memory of the process.", "bytes"),
    _process("process_start_time_seconds", "gauge", "Start time of the process since the Unix epoch.", "seconds"),
    _process("process_open_fds", "gauge", "Open file descriptors of the process."),
    _process("process_max_fds", "gauge", "Limit of open file descriptors of the process."),
)

CATALOGUE: Final = (
    HTTP
    + SOURCES
    + SINKS
    + RULES
    + ALERTING
    + INCIDENTS
    + AGREEMENTS
    + SILVER
    + BUSES
    + ACCOUNTING
    + SAFEGUARDS
    + ENGINE
    + LADDER
    + PROCESS
)
