"""Status of a backend, as ``/api/status`` and the metrics of Nissa itself report it.

A section that a backend does not have is None and is left out of the answer: a directory read from outside has no queue
and no journal of its own. Sections typed as ``Facts`` are counts under stable names that nothing in the program reads.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Facts = Mapping[str, Any]


class QueueStatus(msgspec.Struct, frozen=True):
    """Frames and bytes taken and not yet acknowledged."""

    frames: int
    bytes: int


class HeadStatus(msgspec.Struct, frozen=True):
    """Samples in memory, of these under way into blocks, and their range in Unix milliseconds; None where empty."""

    samples: int
    sealing: int
    min_ms: int | None
    max_ms: int | None


class JournalStatus(msgspec.Struct, frozen=True):
    """Positions of the journal, its size on disk, and how its commits went."""

    appended_lsn: int
    durable_lsn: int
    checkpoint_lsn: int
    segments: int
    bytes: int
    commits: int
    failures: int


class SealStatus(msgspec.Struct, frozen=True):
    """Seals since the engine opened. last_error: of the last attempt, if it failed."""

    count: int
    failures: int
    last_error: str | None


class SeriesStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Series known and active. top_offenders: metric names with the most refused series."""

    total: int
    active: int
    dropped: int | None = None
    limit: int | None = None
    refused: int | None = None
    symbols: int | None = None
    index_bytes: int | None = None
    top_offenders: list[dict[str, Any]] | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Status of a backend at one moment.

    mode: ``offline`` where the directory is only read. reason: why it is not ready. ``upkeep`` is the former name of
    ``maintenance``, removed in 0.2.
    """

    mode: Literal["ready", "read_only", "stalled", "offline"]
    data_dir: str
    reason: str | None = None
    watchdog: Facts | None = None
    durability: str | None = None
    started_ms: int | None = None
    uptime_ms: int | None = None
    queue: QueueStatus | None = None
    head: HeadStatus | None = None
    journal: JournalStatus | None = None
    followers: Facts | None = None
    blocks: Facts | None = None
    snapshots: Facts | None = None
    row_groups: Facts | None = None
    selections: Facts | None = None
    maintenance: Facts | None = None
    upkeep: Facts | None = None
    ladder: Facts | None = None
    deletions: Facts | None = None
    imports: Facts | None = None
    seal: SealStatus | None = None
    series: SeriesStatus
    events: Facts | None = None
    bus: Facts | None = None
    ttl: Facts | None = None
    recovery: Facts | None = None

    def facts(self) -> dict[str, Any]:
        """All sections that there are, as JSON would hold them, but for ``recovery``, which is left as it is."""
        sections = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: msgspec.to_builtins(section)
            if isinstance(section, msgspec.Struct) and name != "recovery"
            else section
            for name, section in sections.items()
            if section is not None or name == "reason"
        }

    def quarantined(self) -> tuple[int, int]:
        """Files in quarantine, and the rows that they held."""
        found = (self.maintenance or {}).get("quarantine", {})
        return found.get("blocks", 0), found.get("rows", 0)
