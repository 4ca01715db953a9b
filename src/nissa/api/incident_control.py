"""Interface to the incidents of the daemon, for the API."""

from collections.abc import Sequence
from typing import Protocol

from nissa.incidents.incident_store import IncidentStore
from nissa.incidents.lifecycle import Escalation
from nissa.model.alert import Alert


class IncidentControl(Protocol):
    """Incidents of the process."""

    @property
    def escalation(self) -> Escalation:
        """Time until incidents that nobody acknowledges escalate."""

    @property
    def events_per_minute_max(self) -> int:
        """Events of one sender; 0 for any number."""

    def open_for(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Open, link or resolve incidents for alerts that want one; the same again changes nothing. Blocks.

        Raises: NissaError where the database does not answer.
        """

    def store(self) -> IncidentStore:
        """The incidents; opens the database. Blocks. Raises: Unavailable."""
