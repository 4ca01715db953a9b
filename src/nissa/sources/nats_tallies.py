"""Counts of messages from NATS and of their outcomes, and the last known state of the stream."""

from nats.js.api import ConsumerInfo, StreamInfo


class NatsTallies:
    """Counts since the start of the process. waiting_for: what is missing, in words."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.consumers_made = 0
        self.dropped = 0  # alert events while as many as allowed waited for the engine
        self.lost_before = 0  # sequence before which lost messages are counted
        self.waiting_for: list[str] = []
        self._entries: dict[str, int] = {}
        self._dead_letters: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._depth: dict[str, int] = {}
        self._lag: dict[str, int] = {}
        self._pending: dict[str, int] = {}

    def facts(self) -> dict[str, object]:
        """All of it under stable names; ``entries``, ``lag``, ``depth``, ``pending`` and ``lost`` by stream."""
        return {
            "entries": dict(self._entries),
            "acknowledged": self.acknowledged,
            "consumers_made": self.consumers_made,
            "dropped": self.dropped,
            "dead_letters": dict(self._dead_letters),
            "lost": dict(self._lost),
            "lag": dict(self._lag),
            "depth": dict(self._depth),
            "pending": dict(self._pending),
            "waiting_for": list(self.waiting_for),
        }

    def received(self, place: str, count: int) -> None:
        """Messages of a stream or subject, each as often as it came."""
        self._entries[place] = self._entries.get(place, 0) + count

    def bury(self, reason: str) -> None:
        """A message that could not be stored."""
        self._dead_letters[reason] = self._dead_letters.get(reason, 0) + 1

    def see(self, name: str, stream: StreamInfo, consumer: ConsumerInfo, *, filtered: bool) -> None:
        """Facts of the stream and its consumer. Messages that the stream dropped before they were delivered are lost.

        filtered: the consumer has a part of the stream only, so what was dropped may not have been its own.
        """
        self._depth[name] = stream.state.messages
        self._lag[name] = consumer.num_pending or 0
        self._pending[name] = consumer.num_ack_pending or 0
        delivered = consumer.delivered.stream_seq if consumer.delivered else 0
        behind = max(delivered, self.lost_before)
        if not filtered and stream.state.first_seq > behind + 1:
            self._lost[name] = self._lost.get(name, 0) + stream.state.first_seq - 1 - behind
            self.lost_before = stream.state.first_seq - 1
