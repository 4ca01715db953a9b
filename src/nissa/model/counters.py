"""Conservation: every record received ends in exactly one counter.

    received = stored + duplicate + refused{reason} + in_flight

There is one set per source, such as ``http/remote_write_1``. Checkpoints in the catalogue hold them together with their
LSN; replaying the journal behind that LSN restores them exactly after a crash.
"""

import msgspec


class Counters(msgspec.Struct):
    """Counters of one source. Records are samples, native histograms and events alike; frames are counted beside.

    conflicts: number of ``duplicate`` whose value differed from the stored one (a note, not a term of the sum).
    malformed: frames that could not be decoded at all, whose records can therefore not be counted.
    """

    frames: int = 0
    malformed: int = 0
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    conflicts: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    in_flight: int = 0

    def refuse(self, reason: str, count: int) -> None:
        """Count ``count`` records refused for ``reason``."""
        self.refused[reason] = self.refused.get(reason, 0) + count

    @property
    def unaccounted(self) -> int:
        """Records received that no counter accounts for: 0 unless Nissa lost count."""
        spent = self.stored + self.duplicate + sum(self.refused.values()) + self.in_flight
        return self.received - spent


Tallies = dict[str, Counters]


def copy_tallies(tallies: Tallies) -> Tallies:
    """A copy that shares nothing with ``tallies``, to which the engine thread may add sources meanwhile."""
    return {
        source: msgspec.structs.replace(counters, refused=dict(counters.refused))
        for source, counters in list(tallies.items())
    }
