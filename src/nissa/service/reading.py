"""What ``nissa.open`` is: a data directory loaded for reading, its journal replayed in memory.

    catalogue (read only) ──► blocks ─────────────────────────┐
    series table ──► index                                    ├──► Snapshot
    journal behind the checkpoint ──► pipeline.replay ──► head ┘

Nothing is locked and nothing written, so a daemon may go on working on the directory. It may seal while the journal is read,
and delete segments that were not read yet; a checkpoint that has moved meanwhile tells that, and loading begins again.
"""

from pathlib import Path
from typing import Any

from nissa._fast.series import SeriesIndex
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.recover import replay_directory
from nissa.model.columns import Metadata
from nissa.model.errors import Unavailable
from nissa.model.tally import Tallies
from nissa.query.reader import Reader
from nissa.store.catalogue import Catalogue
from nissa.store.names import RAW_KIND
from nissa.store.read import Snapshot
from nissa.store.recovery import RecoveryReport

ATTEMPTS_MAX = 10  # a seal takes a second and comes every other minute


class Loaded:
    """A directory as it was at one moment; what ``Reader`` asks."""

    def __init__(self, snapshot: Snapshot, pipeline: Pipeline, report: RecoveryReport) -> None:
        self._snapshot = snapshot
        self._pipeline = pipeline
        self._report = report

    @property
    def index(self) -> SeriesIndex:
        """The series index."""
        return self._pipeline.index

    def snapshot(self) -> Snapshot:
        """Blocks, and what the journal holds behind them."""
        return self._snapshot

    def accounting(self) -> Tallies:
        """Source key -> tally; rows of the journal count as stored, duplicates among them are told when they are sealed."""
        return self._pipeline.tallies

    def metadata(self) -> list[Metadata]:
        """What senders said about metric names."""
        return list(self._pipeline.metadata.values())

    def status(self) -> dict[str, Any]:
        """What is known of the directory."""
        blocks, index = self._snapshot.blocks, self._pipeline.index
        return {
            "data_dir": str(self._snapshot.directory),
            "head": {"samples": self._pipeline.head.total},
            "blocks": {
                "count": len(blocks),
                "rows": sum(block.rows for block in blocks),
                "bytes": sum(block.bytes for block in blocks),
            },
            "series": {"total": index.series_count, "active": index.active_count, "limit": index.active_max},
            "journal": {"frames": self._report.frames, "rot_frames": self._report.rot_frames},
        }


def open_directory(data_dir: str | Path, config: Config | None = None) -> Reader:
    """A Reader of ``data_dir``, also while a daemon writes it.

    config: the daemon's, where its limits are not the defaults: the journal is read as it was received, and admitted again.
    Raises: ConfigInvalid where there is no data directory; UnknownFormat, Damaged.
    """
    directory = Path(data_dir)
    settings = load_config(None, {}, {}) if config is None else config
    return Reader(lambda: load_directory(directory, settings))


def load_directory(directory: Path, config: Config) -> Loaded:
    """Read the catalogue, the series table and the journal of ``directory``. Raises as ``open_directory``."""
    for _ in range(ATTEMPTS_MAX):
        catalogue = Catalogue.open(directory, readonly=True)
        try:
            before = catalogue.checkpoint().lsn
            loaded = _load(directory, catalogue, config)
            if loaded is not None and catalogue.checkpoint().lsn == before:
                return loaded
        finally:
            catalogue.close()
    raise Unavailable(f"{directory} is sealed faster than it can be read")


def _load(directory: Path, catalogue: Catalogue, config: Config) -> Loaded | None:
    """What is there now; None where a journal segment was deleted while it was read."""
    report = RecoveryReport()
    try:
        pipeline = replay_directory(directory, catalogue, config, report)
    except FileNotFoundError:
        return None
    blocks = tuple(catalogue.blocks(RAW_KIND))
    return Loaded(Snapshot(directory, blocks, pipeline.head.snapshot()), pipeline, report)
