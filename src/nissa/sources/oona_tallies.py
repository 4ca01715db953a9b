"""Counts of entries from Oona and of their outcomes, and the last known state of the streams."""

from collections.abc import Mapping, Sequence

from nissa.sources.oona_entries import Entry
from nissa.sources.oona_streams import StreamFacts
from nissa.sources.positions import StreamPosition


class OonaTallies:
    """Counts since the start of the process. waiting_for: what is missing, in words."""

    def __init__(self) -> None:
        self.entries: dict[str, int] = {}
        self.bytes = 0
        self.acknowledged = 0
        self.claimed = 0
        self.bootstrap = 0
        self.groups_made = 0
        self.dead_letters: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.waiting_for: list[str] = []
        self._streams: dict[str, StreamFacts] = {}
        self._lost_before: dict[str, int] = {}  # of each group, as Redis counts; what is known of already

    def facts(self) -> dict[str, object]:
        """All of it under stable names; ``entries``, ``lag``, ``depth``, ``pending`` and ``lost`` by stream."""
        streams = dict(self._streams)
        return {
            "entries": dict(self.entries),
            "bytes": self.bytes,
            "acknowledged": self.acknowledged,
            "claimed": self.claimed,
            "bootstrap": self.bootstrap,
            "groups_made": self.groups_made,
            "dead_letters": dict(self.dead_letters),
            "lost": dict(self.lost),
            "lag": {stream: facts.lag for stream, facts in streams.items()},
            "depth": {stream: facts.depth for stream, facts in streams.items()},
            "pending": {stream: facts.pending for stream, facts in streams.items()},
        }

    # ---- entries ----

    def received(self, stream: str, entries: Sequence[Entry]) -> None:
        """Entries that were read, each as often as it was."""
        self.entries[stream] = self.entries.get(stream, 0) + len(entries)
        self.bytes += sum(len(value) for _, fields in entries for value in fields.values())

    def bury(self, reasons: Sequence[str]) -> None:
        """Entries that became dead letters, acknowledged with that."""
        self.acknowledged += len(reasons)
        for reason in reasons:
            self.dead_letters[reason] = self.dead_letters.get(reason, 0) + 1

    def lose_pending(self, stream: str, count: int) -> None:
        """Entries that were trimmed or deleted after they were delivered and before they were durable."""
        if count:
            self.lost[stream] = self.lost.get(stream, 0) + count

    # ---- streams ----

    def see(self, stream: str, facts: StreamFacts) -> None:
        """Facts of a stream; entries trimmed unread since the last ones are lost."""
        self._streams[stream] = facts
        if facts.lost is None:
            return
        before = self._lost_before.setdefault(stream, facts.lost)  # of a group made by another process
        if facts.lost > before:
            self.lost[stream] = self.lost.get(stream, 0) + facts.lost - before
            self._lost_before[stream] = facts.lost

    def oldest_pending(self, stream: str) -> str:
        """The first entry of the group that was not acknowledged when Redis was last asked; empty where unknown."""
        facts = self._streams.get(stream)
        return facts.oldest_pending if facts else ""

    def begin(self, stream: str) -> None:
        """Count a group that this process made: all that Redis counts as lost in it will be new."""
        self.groups_made += 1
        self._streams.pop(stream, None)
        self._lost_before[stream] = 0

    def restore(self, stream: str, lost_before: int) -> None:
        """The count of lost entries that a process before this one knew of."""
        if lost_before >= 0:
            self._lost_before.setdefault(stream, lost_before)

    def positions(self, durable: Mapping[str, str]) -> dict[str, StreamPosition]:
        """Positions to write: the durable entry of each stream, and the lost ones known of, -1 for unknown."""
        return {stream: StreamPosition(at, self._lost_before.get(stream, -1)) for stream, at in durable.items() if at}
