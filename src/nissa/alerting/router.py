"""The router: takes alerts, and decides which notifications are due.

    put(alert) ──► route tree ──► groups ──due──► muted? ──► changed since the last one? ──► Notification per channel
                                                  inhibition    log of notifications
                                                  time intervals
                                                  silences

A flush is decided first (``flush``), then stored by the caller together with its log entries, then settled
(``settle``). Where it cannot be stored, ``put_back`` has its groups due again: nothing was forgotten.

A channel is notified of a group when alerts fire that its last notification did not have, when alerts that it had have
resolved, and again after ``repeat_interval`` while one fires. This is Alertmanager's rule, so moving from one to the
other changes nothing about what is sent. Beyond it, a group of which all firing alerts were acknowledged is not
repeated, and channels that take acknowledgements get one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from nissa.alerting.groups import AlertGroup, Groups
from nissa.alerting.inhibition import Inhibition
from nissa.alerting.notification import Notification, channel_path
from nissa.alerting.routing import Routing
from nissa.alerting.silences import Silences
from nissa.config.receivers import Channel, repeats_always, takes_acknowledgements
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import Unavailable

FLUSHED_GROUPS_MAX: Final = 1_000  # in one flush, so that one transaction stays small
FULL_RETRY_S: Final = 30
LOG_KEPT_MS: Final = 5 * 24 * 3_600_000  # entries of groups that are gone, or twice the repeat interval

LogKey = tuple[str, str]  # group, path of the channel


class LogEntry(msgspec.Struct, frozen=True):
    """The last notification of a group to a channel: fingerprints, and when. expires_ms: forgotten then.

    acknowledged: alerts whose acknowledgement was sent.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    at_ms: int
    expires_ms: int
    acknowledged: frozenset[str] = frozenset()

    def acknowledges(self, last: "LogEntry | None") -> bool:
        """True if the news after ``last`` are acknowledgements."""
        return last is not None and not self.acknowledged <= last.acknowledged


class Flush(msgspec.Struct, frozen=True):
    """Decisions about groups that were due. shown: alerts of each group as they were looked at.

    changed: alerts that have resolved, as they are stored; None for those that no group has after this.
    """

    groups: tuple[AlertGroup, ...]
    shown: tuple[Mapping[str, Alert], ...]
    notifications: tuple[Notification, ...]
    entries: Mapping[LogKey, LogEntry]
    changed: Mapping[str, Alert | None]
    now_ms: int


class Router:
    """Alerts and their groups under one routing. For one thread. log: last notification by group and channel."""

    def __init__(self, routing: Routing, silences: Silences, log: dict[LogKey, LogEntry], alerts_max: int) -> None:
        self.silences = silences
        self.log = log
        self.alerts: dict[str, Alert] = {}
        self.changed: dict[str, Alert] = {}  # not stored yet
        self._alerts_max = alerts_max
        self._groups = Groups()
        self._groups_of: dict[str, set[str]] = {}
        self.routing = routing
        self._inhibition = Inhibition(routing.inhibit_rules)

    def restore(self, alerts: Iterable[Alert], now_ms: int) -> None:
        """Take alerts of an earlier run. Those that fired have time until ``resolve_timeout`` to be sent again."""
        for alert in alerts:
            fired = alert.state is AlertState.FIRING
            ends_ms = now_ms + self.routing.resolve_timeout_ms if fired else alert.ends_at_ms
            self._keep(msgspec.structs.replace(alert, ends_at_ms=ends_ms), now_ms)

    def replace_routing(self, routing: Routing, now_ms: int) -> None:
        """Route by another configuration from now on. Groups that stay keep their times."""
        before, self._groups, self._groups_of = self._groups, Groups(), {}
        self.routing = routing
        self._inhibition = Inhibition(routing.inhibit_rules)
        for alert in self.alerts.values():
            self._place(alert, now_ms)
        self._groups.keep_times(before, now_ms)

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Take alerts that fire or have resolved. Raises: Unavailable for those that are too many; others are taken."""
        refused = 0
        for alert in alerts:
            known = self.alerts.get(alert.fingerprint)
            if known is None and has_resolved(alert, now_ms):
                continue  # it was never notified as firing
            if known is None and len(self.alerts) >= self._alerts_max:
                refused += 1
                continue
            merged = alert if known is None else _merged(known, alert)
            state = AlertState.RESOLVED if has_resolved(merged, now_ms) else AlertState.FIRING
            merged = msgspec.structs.replace(merged, state=state)
            if known is None or _differs(known, merged):
                self.changed[alert.fingerprint] = merged
            self._keep(merged, now_ms)
        if refused:
            what = f"{refused} alerts were not taken: {self._alerts_max} are known (alerting.alerts_max)"
            raise Unavailable(what, FULL_RETRY_S)

    def next_ms(self) -> int | None:
        """Time at which ``flush`` has something to do; None: not before the next alert."""
        return self._groups.next_ms()

    def flush(self, now_ms: int) -> Flush:
        """Decide about the groups that are due."""
        groups = tuple(self._groups.due(now_ms, FLUSHED_GROUPS_MAX))
        notifications: list[Notification] = []
        entries: dict[LogKey, LogEntry] = {}
        for group in groups:
            told = self._told(group, now_ms)
            receiver = self.routing.receivers[group.route.receiver]
            for name, channel in receiver.channels().items() if told else ():
                key = (group.key, channel_path(receiver.name, name))
                entry = self._entry(key, group, told, now_ms, channel)
                if entry is None:
                    continue
                entries[key] = entry
                alerts = tuple(one for one in told if channel.send_resolved or one.state is AlertState.FIRING)
                if alerts:
                    notifications.append(
                        Notification(
                            receiver.name,
                            name,
                            group.key,
                            group.labels,
                            alerts,
                            now_ms,
                            0,
                            group.route.group_interval_ms,
                            entry.acknowledges(self.log.get(key)),
                        )
                    )
        shown = tuple(dict(group.alerts) for group in groups)
        return Flush(groups, shown, tuple(notifications), entries, self._ended(groups, now_ms), now_ms)

    def settle(self, flush: Flush) -> None:
        """Take a flush as stored: groups are due again after their interval, resolved alerts leave them."""
        self.log.update(flush.entries)
        for group, shown in zip(flush.groups, flush.shown, strict=True):
            group.flushed = True
            for fingerprint, alert in shown.items():
                if group.alerts.get(fingerprint) is alert and has_resolved(alert, flush.now_ms):
                    del group.alerts[fingerprint]
                    self._left(fingerprint, group.place)
            if group.alerts:
                self._groups.schedule(group, flush.now_ms + group.route.group_interval_ms)
            else:
                self._groups.remove(group)

    def put_back(self, flush: Flush, next_ms: int) -> None:
        """Have the groups of a flush that was not stored due again."""
        for group in flush.groups:
            self._groups.schedule(group, next_ms)

    def expired_entries(self, now_ms: int) -> list[LogKey]:
        """Keys of log entries whose time has passed and whose group is gone; they are forgotten."""
        gone = [key for key, one in self.log.items() if one.expires_ms <= now_ms and self._groups.find(key[0]) is None]
        for key in gone:
            del self.log[key]
        return gone

    def silenced_by(self, alert: Alert, now_ms: int) -> list[str]:
        """Ids of the silences that mute an alert."""
        return self.silences.silenced_by(alert.fingerprint, alert.labels, now_ms)

    def inhibited_by(self, alert: Alert, now_ms: int) -> str:
        """Fingerprint of an alert that mutes this one; empty where none does."""
        return self._inhibition.inhibited_by(alert.labels, lambda source: not has_resolved(source, now_ms))

    def groups(self) -> Iterable[AlertGroup]:
        """All groups."""
        return self._groups

    def _told(self, group: AlertGroup, now_ms: int) -> list[Alert]:
        """Alerts of a group that are not muted, in the state they are in now."""
        if self.routing.is_muted_by_time(group.route, now_ms):
            return []
        return [
            _as_now(alert, now_ms)
            for alert in group.alerts.values()
            if not self.inhibited_by(alert, now_ms) and not self.silenced_by(alert, now_ms)
        ]

    def _ended(self, groups: Sequence[AlertGroup], now_ms: int) -> dict[str, Alert | None]:
        """Alerts of these groups that have resolved; None for those that only these groups have."""
        places = {group.place for group in groups}
        return {
            fingerprint: _as_now(alert, now_ms) if self._groups_of.get(fingerprint, places) - places else None
            for group in groups
            for fingerprint, alert in group.alerts.items()
            if has_resolved(alert, now_ms)
        }

    def _entry(
        self, key: LogKey, group: AlertGroup, told: Sequence[Alert], now_ms: int, channel: Channel
    ) -> LogEntry | None:
        """The next log entry, None where the channel knows all this already."""
        firing = frozenset(one.fingerprint for one in told if one.state is AlertState.FIRING)
        resolved = frozenset(one.fingerprint for one in told if one.state is not AlertState.FIRING)
        last = self.log.get(key)
        repeat_ms = 0 if repeats_always(channel) else group.route.repeat_interval_ms
        seen = frozenset(one.fingerprint for one in told if one.acknowledged) & firing
        known = last.acknowledged & seen if last is not None else frozenset[str]()
        if last is None:
            wanted = bool(firing)
        elif not firing <= last.firing:
            wanted = True
        elif not firing:
            wanted = bool(last.firing)
        elif channel.send_resolved and not resolved <= last.resolved:
            wanted = True
        elif seen != firing or repeats_always(channel):
            wanted = now_ms - last.at_ms >= repeat_ms
        else:
            wanted, known = takes_acknowledgements(channel) and known != seen, seen
        expires_ms = now_ms + max(LOG_KEPT_MS, 2 * repeat_ms)
        return LogEntry(firing, resolved, now_ms, expires_ms, known) if wanted else None

    def _keep(self, alert: Alert, now_ms: int) -> None:
        self.alerts[alert.fingerprint] = alert
        self._place(alert, now_ms)

    def _place(self, alert: Alert, now_ms: int) -> None:
        self._inhibition.put(alert)
        places = self._groups_of.setdefault(alert.fingerprint, set())
        for route in self.routing.root.match(alert.labels):
            places.add(self._groups.put(alert, route, now_ms))

    def _left(self, fingerprint: str, place: str) -> None:
        """An alert that has resolved is no longer in a group; after the last one it is forgotten."""
        places = self._groups_of.get(fingerprint, set())
        places.discard(place)
        if not places:
            self._groups_of.pop(fingerprint, None)
            alert = self.alerts.pop(fingerprint, None)
            self.silences.forget_alert(fingerprint)
            if alert is not None:
                self._inhibition.forget(alert)


def has_resolved(alert: Alert, now_ms: int) -> bool:
    """True if an alert has ended, by its sender or because its sender is silent."""
    return 0 < alert.ends_at_ms <= now_ms


def _as_now(alert: Alert, now_ms: int) -> Alert:
    if has_resolved(alert, now_ms):
        return msgspec.structs.replace(alert, state=AlertState.RESOLVED)
    return msgspec.structs.replace(alert, state=AlertState.FIRING, ends_at_ms=0)


def _merged(old: Alert, new: Alert) -> Alert:
    """The new form of an alert that is known: of times that overlap it keeps the earlier start."""
    if old.updated_at_ms > new.updated_at_ms:
        old, new = new, old
    overlaps = old.ends_at_ms == 0 or new.starts_at_ms < old.ends_at_ms
    if overlaps and old.starts_at_ms < new.starts_at_ms:
        return msgspec.structs.replace(new, starts_at_ms=old.starts_at_ms)
    return new


def _differs(old: Alert, new: Alert) -> bool:
    """True if the new form is worth a write: more than the time it holds until has changed."""
    return (old.state, old.starts_at_ms, old.annotations, old.generator_url, old.source, old.acknowledged) != (
        new.state,
        new.starts_at_ms,
        new.annotations,
        new.generator_url,
        new.source,
        new.acknowledged,
    )
