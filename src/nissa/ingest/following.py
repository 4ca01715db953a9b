"""Followers of a data directory's journal, their cursors in its state store.

forwarder ──► Followers.open(name) ──► read ──► acknowledge ──► state.sqlite, room "followers"
"""

from collections.abc import Callable, Mapping

import msgspec

from nissa.catalogue.state import State
from nissa.config.tree import Storage
from nissa.journal.follower import Cursor
from nissa.journal.followers import Bounds, Followers
from nissa.journal.journal import Journal
from nissa.model.errors import Damaged

ROOM = "followers"


class StoredCursors:
    """Cursors as JSON in a room of the state store."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self) -> Mapping[str, Cursor]:
        """All there are, by name. Raises: Damaged, Unavailable."""
        try:
            return {name: msgspec.json.decode(value, type=Cursor) for name, value in self._state.read(ROOM).items()}
        except msgspec.MsgspecError as error:
            raise Damaged("state.sqlite", f"a cursor in it cannot be read: {error}") from error

    def write(self, name: str, cursor: Cursor | None) -> None:
        """Keep one, or forget it; durable when it returns. Raises: Damaged, Unavailable."""
        self._state.commit(ROOM, {name: None if cursor is None else msgspec.json.encode(cursor)})


def open_followers(
    journal: Journal, state: State, storage: Storage, clock: Callable[[], int], in_doubt: Callable[[], bool]
) -> Followers:
    """The followers of ``journal`` with the cursors of ``state``.

    clock: Unix milliseconds. in_doubt: True while it may be wrong. Raises: Damaged, Unavailable.
    """
    bounds = Bounds(storage.follower_backlog_bytes_max, storage.follower_backlog_ms_max)
    return Followers(journal, StoredCursors(state), bounds, clock, in_doubt)
