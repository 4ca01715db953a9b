"""Settings of the database of states of alerts, silences and SLO snapshots."""

import msgspec


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """url: ``postgresql://user@host/name``; empty: SQLite in the data directory. password_file: its password."""

    url: str = ""
    password_file: str = ""
