"""Warnings and infos of an answer, in the words of Prometheus, each once.

PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)
PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:6)
"""

from nissa.model.matcher import quoted
from nissa.promql.scan import line_and_column

NOTES_MAX = 1_000  # an answer names no more of either kind
QUANTILE_PAGE = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


class Notes:
    """Warnings and infos of one evaluation."""

    def __init__(self, text: str) -> None:
        """text: the expression, for places."""
        self._text = text
        self._found: dict[str, dict[str, None]] = {"warning": {}, "info": {}}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings, in the order they came."""
        return tuple(self._found["warning"])

    @property
    def infos(self) -> tuple[str, ...]:
        """Infos, in the order they came."""
        return tuple(self._found["info"])

    def add(self, kind: str, text: str, at: int) -> None:
        """Note a text about the part of the expression at ``at``. kind: ``warning`` or ``info``."""
        found = self._found[kind]
        if len(found) < NOTES_MAX:
            found[f"PromQL {kind}: {text} ({line_and_column(self._text, at)})"] = None

    def line_and_column(self, at: int) -> str:
        """The place of a part of the expression."""
        return line_and_column(self._text, at)

    def invalid_quantile(self, value: str, at: int) -> None:
        """A quantile outside of 0 to 1."""
        self.add("warning", f"quantile value should be between 0 and 1, got {value}", at)

    def invalid_ratio(self, value: str, limit: str, at: int) -> None:
        """Warn that a ratio of ``limit_ratio`` is outside -1 to 1.

        value: as given. limit: that is used instead. at: position in the expression.
        """
        self.add("warning", f"ratio value should be between -1 and 1, got {value}, capping to {limit}", at)

    def bad_bucket(self, bound: str, metric: str, at: int) -> None:
        """Warn that a bucket of a classic histogram has a bound that is not a number.

        bound: its label ``le``. metric: name of the histogram. at: position in the expression.
        """
        what = f'bucket label "le" is missing or has a malformed value of {quoted(bound)}'
        self.add("warning", f"{what} for metric name {quoted(metric)}", at)

    def sort_in_range(self, at: int) -> None:
        """A function that sorts, in a range query."""
        what = "sort is ineffective for range queries since results are always ordered by labels"
        self.add("warning", what, at)

    def not_a_counter(self, metric: str, at: int) -> None:
        """A rate of something that is not named like a counter."""
        suffixes = "_total/_sum/_count/_bucket"
        self.add("info", f"metric might not be a counter, name does not end in {suffixes}: {quoted(metric)}", at)

    def forced_monotonic(self, metric: str, at: int) -> None:
        """A classic histogram whose counts went down with rising bounds."""
        what = f"input to histogram_quantile needed to be fixed for monotonicity (see {QUANTILE_PAGE})"
        self.add("info", f"{what} for metric name {quoted(metric)}", at)
