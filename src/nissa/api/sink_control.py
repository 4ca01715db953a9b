"""Interface to the sinks of the daemon, for operators."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol


class SinkControl(Protocol):
    """The sinks of the process, on the loop of the API. Every method raises BadQuery for a sink that there is not."""

    async def pause(self, name: str) -> None:
        """Send nothing more until ``resume``, also after a restart. Raises: Unavailable."""

    async def resume(self, name: str) -> None:
        """Send again, at once. Raises: Unavailable."""

    async def skip(self, name: str) -> int:
        """Give up the backlog; returns the number of frames. Raises: Unavailable."""

    async def forget(self, name: str) -> None:
        """Keep nothing any more for a sink that is not configured; BadQuery for one that is. Raises: Unavailable."""

    async def dead_letters(self, name: str, limit: int | None = None) -> Sequence[Any]:
        """Dead letters, the oldest first, as structs. limit: None: all. Raises: Unavailable."""

    async def replay(self, name: str, ids: Collection[int] | None) -> tuple[int, int]:
        """Send these dead letters again, or all: how many were delivered, how many are left. Raises: Unavailable."""

    async def drop(self, name: str, ids: Collection[int] | None) -> int:
        """Forget these dead letters, or all; returns how many there were. Raises: Unavailable."""
