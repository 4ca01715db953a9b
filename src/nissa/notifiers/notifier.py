"""Interface of a kind of channel: sends one notification once, and says how that ended."""

from typing import Protocol

import msgspec

from nissa.alerting.notification import Notification


class NotDelivered(Exception):
    """An attempt failed. retry: another may succeed. retry_after_ms: not before; 0 where the channel says nothing."""

    def __init__(self, reason: str, *, retry: bool = True, retry_after_ms: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry
        self.retry_after_ms = retry_after_ms


class Message(msgspec.Struct, frozen=True):
    """A notification on its way. id: the same for every attempt, also after a crash. external_url: of this daemon.

    text_faults: grows with each text whose template fails; the default text is sent in its place.
    """

    id: str
    notification: Notification
    external_url: str
    text_faults: list[str] = []


class Notifier(Protocol):
    """One channel of one receiver. Lives on the loop."""

    def counts(self, message: Message, /) -> bool:
        """True if a message counts against the hourly limit, and may become part of a digest."""

    async def send(self, message: Message) -> None:
        """Deliver a message. The caller limits the time. Raises: NotDelivered."""

    async def close(self) -> None:
        """Close connections."""
