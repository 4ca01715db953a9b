"""Interface to the routing of alerts in the daemon."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

from nissa.alerting.silences import Silence
from nissa.alerting.views import AlertViews
from nissa.config.alerting import Alerting
from nissa.model.alert import Alert

Seen = TypeVar("Seen")


class AlertControl(Protocol):
    """Routing of the process, on the loop of the API."""

    @property
    def settings(self) -> Alerting:
        """The settings in force."""

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Take alerts; they are stored when this returns. Raises: Unavailable."""

    async def look(self, work: Callable[[AlertViews], Seen]) -> Seen:
        """The result of ``work`` on the views, on their thread."""

    async def set_silence(self, wanted: Silence) -> str:
        """Have a silence in force; returns its id. Raises: BadQuery, Unavailable."""

    async def end_silence(self, silence_id: str) -> None:
        """End a silence now. Raises: BadQuery, Unavailable."""

    async def dead_letters(self) -> Sequence[Any]:
        """Dead letters of notifications, the oldest first, as structs. Raises: Unavailable."""

    async def replay(self, ids: Collection[int] | None) -> int:
        """Have these dead letters delivered again, or all; returns how many. Raises: Unavailable."""

    async def drop(self, ids: Collection[int] | None) -> int:
        """Forget these dead letters, or all; returns how many there were. Raises: Unavailable."""
