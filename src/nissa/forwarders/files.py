"""Sinks that copy sealed blocks now and then: ``files`` to a folder or an object store, ``iceberg`` into tables.

It follows the catalogue, not the journal: it has no backlog, and what is behind is copied by the next run.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from nissa.config.sinks import CopySink, FilesSink
from nissa.files.destinations import destination_of
from nissa.forwarders.backoff import Backoff
from nissa.forwarders.file_mirror import FileMirror, MirrorResult
from nissa.forwarders.worker_thread import WorkerThread
from nissa.model.errors import BadQuery, ConfigInvalid, NissaError
from nissa.model.units import SECOND_MS

REST_S: Final = 0.1  # at least, between two runs

log = structlog.get_logger()


class SealedFilesMirror(Protocol):
    """Makes a place hold everything that is sealed."""

    def run(self, go_on: Callable[[], bool]) -> MirrorResult:
        """Copy what is missing. go_on: False ends it early. Raises: NissaError, OSError."""


def mirror_of(name: str, config: CopySink, directory: Path) -> SealedFilesMirror:
    """The mirror of a sink. directory: the data directory. Raises: ConfigInvalid."""
    if isinstance(config, FilesSink):
        return FileMirror(directory, destination_of(config.url, f"sinks.{name}.url"), f"sinks.{name}.url")
    from nissa.forwarders.iceberg import IcebergMirror  # loads pyiceberg

    return IcebergMirror(directory, config, f"sinks.{name}")


class FilesDelivery:
    """One such sink at work. Its task runs on the loop; ``status`` may be asked from any thread."""

    def __init__(
        self, name: str, config: CopySink, directory: Path, backoff: Backoff, now_ms: Callable[[], int]
    ) -> None:
        """directory: the data directory. now_ms: the wall clock. Raises: ConfigInvalid."""
        self.name, self.backoff = name, backoff
        self._config, self._now_ms = config, now_ms
        self._mirror = mirror_of(name, config, directory)
        self._thread = WorkerThread(f"nissa-files-{name}")  # of its own: others must not wait for a disk
        self._going_on = True
        self._copied_ms = 0
        self._files = self._bytes = self._deleted = self._damaged = 0

    async def run(self) -> None:
        """Copy until cancelled."""
        try:
            while True:
                await self.backoff.ready()
                await self._run_once()
                rest_s = self._config.interval_ms / SECOND_MS if self.backoff.answering else REST_S
                await asyncio.sleep(max(rest_s, REST_S))
        finally:
            self._going_on = False

    async def _run_once(self) -> None:
        try:
            found = await self._thread.run(self._mirror.run, self._goes_on)
        except (NissaError, OSError) as error:
            self.backoff.failed(str(error), blocked=isinstance(error, ConfigInvalid))
        except asyncio.CancelledError:
            self.backoff.canceled()
            raise
        except Exception as error:  # the edge: a fault of ours in one sink must not end the others
            log.error("unexpected failure of a sink", sink=self.name, exc_info=error)
            self.backoff.failed(f"{type(error).__name__}: {error}")
        else:
            self._count(found)
            self.backoff.succeeded()

    def _goes_on(self) -> bool:
        return self._going_on and not self.backoff.paused

    def _count(self, found: MirrorResult) -> None:
        self._files += found.files
        self._bytes += found.bytes
        self._deleted += found.deleted
        self._damaged = found.damaged
        self._copied_ms = self._now_ms()

    def close(self) -> None:
        """End after the file that is being copied."""
        self._going_on = False
        self._thread.end()

    async def skip(self) -> int:
        """Raise BadQuery: there is nothing to skip."""
        raise BadQuery(f"the sink {self.name} has no backlog")

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        return {
            "state": self.backoff.state,
            "breaker": str(self.backoff.breaker_state),
            "up": int(self.backoff.state == "up"),
            "error": self.backoff.error or None,
            "failures": self.backoff.failures,
            "type": "files" if isinstance(self._config, FilesSink) else "iceberg",
            "url": self._config.url if isinstance(self._config, FilesSink) else self._config.warehouse,
            "last_sent_ms": self._copied_ms or None,
            "copied_files": self._files,
            "sent_bytes": self._bytes,
            "deleted_files": self._deleted,
            "damaged_files": self._damaged,
        }
