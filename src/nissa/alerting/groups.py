"""Groups of alerts, and when each is due.

    first alert ──group_wait──► flush ──group_interval──► flush ──group_interval──► …     until no alert is left

An alert that has been firing for longer than ``group_wait`` when it comes makes a new group due at once: it was waited
for elsewhere. What a flush means is ``router.py``.
"""

import heapq
from collections.abc import Iterator

from nissa.alerting.route_tree import RouteNode
from nissa.model.alert import Alert


class AlertGroup:
    """Alerts with the same values of a route's ``group_by`` labels. next_ms: when it is due.

    key: as Alertmanager writes it, the same for routes with the same matchers. place: among all groups; routes with the
    same matchers and receiver share theirs.
    """

    __slots__ = ("alerts", "flushed", "key", "labels", "next_ms", "place", "route")

    def __init__(self, key: str, route: RouteNode, labels: dict[str, str], next_ms: int) -> None:
        self.key = key
        self.place = group_place(key, route)
        self.route = route
        self.labels = labels
        self.next_ms = next_ms
        self.flushed = False
        self.alerts: dict[str, Alert] = {}


class Groups:
    """All groups, and the order in which they are due. Belongs to one thread."""

    def __init__(self) -> None:
        self._groups: dict[str, AlertGroup] = {}
        self._queue: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[AlertGroup]:
        return iter(self._groups.values())

    def find(self, place: str) -> AlertGroup | None:
        """The group at this place."""
        return self._groups.get(place)

    def put(self, alert: Alert, route: RouteNode, now_ms: int) -> str:
        """Put an alert into its group at a route; returns the place of the group."""
        labels = route.group_labels(alert.labels)
        key = group_key(route, labels)
        place = group_place(key, route)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = AlertGroup(key, route, labels, now_ms + route.group_wait_ms)
            heapq.heappush(self._queue, (group.next_ms, place))
        group.alerts[alert.fingerprint] = alert
        if not group.flushed and alert.starts_at_ms + route.group_wait_ms < now_ms < group.next_ms:
            self.schedule(group, now_ms)
        return place

    def schedule(self, group: AlertGroup, next_ms: int) -> None:
        """Have a group due at ``next_ms``."""
        group.next_ms = next_ms
        heapq.heappush(self._queue, (next_ms, group.place))

    def due(self, now_ms: int, groups_max: int) -> list[AlertGroup]:
        """Groups that are due, the longest waiting first; they must be scheduled again, or removed."""
        found: list[AlertGroup] = []
        while len(found) < groups_max and (next_ms := self.next_ms()) is not None and next_ms <= now_ms:
            _, place = heapq.heappop(self._queue)
            found.append(self._groups[place])
            self._groups[place].next_ms = -1
        return found

    def next_ms(self) -> int | None:
        """Time at which the next group is due; None where there is none."""
        while self._queue:
            next_ms, place = self._queue[0]
            group = self._groups.get(place)
            if group is not None and group.next_ms == next_ms:
                return next_ms
            heapq.heappop(self._queue)
        return None

    def remove(self, group: AlertGroup) -> None:
        """Forget a group."""
        self._groups.pop(group.place, None)

    def keep_times(self, before: "Groups", now_ms: int) -> None:
        """Let groups that were there before go on with their times, at most ``group_interval`` from now."""
        for group in self:
            known = before.find(group.place)
            if known is not None:
                group.flushed = known.flushed
                self.schedule(group, min(max(known.next_ms, now_ms), now_ms + group.route.group_interval_ms))


def group_key(route: RouteNode, labels: dict[str, str]) -> str:
    """The key of a group, as Alertmanager writes it: the path of its route, and its labels."""
    pairs = ", ".join(f"{name}={_go_quoted(value)}" for name, value in labels.items())
    return f"{route.key}:{{{pairs}}}"


def group_place(key: str, route: RouteNode) -> str:
    """The place of a group among all groups."""
    return f"{route.receiver}\0{key}"


def _go_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
