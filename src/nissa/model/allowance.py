"""The allowance of a query: a function that each of its loops calls with the bytes it has allocated or freed.

    check()            between two slices of work: raises if the query has timed out
    check(nbytes)      nbytes more are held now; raises if that exceeds a limit
    check(-nbytes)     nbytes were freed

The creator of the query (``query/limits.py``) decides which limits hold, by which clock, and what is raised. Rooms that
work without a query, such as maintenance, use ``no_check``.
"""

from typing import Final, Protocol

TEXT_BYTES: Final = 64  # of a Python string beside its characters, with its place in a list or dictionary
PAIR_BYTES: Final = 2 * TEXT_BYTES + 104  # of one label in a dictionary, without its characters


class Check(Protocol):
    """See above. Safe from any thread."""

    def __call__(self, taken_bytes: int = 0, /) -> None: ...


def no_check(taken_bytes: int = 0, /) -> None:
    """The allowance without bounds."""
