"""Work of the daemon that blocks and is repeated: a turn on a worker thread, then a wait, and so on until the stop.

A turn that fails is counted and logged; the next one tries again.
"""

import asyncio
from collections.abc import Callable

import structlog

from nissa.model.errors import NissaError
from nissa.model.units import SECOND_MS

log = structlog.get_logger()


class RepeatedWork:
    """One work, one turn at a time. Lives on the loop."""

    def __init__(
        self, name: str, turn: Callable[[], object], interval_ms: Callable[[], int], counts: dict[str, int]
    ) -> None:
        """name: in the log. turn: called on a worker thread. interval_ms: after a turn. counts: of ``failures``."""
        self._name, self._turn, self._interval_ms, self._counts = name, turn, interval_ms, counts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a turn."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End; a turn under way ends first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            turn = asyncio.ensure_future(asyncio.to_thread(self._turn))
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                await asyncio.wait((turn,))
                raise
            except NissaError as error:
                self._counts["failures"] += 1
                log.warning(f"{self._name} wait", reason=str(error))
            except Exception:  # the edge: the next turn tries again
                self._counts["failures"] += 1
                log.exception(f"{self._name} wait")
            await asyncio.sleep(self._interval_ms() / SECOND_MS)
