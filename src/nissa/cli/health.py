"""Judges the answer of ``/api/status``: the state of each part, the worst first, and one sentence about the whole.

The pages judge by the same rules (``ui/src/data/health.ts``).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

SERIES_NEAR: Final = 0.8  # of the limit
QUEUE_HIGH_PERCENT: Final = 75
QUEUE_NOTICED_PERCENT: Final = 50
QUIET_SEVERITIES: Final = ("info", "none")

Facts = Mapping[str, Any]


class Level(IntEnum):
    """The state of a part, the worst first."""

    BAD = 0
    WARN = 1
    GOOD = 2
    IDLE = 3

    @property
    def word(self) -> str:
        """As it is written."""
        return self.name.lower()


class Finding(msgspec.Struct, frozen=True):
    """A part, and its state in a few words."""

    name: str
    level: Level
    fact: str


class Judgement(msgspec.Struct, frozen=True):
    """level: of the whole."""

    level: Level
    sentence: str


_BREAKERS: Final = {"closed": Level.GOOD, "open": Level.BAD}
_SINKS: Final = {
    "up": Level.GOOD,
    "starting": Level.IDLE,
    "paused": Level.WARN,
    "failing": Level.BAD,
    "blocked": Level.BAD,
}


def findings(status: Facts) -> list[Finding]:
    """All parts that a status names, the worst first. status: JSON of ``/api/status``."""
    found = [*_engine(status), *_storage(status), *_outside(status)]
    return sorted(found, key=lambda one: one.level)


def verdict(status: Facts, found: Sequence[Finding], alerts: Sequence[Facts]) -> Judgement:
    """The whole in one sentence. found: of ``findings``. alerts: of ``/api/v1/alerts``."""
    mode = status.get("mode", "")
    if mode == "recovering":
        percent = status.get("recovery", {}).get("percent", 0)
        return Judgement(Level.WARN, f"Nissa is starting: {percent} % of the journal is replayed.")
    if mode != "ready":
        what = {"read_only": "nothing is being stored", "stalled": "a worker makes no progress"}.get(mode, mode)
        return Judgement(Level.BAD, f"Not well: {what}: {status.get('reason') or 'no reason given'}.")
    firing = sum(is_call(alert) for alert in alerts)
    alarm = f"{firing} {'alert is' if firing == 1 else 'alerts are'} firing"
    bad = sum(one.level is Level.BAD for one in found)
    if bad:
        parts = "1 part needs attention" if bad == 1 else f"{bad} parts need attention"
        return Judgement(Level.BAD, f"Not well: {parts}{f', {alarm}' if firing else ''}.")
    if firing:
        return Judgement(Level.BAD, f"Not well: {alarm}; Nissa itself is well.")
    warned = sum(one.level is Level.WARN for one in found)
    forced = status.get("safeguards", {}).get("mode", {}).get("mode", "normal")
    if forced != "normal":
        return Judgement(Level.WARN, f"Nissa runs in {forced} mode.")
    if warned:
        return Judgement(Level.WARN, f"Well; {warned} {'part is' if warned == 1 else 'parts are'} worth a look.")
    return Judgement(Level.GOOD, "Well.")


def is_call(alert: Facts) -> bool:
    """True of an alert that fires, calls for somebody, and that nobody has acknowledged."""
    quiet = alert["labels"].get("severity", "") in QUIET_SEVERITIES
    return alert["state"] == "firing" and not quiet and "acknowledgement" not in alert


def _engine(status: Facts) -> Iterator[Finding]:
    if workers := status.get("watchdog"):
        stalled = ", ".join(workers["stalled"])
        fact = f"{stalled} stalled" if stalled else f"{len(workers['workers'])} running"
        yield Finding("Workers", Level.BAD if stalled else Level.GOOD, fact)
    if (queue := status.get("queue")) and (safeguards := status.get("safeguards")):
        fill = safeguards["mode"]["load_percent"].get("queue", 0)
        level = Level.BAD if fill >= QUEUE_HIGH_PERCENT else Level.WARN if fill >= QUEUE_NOTICED_PERCENT else Level.GOOD
        yield Finding("Queue", level, f"{queue['frames']:,} frames, {fill:.0f} % full")
    if journal := status.get("journal"):
        failures = journal["failures"]
        fact = f"{failures:,} failed commits" if failures else size_text(journal["bytes"])
        yield Finding("Journal", Level.BAD if failures else Level.GOOD, fact)
    if head := status.get("head"):
        error = status.get("seal", {}).get("last_error")
        yield Finding("Head", Level.BAD if error else Level.GOOD, error or f"{head['samples']:,} samples in memory")
    if (series := status.get("series")) and series.get("limit"):
        share = series["active"] / series["limit"]
        level = Level.BAD if share >= 1 else Level.WARN if share >= SERIES_NEAR else Level.GOOD
        yield Finding("Series", level, f"{series['active']:,} active of {series['limit']:,}")
    if (rules := status.get("rules")) and rules["groups"]:
        level = Level.WARN if rules["send_failures"] else Level.GOOD
        yield Finding("Rules", level, f"{rules['rules']:,} in {rules['groups']:,} groups")
    if reload := status.get("reload"):
        level = Level.GOOD if reload["successful"] else Level.BAD
        yield Finding("Configuration", level, reload["error"] or "in force")


def _storage(status: Facts) -> Iterator[Finding]:
    if blocks := status.get("blocks"):
        yield Finding("Blocks", Level.GOOD, f"{blocks['count']:,} files, {size_text(blocks['bytes'])}")
    if ladder := status.get("ladder"):
        error = ladder["last_error"]
        yield Finding("Tiers", Level.BAD if error else Level.GOOD, error or f"{len(ladder['tiers'])} written")
    maintenance = status.get("maintenance")
    if not maintenance:
        return
    failing = [name for name, job in maintenance["jobs"].items() if job["last_error"]]
    fact = f"failing: {', '.join(failing)}" if failing else "jobs run"
    yield Finding("Maintenance", Level.WARN if failing else Level.GOOD, fact)
    low = maintenance["space_low"]
    yield Finding("Disk space", Level.BAD if low else Level.GOOD, "low" if low else "enough")
    count = maintenance["quarantine"]["blocks"]
    fact = f"{count} blocks in quarantine" if count else f"{maintenance['scrub']['files']:,} files verified"
    yield Finding("Integrity", Level.BAD if count else Level.GOOD, fact)
    doubt = maintenance["clock_in_doubt"]
    yield Finding("Clock", Level.WARN if doubt else Level.GOOD, maintenance["clock"])


def _outside(status: Facts) -> Iterator[Finding]:
    for name, source in status.get("sources", {}).items():
        level = Level.GOOD if source["up"] else Level.BAD
        yield Finding(f"Source {name}", level, source["error"] or source["state"])
    for name, sink in status.get("sinks", {}).items():
        yield Finding(f"Sink {name}", _SINKS.get(sink["state"], Level.IDLE), sink["error"] or sink["state"])
    for name, breaker in status.get("breakers", {}).items():
        if not name.startswith("sinks."):  # the sink itself says it
            state = breaker["state"]
            fact = state if state == "closed" else breaker["last_error"] or state
            yield Finding(f"Breaker {name}", _BREAKERS.get(state, Level.WARN), fact)


def size_text(count: float) -> str:
    """Bytes in the unit that leaves one to four digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def span_text(ms: float) -> str:
    """A duration by its two largest units: ``3d 4h``, ``12s``, ``340ms``."""
    if ms < 1_000:
        return f"{ms:.3g}ms"
    seconds = int(ms // 1_000)
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    parts = [
        (seconds // width if at == 0 else seconds % units[at - 1][1] // width, unit)
        for at, (unit, width) in enumerate(units)
    ]
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2] if number)
