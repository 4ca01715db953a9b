"""Judges the facts about an installation: each finding says what is wrong and which setting or command changes it."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.catalogue.catalogue import Catalogue
from nissa.catalogue.schema import FORMAT
from nissa.cli.doctor_facts import NETWORK, VOLATILE, Installation, is_other_user
from nissa.cli.size import in_words
from nissa.config.load import load_config
from nissa.maintenance.sizing import Workload, estimate
from nissa.model.errors import NissaError
from nissa.model.units import MINUTE_MS, SECOND_MS

ERROR: Final = "error"  # data is refused, lost or not seen
WARNING: Final = "warning"  # it will be, or others can do harm
FILES_MIN: Final = 4_096
SWAPPED_BYTES_MIN: Final = 16 << 20  # a few idle pages are swapped out on any machine
MEMORY_WAITS_MIN: Final = 5.0  # percent
NEARLY: Final = 0.8
LADDER_LAG_MS: Final = 10 * MINUTE_MS
SINK_LAG_MS: Final = 10 * MINUTE_MS
SIZED: Final = (  # settings that nissa size reckons with
    "api.queries_memory_size_max",
    "api.query_memory_size_max",
    "api.range_cache_size_max",
    "api.row_group_cache_size_max",
    "api.selection_cache_size_max",
    "ingest.queue_size_max",
    "ladder.raw_retention",
    "ladder.tiers",
    "series.active_max",
    "series.idle_ttl",
    "storage.free_percent_min",
    "storage.free_space_min",
)
REMEDIES: Final[Mapping[str, str]] = {
    "series_limit": "raise series.active_max, or look at `series.top_offenders` in /api/status",
    "too_old": "raise acceptance.past or acceptance.event_past, use nissa import, or correct the clock",
    "too_new": "correct the clock of the sender, or raise acceptance.future",
    "labels_too_many": "raise series.labels_per_series_max",
    "label_too_long": "raise series.label_value_size_max or series.label_name_size_max",
    "unavailable": "look at mode, disk and queue: frames were refused for a while, senders repeat them",
}
DISK: Final = "look at the disk (dmesg) and at the log of the daemon"
COUNTS: Final = (  # level, path in /api/status, what so many are, remedy
    (ERROR, "journal.failures", "commits failed", DISK),
    (ERROR, "seal.failures", "seals failed", DISK),
    (ERROR, "maintenance.failures", "jobs failed", DISK),
    (ERROR, "ladder.failures", "folds failed", DISK),
    (ERROR, "maintenance.quarantine.blocks", "blocks are damaged and not served", "nissa verify, then nissa repair"),
    (
        ERROR,
        "maintenance.unclaimed",
        "files were set aside, for the catalogue has lost commits",
        "stop the daemon and run nissa rebuild --replace",
    ),
    (ERROR, "recovery.rot_frames", "acknowledged frames of the journal are gone", "restore a backup, check the disk"),
    (
        WARNING,
        "rules.missed",
        "evaluations were missed",
        "raise the interval of the group, or simplify its rules",
    ),
    (WARNING, "rules.failures", "evaluations failed", "see lastError in /api/v1/rules"),
    (
        ERROR,
        "alerting.dead_letters",
        "notifications could not be delivered",
        "GET /api/v1/notifications/dead_letters, then POST its /replay",
    ),
    (
        WARNING,
        "alerting.text_failures",
        "texts of notifications failed, and the default texts were sent",
        "correct the template that `text_error` of a channel names in /api/status",
    ),
    (ERROR, "queries.audit_failures", "entries of the audit log could not be written", "look at the database"),
)


class Advice(msgspec.Struct, frozen=True):
    """One finding. level: ``error`` or ``warning``. subject: the part it is about. remedy: what to change."""

    level: str
    subject: str
    finding: str
    remedy: str


def advise(found: Installation, version: str) -> list[Advice]:
    """Everything to change, errors first. version: of this command."""
    checks: list[Callable[[Installation], Iterator[Advice]]] = [_machine, _swap, _directory]
    advice = []
    if found.error:
        advice.append(
            Advice(ERROR, "api", found.error, f"start nissa-ingest, or name its API with --api ({found.api})")
        )
    else:
        checks += [_state, _parts, _counted, _storage, _intake, _series, _sinks, _exposure, _needs]
        if found.status.get("version") != version:
            finding = f"the daemon is of version {found.status.get('version')}, this command of {version}"
            advice.append(Advice(WARNING, "version", finding, "use the command that was installed with the daemon"))
    advice += [one for check in checks for one in check(found)]
    return sorted(advice, key=lambda one: one.level)


def _counted(found: Installation) -> Iterator[Advice]:
    """Counts of the status that should be 0."""
    for level, path, finding, remedy in COUNTS:
        if count := _at(found.status, *path.split(".")):
            error = _at(found.status, *path.split(".")[:-1], "last_error")
            why = f" (the last: {error})" if error else ""
            yield Advice(level, path, f"{count} {finding}{why}", remedy)


def _state(found: Installation) -> Iterator[Advice]:
    status = found.status
    if status["mode"] == "stalled":
        workers = ", ".join(_at(status, "watchdog", "stalled") or ())
        yield Advice(ERROR, "mode", f"no progress: {workers}", "restart the daemon, and look at its disk and its log")
    elif status["mode"] != "ready":
        why = f": {status.get('reason')}" if status.get("reason") else ""
        yield Advice(ERROR, "mode", f"{status['mode']}{why}", "see `mode` of /api/status in docs/api.md")
    mode = _at(status, "safeguards", "mode") or {}
    if mode.get("mode", "normal") != "normal":
        remedy = "nissa mode auto" if mode.get("forced") else "add cores or memory, or see docs/safeguards.md"
        yield Advice(WARNING, "load", f"{mode['mode']} mode: {mode.get('reason')}", remedy)
    if _at(status, "reload", "successful") == 0:
        error = _at(status, "reload", "error")
        yield Advice(ERROR, "settings", f"the last reload failed: {error}", "correct the file, then nissa config check")
    if waiting := _at(status, "reload", "need_restart"):
        yield Advice(WARNING, "settings", f"changed, but not in force: {', '.join(waiting)}", "restart the daemon")


def _parts(found: Installation) -> Iterator[Advice]:
    """Clock, sources, breakers."""
    status = found.status
    if _at(status, "maintenance", "clock_in_doubt"):
        clock = _at(status, "maintenance", "clock")
        remedy = "correct the clock, or confirm it: POST /api/v1/clock/confirm"
        yield Advice(ERROR, "clock", f"nothing is dropped by age: {clock}", remedy)
    for name, source in status.get("sources", {}).items():
        if source.get("state") not in ("up", None):
            yield Advice(ERROR, f"sources.{name}", f"{source['state']}: {source.get('error')}", f"check sources.{name}")
    for name, breaker in status.get("breakers", {}).items():
        if breaker["state"] != "closed":
            error = breaker.get("last_error") or "too many failures"
            remedy = "repair that system; Nissa tries again by itself"
            yield Advice(ERROR, f"breaker {name}", f"{breaker['state']}: {error}", remedy)


def _storage(found: Installation) -> Iterator[Advice]:
    status, settings = found.status, found.settings
    durability = settings.get("storage.durability", "fsync")
    if durability != "fsync":
        finding = f"a power loss may cost acknowledged records ({durability})"
        yield Advice(WARNING, "storage.durability", finding, "storage.durability: fsync, if they must not be lost")
    if _at(status, "maintenance", "space_low"):
        remedy = "free or add space; shorten ladder.raw_retention, a tier's retention or storage.events_retention"
        yield Advice(ERROR, "disk", "space is low: merges rest, ingestion stops soon", remedy)
    head = status.get("head", {})
    waiting, limit = head.get("samples", 0) + head.get("sealing", 0), _number(settings, "storage.head_samples_max")
    if limit and waiting > limit * NEARLY:
        finding = f"{waiting} samples are not sealed, of {limit} (storage.head_samples_max)"
        yield Advice(ERROR, "sealing", finding, "the disk or the cores are too slow; see nissa size")
    for name, tier in (_at(status, "ladder", "tiers") or {}).items():
        normal_ms = tier.get("lag_ms_normal", 0) + 2 * tier["interval_ms"]
        if (lag_ms := tier.get("lag_ms") or 0) > LADDER_LAG_MS + normal_ms:
            finding = f"tier {name} is {lag_ms // SECOND_MS} s behind"
            yield Advice(WARNING, "ladder", finding, "add cores, or remove tiers from ladder.tiers")
    if lost := _at(status, "recovery", "lost_labels"):
        yield Advice(ERROR, "series", f"labels are lost: {', '.join(lost)}", "put the file back, or run nissa repair")


def _intake(found: Installation) -> Iterator[Advice]:
    total = found.accounting.get("total", {})
    received = max(total.get("received", 0), 1)
    for reason, count in sorted(total.get("refused", {}).items()):
        remedy = REMEDIES.get(reason, "correct the sender; the reasons are in docs/protocols.md")
        yield Advice(WARNING, f"refused {reason}", f"{count} of {received} records ({count / received:.2%})", remedy)
    if malformed := total.get("malformed"):
        yield Advice(
            WARNING, "malformed", f"{malformed} frames could not be read", "correct the sender; the answers say why"
        )
    if unaccounted := total.get("unaccounted"):
        yield Advice(ERROR, "accounting", f"{unaccounted} records are unaccounted for", "please report it")
    shed = sum(sum(reasons.values()) for reasons in _leaves(found.accounting.get("shed_frames", {})))
    if shed:
        yield Advice(WARNING, "safeguards", f"{shed} frames were refused", "see `shed` in docs/safeguards.md")


def _series(found: Installation) -> Iterator[Advice]:
    series = found.status.get("series", {})
    if series.get("limit") and series.get("active", 0) > series["limit"] * NEARLY:
        finding = f"{series['active']} of {series['limit']} are active"
        yield Advice(WARNING, "series", finding, "raise series.active_max (see nissa size), or drop labels")


def _sinks(found: Installation) -> Iterator[Advice]:
    for name, sink in found.status.get("sinks", {}).items():
        if sink["state"] not in ("up", "starting", "paused"):
            yield Advice(ERROR, f"sinks.{name}", f"{sink['state']}: {sink.get('error')}", f"check sinks.{name}")
        if letters := sink.get("dead_letters"):
            yield Advice(WARNING, f"sinks.{name}", f"{letters} dead letters", f"nissa dead-letters list {name}")
        if lost := sink.get("lost_frames"):
            remedy = "raise storage.follower_backlog_size_max and storage.follower_backlog_age_max"
            yield Advice(ERROR, f"sinks.{name}", f"{lost} frames never reached it", remedy)

        if (age_ms := sink.get("backlog_age_ms") or 0) > SINK_LAG_MS:
            finding = f"{age_ms // SECOND_MS} s behind, {in_words(sink.get('backlog_bytes') or 0)} wait"
            remedy = f"raise sinks.{name}.connections; frames are given up at sinks.{name}.backlog_size_max"
            yield Advice(WARNING, f"sinks.{name}", finding, remedy)


def _needs(found: Installation) -> Iterator[Advice]:
    """Check the memory that the settings and the series take at least, without samples: see ``nissa size``."""
    try:
        config = load_config(None, {}, {name: found.settings[name] for name in SIZED if name in found.settings})
    except NissaError:  # of another version
        return
    needs = estimate(Workload(0.0, _at(found.status, "series", "active") or 0), config).totals
    if found.memory.bytes and needs["memory_bytes"] > found.memory.bytes and found.process.pid is not None:
        finding = f"up to {in_words(needs['memory_bytes'])} are used, the machine has {in_words(found.memory.bytes)}"
        remedy = "add memory, or lower api.queries_memory_size_max, ingest.queue_size_max, series.active_max"
        yield Advice(WARNING, "memory", finding, remedy)
    if found.directory is None or not found.directory.disk_bytes:
        return
    size, free = found.directory.disk_bytes, found.directory.free_bytes
    if needs["disk_bytes"] > size:
        finding = f"the tiers will take at least {in_words(needs['disk_bytes'])}, the disk has {in_words(size)}"
        yield Advice(WARNING, "retention", finding, "shorten retentions in ladder.tiers, or add space: nissa size")
    reserve = max(config.storage.free_bytes_min, size * config.storage.free_percent_min // 100)
    if free < 2 * reserve and not _at(found.status, "maintenance", "space_low"):
        finding = f"{in_words(free)} are free; ingestion stops at {in_words(reserve)} (storage.free_space_min)"
        yield Advice(WARNING, "disk", finding, "add space, or shorten ladder.raw_retention or storage.events_retention")


def _exposure(found: Installation) -> Iterator[Advice]:
    settings = found.settings
    if not _is_local(settings.get("ingest.listen", "")) and settings.get("ingest.tokens_required") == "false":
        finding = f"everybody who reaches {settings['ingest.listen']} can send"
        yield Advice(WARNING, "ingest.listen", finding, "ingest.tokens_required: true, or a firewall")
    if not _is_local(settings.get("api.listen", "")) and not settings.get("api.tls.certificate_file"):
        finding = f"passwords and tokens are sent to {settings['api.listen']} in clear text"
        yield Advice(WARNING, "api.tls", finding, "api.tls.certificate_file, or a proxy with TLS")
    if settings.get("api.remote_deletion") == "true" and settings.get("api.access.enabled") == "false":
        yield Advice(WARNING, "api.remote_deletion", "other machines may delete series", "api.access.enabled: true")
    if "*" in settings.get("api.allowed_hosts", ""):
        yield Advice(WARNING, "api.allowed_hosts", "any host name is accepted", "name the hosts (DNS rebinding)")


def _machine(found: Installation) -> Iterator[Advice]:
    if found.is_clock_synchronised is False:
        yield Advice(WARNING, "clock", "nothing keeps this machine's clock right", "run chrony or systemd-timesyncd")
    files = found.process.files_max
    if files is not None and files < FILES_MIN:
        yield Advice(WARNING, "limits", f"the daemon may open {files} files", f"ulimit -n {FILES_MIN}, or LimitNOFILE=")

    if (limit := found.process.file_bytes_max) is not None:
        finding = f"the daemon may write {in_words(limit)} to a file"
        yield Advice(ERROR, "limits", finding, "ulimit -f unlimited, or LimitFSIZE=infinity")
    for setting, path in found.readable_secrets.items():
        yield Advice(WARNING, setting, f"everybody may read {path}", f"chmod o-r {path}")


def _swap(found: Installation) -> Iterator[Advice]:
    """Check whether the daemon is in swap, and whether the machine swaps."""
    swapped = found.process.swap_bytes
    if swapped >= SWAPPED_BYTES_MIN:
        finding = f"{in_words(swapped)} of the daemon are in swap; commits and queries wait for the disk"
        remedy = "add memory, or lower api.queries_memory_size_max and series.active_max; MemorySwapMax=0 in the unit"
        yield Advice(WARNING, "swap", finding, remedy)
    memory = found.memory
    if memory.swap_bytes >= SWAPPED_BYTES_MIN and (memory.waits_percent or 0.0) >= MEMORY_WAITS_MIN:
        finding = f"the machine swaps: processes waited {memory.waits_percent:.0f} % of the last 5 minutes for memory"
        yield Advice(WARNING, "swap", finding, "add memory, or move other programs away")


def _directory(found: Installation) -> Iterator[Advice]:
    facts = found.directory
    if facts is None:
        return
    if not facts.exists or not facts.has_catalogue:
        what = "has no catalogue.sqlite" if facts.exists else "is not there"
        remedy = "name the directory with --data-dir, or start nissa-ingest once"
        yield Advice(ERROR, "directory", f"{facts.path} {what}", remedy)
        return
    if facts.readable:
        yield Advice(WARNING, "permissions", f"everybody may read {facts.readable[0]}", f"chmod -R o-rwx {facts.path}")
    if facts.owner is not None and found.process.owner not in (None, 0, facts.owner):
        finding = f"{facts.path} belongs to user {facts.owner}, the daemon runs as {found.process.owner}"
        yield Advice(ERROR, "permissions", finding, f"chown -R {found.process.owner} {facts.path}")
    if facts.file_system in NETWORK:
        finding = f"{facts.path} is on {facts.file_system}: locks and syncs over a network are not reliable"
        yield Advice(ERROR, "directory", finding, "move it to a local disk; nissa backup copies it to others")
    if facts.file_system in VOLATILE:
        yield Advice(ERROR, "directory", f"{facts.path} is on {facts.file_system}, in memory", "move it to a disk")
    if not is_other_user(found.process):
        yield from _format(facts.path)


def _format(path: str) -> Iterator[Advice]:
    try:
        with closing(Catalogue.open(Path(path), readonly=True)) as catalogue:
            found = catalogue.format
    except NissaError as error:
        yield Advice(ERROR, "catalogue", str(error), f"nissa verify {path}; nissa rebuild {path}")
        return
    if found < FORMAT:
        yield Advice(
            WARNING, "catalogue", f"its format is {found}, this version writes {FORMAT}", "restart the daemon once"
        )


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number(settings: Mapping[str, str], name: str) -> int:
    text = settings.get(name, "")
    return int(text) if text.isdigit() else 0


def _at(facts: Mapping[str, Any], *names: str) -> Any:
    """A value inside; None where a part is not there."""
    for name in names:
        if not isinstance(facts, dict) or name not in facts:
            return None
        facts = facts[name]
    return facts


def _leaves(facts: Mapping[str, Any]) -> Iterator[Mapping[str, int]]:
    """The innermost mappings, name -> count."""
    if facts and all(isinstance(value, int) for value in facts.values()):
        yield facts
        return
    for value in facts.values():
        if isinstance(value, dict):
            yield from _leaves(value)
