"""Settings of the database of states of alerts, silences and SLO snapshots."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import HOUR_MS, SECOND_MS


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """url: ``postgresql://user@host/name``; empty: SQLite in the data directory. password_file: its password.

    timeout_ms: of one statement of PostgreSQL, of a connection to it, and of the wait for a free one. connections_max:
    at the same time.
    """

    url: str = ""
    password_file: str = ""
    timeout_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 10 * SECOND_MS
    connections_max: Annotated[int, count(2, 1_000)] = 15
