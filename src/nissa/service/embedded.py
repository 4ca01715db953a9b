"""What ``nissa.Engine`` and ``nissa.open`` are: the rooms put together without sockets.

The log belongs to the program around: what it configured of structlog is left alone. Where it configured nothing,
structlog would print to standard output, and with every traceback the local variables of each frame: whole bodies,
other people's secrets. There Nissa asks for plain tracebacks on standard error.
"""

import sys
from pathlib import Path
from typing import Any, Self

import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.ingest.accounting import balance_of
from nissa.ingest.engine import Engine as _Engine
from nissa.ingest.recover import read_directory
from nissa.model.columns import Metadata
from nissa.model.tally import Tallies
from nissa.query.reader import Reader
from nissa.series.keeping import SeriesKeeping
from nissa.service.clock import steady, wall_ms
from nissa.service.lossy_log import lossy_loggers
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot


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


def open_directory(data_dir: str | Path) -> Reader:
    """Read a data directory, also while a daemon writes it. Changes nothing there.

    Raises: ConfigInvalid where it is none, UnknownFormat, Damaged.
    """
    log_without_locals()
    return Reader(lambda: DirectoryView(Path(data_dir)))


def log_without_locals() -> None:
    """Plain tracebacks on standard error, unless this program has configured structlog already."""
    if structlog.is_configured():
        return
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    processors = [*structlog.get_config()["processors"][:-1], renderer]  # the last one of the defaults is the renderer
    structlog.configure(processors=processors, logger_factory=lossy_loggers(sys.stderr))


class DirectoryView:
    """A directory at one moment (``query.backend.Backend``): its blocks, and its journal replayed in memory."""

    def __init__(self, directory: Path) -> None:
        read = read_directory(directory)
        self.index: SeriesIndex = read.pipeline.index
        self._directory = directory
        self._blocks = read.blocks
        self._tiers = read.tiers
        self._quarantine = read.quarantine
        self._keeping = SeriesKeeping(self.index, read.epochs) if read.epochs else None
        self._pipeline = read.pipeline
        self._recovery = read.recovery

    def snapshot(self) -> Snapshot:
        """Blocks, and what the journal holds behind them."""
        heads = self._pipeline.head.snapshot()
        return Snapshot(self._directory, self._blocks, heads, self._tiers, self._quarantine, self._keeping)

    def event_snapshot(self) -> EventSnapshot:
        """The same of events."""
        heads = tuple(self._pipeline.head.events_snapshot())
        return EventSnapshot(self._directory, self._blocks, heads, self._quarantine)

    def accounting(self) -> Tallies:
        """The balance at that moment. Raises: FileGone where blocks were merged since; ``refresh`` then."""
        return balance_of(self._directory, self._blocks, self._pipeline)

    def status(self) -> dict[str, Any]:
        """What is known of the directory from outside."""
        series = {"total": self.index.series_count, "active": self.index.active_count}
        return {"mode": "offline", "data_dir": str(self._directory), "series": series, "recovery": self._recovery}

    def metadata(self) -> list[Metadata]:
        """What senders said about metric names."""
        return list(self._pipeline.metadata.values())
