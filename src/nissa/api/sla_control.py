"""Interface to the service level agreements of the daemon, for the API."""

from typing import Protocol

from nissa.tiers.sla_engine import SlaEngine
from nissa.tiers.sla_store import SlaStore


class SlaControl(Protocol):
    """Definitions and snapshots of the process."""

    def store(self) -> SlaStore:
        """Definitions and snapshots; opens the database. Blocks. Raises: Unavailable."""

    def engine(self) -> SlaEngine:
        """Corrects snapshots. Blocks. Raises: Unavailable."""
