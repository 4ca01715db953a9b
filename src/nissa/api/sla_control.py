"""Interface to the service level agreements of the daemon, for the API."""

from typing import Protocol

from nissa.tiers.sla_engine import SlaEngine
from nissa.tiers.sla_store import SlaStore


class SlaControl(Protocol):
    """Definitions and snapshots of the process."""

    def store(self) -> SlaStore:
        """Definitions and snapshots; opens the database. Blocks. Raises: Unavailable."""

    @property
    def report_font(self) -> str:
        """Path of the font that reports are set in; empty for Helvetica."""

    def engine(self) -> SlaEngine:
        """Corrects snapshots. Blocks. Raises: Unavailable."""
