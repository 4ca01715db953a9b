"""Interfaces between rules and those that answer queries and take samples; ``service/`` and ``cli/`` join them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from nissa.rules.event_match import AlertingEvents


class RuleSample(NamedTuple):
    """One series at one time. labels: with ``__name__`` where it has one."""

    labels: dict[str, str]
    value: float


class RecordedSample(NamedTuple):
    """A sample that a rule has made. labels: with ``__name__``. at_ms: Unix milliseconds."""

    labels: dict[str, str]
    at_ms: int
    value: float


class Queries(Protocol):
    """Evaluates expressions for one evaluation of a group. Used by one thread at a time."""

    def names(self, expression: str) -> frozenset[str] | None:
        """Metrics that an expression reads; None where that is not known. Raises: BadQuery."""

    def expect(self, expressions: Sequence[str], at_ms: int) -> None:
        """Take note of the expressions that are asked next, at one time, so that they may be evaluated together."""

    def instant(self, expression: str, at_ms: int) -> list[RuleSample]:
        """Series of an expression at one time; a scalar is one series without labels. Raises: NissaError."""

    def events(self, match: "AlertingEvents", at_ms: int) -> list[RuleSample]:
        """Events of a rule up to a time, counted by their dedup keys. Raises: NissaError."""

    def renew(self) -> None:
        """Read what was recorded meanwhile."""


class Recorder(Protocol):
    """Takes the samples that rules make."""

    def record(self, samples: Sequence[RecordedSample]) -> None:
        """Store samples; returns when they are durable and can be read. Raises: NissaError."""
