"""An alert as it leaves the rule engine, or a sender of the Alertmanager API, toward routing.

    rules ──┐
    v2 API ─┼── put(alerts, now_ms) ──► AlertReceiver (routing): groups, inhibits, silences, notifies
    events ─┘

An alert is put again while it fires (``resend``), each time with a later ``ends_at_ms``: a receiver that hears nothing
until then treats it as resolved. A resolved alert is put again for a while, so a receiver that was down learns of it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

ALERT_NAME: Final = "alertname"
FIRING_AS_LONG_AS_SENT: Final = 0
_OFFSET: Final = 0xCBF29CE484222325  # FNV-1a, 64 bits
_PRIME: Final = 0x100000001B3
_MASK: Final = (1 << 64) - 1


class AlertState(StrEnum):
    """State of an alert. Routing is given firing and resolved ones only."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True):
    """One alert at one time.

    labels: with ``alertname``; they are its identity. starts_at_ms: when it began to fire; for a pending one, when it
    became active. ends_at_ms: of a resolved alert, when it resolved; of a firing one, when it counts as resolved unless
    it is put again, or 0 for no such time. updated_at_ms: when this was said. All in Unix milliseconds. generator_url:
    address of the query. value: of the expression. fingerprint: ``label_fingerprint`` of the labels. source: ``rules``,
    ``events`` or ``api``. acknowledged: an operator has seen this firing.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at_ms: int
    ends_at_ms: int
    updated_at_ms: int
    generator_url: str
    value: float
    state: AlertState
    fingerprint: str
    source: str
    acknowledged: bool = False


class AlertReceiver(Protocol):
    """Routing, as those see it that raise alerts."""

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Take alerts that fire or have resolved; the same fingerprint again replaces what was said before.

        May be called from any thread, and returns soon. Raises: Unavailable where they were not taken; they are put
        again with the next evaluation.
        """


def label_fingerprint(labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits: FNV-1a of the labels in order of their names, as Alertmanager computes it."""
    found = _OFFSET
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            found = ((found ^ byte) * _PRIME) & _MASK
    return f"{found:016x}"
