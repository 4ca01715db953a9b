"""Interface to numbers of series by time, for the route of series added."""

from typing import Protocol


class SeriesMarking(Protocol):
    """Marks: Unix milliseconds, and how many series ids had been given out then. Safe from any thread."""

    def since(self, start_ms: int) -> tuple[int, int]:
        """The last mark before ``start_ms``, or the first one there is."""

    def between(self, start_ms: int) -> list[tuple[int, int]]:
        """All marks from ``since(start_ms)`` on."""
