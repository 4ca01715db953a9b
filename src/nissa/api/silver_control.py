"""Interface to the rollups and the janitor of the daemon, for the API."""

from typing import Protocol

from nissa.database.database import Database
from nissa.tiers.janitor import Cleaned
from nissa.tiers.silver import SilverStore


class SilverControl(Protocol):
    """Rollups of the process."""

    def silver(self) -> SilverStore:
        """Rollups; opens the database. Blocks. Raises: Unavailable."""

    def tidy(self, *, dry: bool) -> Cleaned:
        """Have the janitor run, or say what it would delete. Blocks. Raises: Unavailable."""

    def database(self) -> Database:
        """The database of the system's configuration. Blocks. Raises: Unavailable."""
