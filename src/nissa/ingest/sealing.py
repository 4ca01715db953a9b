"""The sealer thread: turns a full head into a block, and only then lets go of its part of the journal.

    engine thread              sealer thread                                              readers
    ─────────────              ─────────────                                              ───────
    head → Generation ───────► wait until all of it is durable                            head' + generation
    a new head                 sort, resolve, write Parquet, fsync, catalogue row         head' + generation
                               ── one step: the block appears, the generation goes ──     head' + block
                               duplicates told to the engine; journal trimmed

A generation that cannot be written (disk full) stays what it is, readable and in the journal, and is tried again.
"""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Config
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.model.columns import Metadata
from nissa.model.tally import Tallies, Tally, copy_tallies
from nissa.store.catalogue import Catalogue
from nissa.store.journal import Journal
from nissa.store.read import Snapshot

RETRY_S = 5.0
DURABLE_POLL_S = 0.002

log = structlog.get_logger()


class Generation:
    """A head that takes no more frames, with the state of everything at its last frame."""

    def __init__(self, pipeline: Pipeline, lsn: int) -> None:
        self.head = pipeline.head
        self.lsn = lsn
        self.tallies: Tallies = copy_tallies(pipeline.tallies)
        self.index: SeriesIndex = pipeline.index
        self.series_count = pipeline.index.series_count
        self.seen_minutes = pipeline.index.seen_minutes_of()
        self.metadata: list[Metadata] = list(pipeline.metadata_changed.values())
        self.done = threading.Event()
        self.error: Exception | None = None
