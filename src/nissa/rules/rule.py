"""Rules and groups as they are evaluated; files of every form are read into these.

group  file;name ── interval, offset, limit, labels
  └─ rules in order: record or alert, expression, labels, annotations, for, keep_firing_for
"""

from enum import StrEnum

import msgspec

from nissa.rules.event_match import AlertingEvents


class RuleKind(StrEnum):
    """The kind of a rule, as the API of Prometheus names it."""

    RECORDING = "recording"
    ALERTING = "alerting"


class Rule(msgspec.Struct, frozen=True):
    """One rule. name: of the metric recorded, or of the alert. for_ms, keep_firing_ms: 0 for none.

    labels: those of its group included. routes: names of receivers, of the short form only.
    events: counted instead of evaluating the expression.
    """

    kind: RuleKind
    name: str
    expression: str
    for_ms: int = 0
    keep_firing_ms: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    routes: tuple[str, ...] = ()
    events: AlertingEvents | None = None

    @property
    def has_alerts(self) -> bool:
        """True for an alerting rule."""
        return self.kind is RuleKind.ALERTING


class RuleGroup(msgspec.Struct, frozen=True):
    """Rules that are evaluated in order, at one time. file: as named in the settings.

    interval_ms: between evaluations; 0 for that of the settings. offset_ms: how far before its time the data is read.
    limit: of series or alerts of one rule; 0 for none.
    """

    file: str
    name: str
    rules: tuple[Rule, ...]
    interval_ms: int = 0
    offset_ms: int = 0
    limit: int = 0

    @property
    def key(self) -> str:
        """Its identity over restarts, as Prometheus writes it."""
        return f"{self.file};{self.name}"
