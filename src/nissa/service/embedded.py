"""``nissa.Engine`` and ``nissa.open``: the engine and the reader without sockets.

The log belongs to the embedding program: its configuration of structlog is not changed. If it configured nothing,
structlog would print to standard output, and with every traceback the local variables of each frame: whole bodies,
other people's secrets. There Nissa asks for plain tracebacks on standard error.
"""

import sys
from pathlib import Path
from typing import Self

import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.load import load_config
from nissa.config.tree import Api, Config
from nissa.ingest.accounting import balance_of
from nissa.ingest.engine import Engine as _Engine
from nissa.ingest.head import head_facts
from nissa.ingest.recover import read_directory
from nissa.model.allowance import Check, no_check
from nissa.model.columns import Metadata
from nissa.model.counters import Tallies
from nissa.model.status import SeriesStatus, Status
from nissa.query.reader import Reader
from nissa.series.policies import SeriesPolicies
from nissa.service.clock import steady, wall_ms
from nissa.service.lossy_log import lossy_loggers
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot
from nissa.store.row_groups import RowGroupCache


class Engine(_Engine):
    """The engine on a data directory, in this process: ``ingest`` bodies, ``snapshot`` what is there, ``close``.

    with nissa.Engine("./nissa-data") as engine:
        receipt = engine.ingest(body, Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
    """

    def __init__(self, data_dir: str | Path, config: Config | None = None) -> None:
        """Open ``data_dir`` for writing. Raises what ``ingest.engine.Engine`` raises."""
        log_without_locals()
        super().__init__(Path(data_dir), config if config is not None else load_config(None, {}, {}), wall_ms, steady)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_reader(data_dir: str | Path, check: Check = no_check) -> Reader:
    """Read a data directory, also while a daemon writes it. Changes nothing there.

    check: called by every loop of a question, with the bytes it has taken; what it raises ends the question.
    Raises: ConfigInvalid where it is none, UnknownFormat, Damaged.
    """
    log_without_locals()
    row_groups = RowGroupCache(Api().row_group_cache_bytes_max)
    return Reader(lambda: DirectoryView(Path(data_dir), row_groups), wall_ms, check)


def log_without_locals() -> None:
    """Plain tracebacks on standard error, unless this program has configured structlog already."""
    if structlog.is_configured():
        return
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    processors = [*structlog.get_config()["processors"][:-1], renderer]  # the last one of the defaults is the renderer
    structlog.configure(processors=processors, logger_factory=lossy_loggers(sys.stderr))


class DirectoryView:
    """A directory at one moment (``query.backend.Backend``): its blocks, and its journal replayed in memory."""

    def __init__(self, directory: Path, row_groups: RowGroupCache) -> None:
        """row_groups: the cache of all views of this directory."""
        read = read_directory(directory)
        row_groups.keep_only([block.id for block in read.blocks])
        self._row_groups = row_groups
        self.index: SeriesIndex = read.pipeline.index
        self._directory = directory
        self._blocks = read.blocks
        self._tiers = read.tiers
        self._missing = read.missing
        self._keeping = SeriesPolicies(self.index, read.epochs) if read.epochs else None
        self._pipeline = read.pipeline
        self._recovery = read.recovery
        self._tombstones, self._expired = read.tombstones, read.expired

    def snapshot(self) -> Snapshot:
        """Blocks, and later frames of the journal."""
        head = self._pipeline.head
        heads = head.snapshot()
        return Snapshot(
            self._directory,
            self._blocks,
            heads,
            self._tiers,
            self._missing,
            self._keeping,
            self._row_groups,
            idle_ttl_ms=self._pipeline.config.series.idle_ttl_ms,
            tombstones=self._tombstones,
            expired=self._expired,
            **head_facts([head], [heads]),
        )

    @property
    def arrivals(self) -> None:
        """None: answers are not cached."""

    def event_snapshot(self) -> EventSnapshot:
        """The same of events."""
        heads = tuple(self._pipeline.head.events_snapshot())
        return EventSnapshot(self._directory, self._blocks, heads, self._missing)

    def accounting(self) -> Tallies:
        """Counters by source at that moment. Raises: FileGone if a block was deleted since; then ``refresh``."""
        return balance_of(self._directory, self._blocks, self._pipeline, self._tombstones)

    @property
    def admin(self) -> None:
        """None: the directory is only read."""

    def status(self) -> Status:
        """Status of the directory from outside."""
        series = SeriesStatus(self.index.known_count, self.index.active_count)
        return Status(mode="offline", data_dir=str(self._directory), series=series, recovery=self._recovery)

    def metadata(self) -> list[Metadata]:
        """Metadata that senders gave for metric names."""
        return list(self._pipeline.metadata.values())
