"""Interface to the rules and alerts of the daemon, for the API."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from nissa.promql.values import QueryResult
from nissa.rules.group import GroupEvaluation


class AnswersRanges(Protocol):
    """The range queries of a backtest."""

    def answer_range(self, expression: str, start: float, end: float, step: float) -> QueryResult:
        """The answer at start, start + step … up to end, in Unix seconds."""


class RuleControl(Protocol):
    """Rule groups that run, and their alerts."""

    def evaluations(self) -> Sequence[tuple[GroupEvaluation, int]]:
        """Groups and their intervals in milliseconds, in the order of the files."""

    def acknowledgements(self) -> Mapping[str, Any]:
        """Acknowledgements in force by fingerprint, as structs. Blocks. Raises: Unavailable."""

    def acknowledge(self, fingerprint: str, user: str, comment: str) -> Any:
        """Acknowledge an alert that fires. Blocks. Raises: BadQuery where it does not fire, Unavailable."""

    def history(self, start_ms: int, end_ms: int, fingerprint: str, limit: int) -> Sequence[Any]:
        """Transitions, the newest first, as structs. Blocks. Raises: Unavailable."""

    def backtest(
        self,
        text: bytes,
        reader: AnswersRanges,
        span_ms: tuple[int, int],
        interval_ms: int,
        check: Callable[[], object],
    ) -> Sequence[Mapping[str, Any]]:
        """Evaluate the rules of a text over the stored past. check: called after each evaluation. Raises: BadQuery."""
