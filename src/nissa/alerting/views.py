"""Alerts, groups and silences as the API of Alertmanager shows them: with what mutes each, and its receivers."""

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec
import re2

from nissa.alerting.matchers import Test, matcher_set, read_matchers
from nissa.alerting.router import Router, has_resolved
from nissa.alerting.routing import Routing
from nissa.alerting.silences import Silence
from nissa.model.alert import Alert
from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher

PATTERN_CHARACTERS_MAX = 4_096


class AlertView(msgspec.Struct, frozen=True):
    """An alert, and what mutes it: fingerprints of alerts, ids of silences, names of time intervals."""

    alert: Alert
    receivers: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    silenced_by: tuple[str, ...]
    muted_by: tuple[str, ...]


class GroupView(msgspec.Struct, frozen=True):
    """A group with its alerts."""

    labels: dict[str, str]
    receiver: str
    alerts: tuple[AlertView, ...]


class AlertQuery(msgspec.Struct, frozen=True):
    """A selection. active, silenced, inhibited, muted: alerts in these states are wanted. takes: of labels.

    receiver: of the names of receivers; None for all.
    """

    takes: Test
    receiver: Callable[[str], bool] | None = None
    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    muted: bool = True


def alert_query(
    filters: Iterable[str], receiver: str, *, active: bool, silenced: bool, inhibited: bool, muted: bool
) -> AlertQuery:
    """The selection behind parameters. Raises: BadQuery."""
    takes = matcher_set(filter_matchers(filters)).test()
    return AlertQuery(takes, _receiver_test(receiver) if receiver else None, active, silenced, inhibited, muted)


def filter_matchers(filters: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers of the parameters ``filter``. Raises: BadQuery."""
    return tuple(matcher for text in filters for matcher in read_matchers(text))


def _receiver_test(pattern: str) -> Callable[[str], bool]:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise BadQuery(
            f"receiver: a pattern of {len(pattern)} characters is over the limit of {PATTERN_CHARACTERS_MAX}"
        )
    if re.fullmatch(r"[\w-]*", pattern):
        return pattern.__eq__
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(f"^(?:{pattern})$", options)
    except re2.error as error:
        raise BadQuery(f"receiver: pattern {pattern[:200]!r} cannot be read: {error}") from None
    return lambda name: compiled.match(name) is not None


class AlertViews:
    """Views of a router. On the router's thread."""

    def __init__(self, router: Router, now_ms: Callable[[], int]) -> None:
        self._router = router
        self._now_ms = now_ms

    @property
    def routing(self) -> Routing:
        """The configuration in force."""
        return self._router.routing

    def alerts(self, query: AlertQuery) -> list[AlertView]:
        """Alerts that fire, in order of their fingerprints."""
        now_ms = self._now_ms()
        found = []
        for fingerprint in sorted(self._router.alerts):
            alert = self._router.alerts[fingerprint]
            if has_resolved(alert, now_ms) or not query.takes(alert.labels):
                continue
            nodes = self._router.routing.root.match(alert.labels)
            receivers = tuple(dict.fromkeys(node.receiver for node in nodes))
            if query.receiver is not None and not any(map(query.receiver, receivers)):
                continue
            muted = tuple(
                name
                for node in nodes
                for name in (*node.mute_time_intervals, *node.active_time_intervals)
                if self._router.routing.is_muted_by_time(node, now_ms)
            )
            view = self._view(alert, receivers, muted, now_ms)
            if _is_wanted(view, query):
                found.append(view)
        return found

    def groups(self, query: AlertQuery) -> list[GroupView]:
        """Groups with alerts that fire, in order of their labels."""
        now_ms = self._now_ms()
        found = []
        for group in self._router.groups():
            receiver = group.route.receiver
            if query.receiver is not None and not query.receiver(receiver):
                continue
            muted = self._router.routing.is_muted_by_time(group.route, now_ms)
            names = (*group.route.mute_time_intervals, *group.route.active_time_intervals) if muted else ()
            views = [
                self._view(alert, (receiver,), names, now_ms)
                for _, alert in sorted(group.alerts.items())
                if not has_resolved(alert, now_ms) and query.takes(alert.labels)
            ]
            wanted = tuple(view for view in views if _is_wanted(view, query))
            if wanted:
                found.append(GroupView(group.labels, receiver, wanted))
        return sorted(found, key=lambda one: (sorted(one.labels.items()), one.receiver))

    def silences(self, filters: Sequence[Matcher]) -> list[Silence]:
        """Silences that have matchers as the filters ask for; active ones first, those that end soon before others."""
        now_ms = self._now_ms()
        takes = matcher_set(filters).test()
        order = {"active": 0, "pending": 1, "expired": 2}
        chosen = [one for one in self._router.silences.all() if takes({each.name: each.value for each in one.matchers})]

        def place(one: Silence) -> tuple[int, int]:
            state = one.state(now_ms)
            times = {"active": one.ends_at_ms, "pending": one.starts_at_ms, "expired": -one.ends_at_ms}
            return order[state], times[state]

        return sorted(chosen, key=place)

    def silence(self, silence_id: str) -> Silence | None:
        """The silence with this id."""
        return self._router.silences.find(silence_id)

    def _view(self, alert: Alert, receivers: tuple[str, ...], muted: tuple[str, ...], now_ms: int) -> AlertView:
        inhibitor = self._router.inhibited_by(alert, now_ms)
        silenced = tuple(self._router.silenced_by(alert, now_ms))
        return AlertView(alert, receivers, (inhibitor,) if inhibitor else (), silenced, muted)


def _is_wanted(view: AlertView, query: AlertQuery) -> bool:
    if view.silenced_by and not query.silenced:
        return False
    if view.inhibited_by and not query.inhibited:
        return False
    if view.muted_by and not query.muted:
        return False
    return query.active or bool(view.silenced_by or view.inhibited_by or view.muted_by)
