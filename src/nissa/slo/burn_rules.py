"""Rules that watch an objective: error ratios of several windows, and alerts on how fast the budget burns.

    share of the budget   long   short   factor in 30 d   severity          SRE workbook, chapter 5
    2 %                   1h     5m      14.4             page
    5 %                   6h     30m     6                page
    10 %                  1d     2h      3                ticket
    10 %                  3d     6h      1                ticket
    40 %                  1d     -       12               page              the specification (slo.burn_alert_threshold)

An alert fires where the burn of both windows is over the factor: the long one says that it matters, the short one that
it goes on. The rules are ordinary ones; ``nissa slo rules`` prints them.
"""

from collections.abc import Sequence
from typing import Any, Final

from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rules.rule import Rule, RuleGroup, RuleKind
from nissa.slo.objective import Objective, over

RATIO: Final = "slo:error_ratio"
EVENTS: Final = "slo:events"
SHORT: Final = ("5m", "30m", "1h")
LONG: Final = ("2h", "6h", "1d", "3d")
LONG_INTERVAL_MS: Final = 2 * MINUTE_MS
_LENGTHS: Final = {"5m": 5 * MINUTE_MS, "30m": 30 * MINUTE_MS, "1h": HOUR_MS, "2h": 2 * HOUR_MS, "6h": 6 * HOUR_MS}
_LENGTHS_MS: Final = _LENGTHS | {"1d": DAY_MS, "3d": 3 * DAY_MS}
WATCHES: Final = (
    ("1h", "5m", 0.02, "page"),
    ("6h", "30m", 0.05, "page"),
    ("1d", "2h", 0.1, "ticket"),
    ("3d", "6h", 0.1, "ticket"),
)


def burn_rule_groups(objective: Objective, share_per_day: float) -> tuple[RuleGroup, ...]:
    """Two groups of rules for an objective: short windows with the alerts, and long windows.

    share_per_day: of the budget, spent in 24 h, that alerts; 0 for none.
    """
    short = [_ratio(objective, window) for window in SHORT] + [_events(objective, "1h")]
    long = [_ratio(objective, window) for window in LONG] + [
        _events(objective, window) for window in ("6h", "1d", "3d")
    ]
    alerts = [_watch(objective, *watch) for watch in WATCHES]
    if share_per_day > 0:
        alerts.append(_spent_per_day(objective, share_per_day))
    if objective.burn_threshold > 0:
        alerts.append(_threshold(objective))
    return (
        RuleGroup(objective.file, f"slo {objective.name}: long windows", tuple(long), LONG_INTERVAL_MS),
        RuleGroup(objective.file, f"slo {objective.name}", (*short, *alerts)),
    )


def _labels(objective: Objective) -> dict[str, str]:
    return {**objective.labels, "slo": objective.name}


def _ratio(objective: Objective, window: str) -> Rule:
    bad, total = over(objective.bad, window), over(objective.total, window)
    expression = f"(({bad}) or vector(0)) / (({total}) > 0)"
    return Rule(RuleKind.RECORDING, f"{RATIO}:{window}", expression, labels=_labels(objective))


def _events(objective: Objective, window: str) -> Rule:
    return Rule(RuleKind.RECORDING, f"{EVENTS}:{window}", over(objective.total, window), labels=_labels(objective))


def _over(objective: Objective, window: str, factor: float) -> str:
    return f'{RATIO}:{window}{{slo="{objective.name}"}} > {factor:g} * {objective.allowed_ratio:.10g}'


def _enough(objective: Objective, window: str) -> str:
    return f' and {EVENTS}:{window}{{slo="{objective.name}"}} >= {objective.events_min:g}'


def _watch(objective: Objective, long: str, short: str, share: float, severity: str) -> Rule:
    factor = share * objective.window_ms / _LENGTHS_MS[long]
    expression = f"{_over(objective, long, factor)} and {_over(objective, short, factor)}{_enough(objective, long)}"
    what = f"{share:.0%} of its error budget within {long} (burn rate {factor:.3g})"
    labels = {**_labels(objective), "severity": severity, "long": long, "short": short}
    return _alert("SloBurnRate", objective, expression, labels, what)


def _spent_per_day(objective: Objective, share: float) -> Rule:
    factor = share * objective.window_ms / DAY_MS
    expression = _over(objective, "1d", factor).replace(" > ", " >= ", 1) + _enough(objective, "1d")
    labels = {**_labels(objective), "severity": "page"}
    return _alert(
        "SloBudgetSpentInADay", objective, expression, labels, f"{share:.0%} of its error budget within a day"
    )


def _threshold(objective: Objective) -> Rule:
    expression = _over(objective, "1h", objective.burn_threshold) + _enough(objective, "1h")
    what = f"its error budget at more than {objective.burn_threshold:g} times the rate it is made for"
    return _alert("SloBurnThreshold", objective, expression, {**_labels(objective), "severity": "page"}, what)


def _alert(name: str, objective: Objective, expression: str, labels: dict[str, str], what: str) -> Rule:
    annotations = {
        "description": f"{objective.name} spends {what}: {{{{ $value | humanizePercentage }}}} of events are bad.",
        "suggested_action": objective.description or f"Look at what has changed for {objective.name}.",
    }
    return Rule(RuleKind.ALERTING, name, expression, labels=labels, annotations=annotations)


def written_groups(groups: Sequence[RuleGroup]) -> dict[str, Any]:
    """Groups as Prometheus' rule file has them."""
    return {"groups": [_written(group) for group in groups]}


def _written(group: RuleGroup) -> dict[str, Any]:
    written: dict[str, Any] = {"name": group.name}
    if group.interval_ms:
        written["interval"] = f"{group.interval_ms // 1000}s"
    written["rules"] = [
        {
            ("alert" if rule.has_alerts else "record"): rule.name,
            "expr": rule.expression,
            "labels": rule.labels,
            **({"annotations": rule.annotations} if rule.annotations else {}),
        }
        for rule in group.rules
    ]
    return written
