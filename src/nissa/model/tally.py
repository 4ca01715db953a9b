"""Conservation: every record received ends in exactly one counter.

    received = stored + duplicate + refused{reason} + quarantined + in_flight

Tallies are kept per source key such as ``http/remote_write_1``. They are checkpointed in the catalogue together with
the LSN they stand for; replaying the journal behind that LSN brings them exactly back after a crash.
"""

import msgspec


class Tally(msgspec.Struct):
    """Counters of one source. Records are samples, native histograms and events alike; frames are counted beside.

    conflicts: how many of ``duplicate`` had another value than the sample kept (a memo, not a term of the balance).
    malformed: frames that could not be decoded at all, whose records can therefore not be counted.
    """

    frames: int = 0
    malformed: int = 0
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    conflicts: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    quarantined: int = 0
    in_flight: int = 0

    def refuse(self, reason: str, count: int) -> None:
        """Count ``count`` records refused for ``reason``."""
        self.refused[reason] = self.refused.get(reason, 0) + count

    @property
    def residue(self) -> int:
        """What the balance misses: 0 unless Nissa lost count."""
        spent = self.stored + self.duplicate + sum(self.refused.values()) + self.quarantined + self.in_flight
        return self.received - spent


Tallies = dict[str, Tally]


def copy_tallies(tallies: Tallies) -> Tallies:
    """A copy that shares nothing with ``tallies``, to which the engine thread may add sources meanwhile."""
    return {
        source: msgspec.structs.replace(tally, refused=dict(tally.refused)) for source, tally in list(tallies.items())
    }
