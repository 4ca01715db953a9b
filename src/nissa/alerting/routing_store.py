"""Stores what routing must not lose: alerts, silences, the notification log, the outbox and dead letters.

One transaction holds a decision and the notifications that follow from it, so that a crash leaves both or neither:

    flush      log entries + outbox rows + alerts that are gone
    delivered  an outbox row goes
    dead       an outbox row becomes a dead letter

Belongs to one thread, as the router does. ``next_id``: of the next row of the outbox; it is stored with each row, so
that an id is never used again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, bindparam, delete, insert, select, update

from nissa.alerting.notification import Notification
from nissa.alerting.router import Flush, LogEntry, LogKey
from nissa.alerting.silences import Silence
from nissa.database.database import Database
from nissa.database.routing_tables import notification_log, outbox, outbox_counter, routed_alerts, silences
from nissa.model.alert import Alert


class OutboxEntry(msgspec.Struct, frozen=True):
    """One notification of the outbox. id: greater than that of every earlier one. died_at_ms: 0 unless it is dead.

    mark: of the database, so that ids of two daemons differ.
    """

    id: int
    notification: Notification
    created_at_ms: int
    died_at_ms: int = 0
    attempts: int = 0
    reason: str = ""
    mark: str = ""

    @property
    def delivery_id(self) -> str:
        """The id that receivers see, the same for every attempt."""
        return "-".join(filter(None, ("nissa", self.mark, str(self.id))))


class StoredRouting(msgspec.Struct, frozen=True):
    """All that was stored, except dead letters."""

    alerts: Sequence[Alert]
    silences: Sequence[Silence]
    log: dict[LogKey, LogEntry]
    outbox: Sequence[OutboxEntry]


class RoutingStore:
    """Routing's tables. Every method raises Unavailable where the database does not answer; nothing is kept then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next_id = 0
        self._mark = ""

    def read(self) -> StoredRouting:
        """Everything but dead letters."""
        with self._database.begin() as connection:
            alerts = [_decode(row.content, Alert) for row in connection.execute(select(routed_alerts))]
            known = [_decode(row.content, Silence) for row in connection.execute(select(silences))]
            rows = connection.execute(select(notification_log))
            log = {(row.group_key, row.channel): _decode(row.content, LogEntry) for row in rows}
            self._mark, self._next_id = connection.execute(select(outbox_counter)).one()
            waiting = connection.execute(select(outbox).where(outbox.c.died_at_ms == 0).order_by(outbox.c.id))
            entries = [self._entry(row) for row in waiting]
        return StoredRouting(alerts, known, log, entries)

    def put_alerts(self, changed: Mapping[str, Alert | None]) -> None:
        """Store alerts by their fingerprints; None: gone."""
        with self._database.begin() as connection:
            _put_alerts(connection, changed)

    def put_silences(self, changed: Iterable[Silence], gone: Collection[str] = ()) -> None:
        """Store silences; forget those with the ids ``gone``."""
        rows = [{"id": one.id, "ends_at_ms": one.ends_at_ms, "content": _encode(one)} for one in changed]
        with self._database.begin() as connection:
            _replace(connection, silences, ("id",), rows)
            if gone:
                connection.execute(delete(silences).where(silences.c.id.in_(gone)))

    def put_flush(self, flush: Flush) -> list[OutboxEntry]:
        """Store a flush; returns its entries of the outbox."""
        entries = [
            OutboxEntry(self._next_id + number, one, flush.now_ms, mark=self._mark)
            for number, one in enumerate(flush.notifications)
        ]
        log = [{"group_key": key[0], "channel": key[1], "content": _encode(one)} for key, one in flush.entries.items()]
        with self._database.begin() as connection:
            _put_alerts(connection, flush.changed)
            _replace(connection, notification_log, ("group_key", "channel"), log)
            _insert(connection, entries)
        self._next_id += len(entries)
        return entries

    def forget_log(self, keys: Sequence[LogKey]) -> None:
        """Forget log entries."""
        rows = [{"key_0": group, "key_1": channel} for group, channel in keys]
        with self._database.begin() as connection:
            if rows:
                connection.execute(_deletion(notification_log, ("group_key", "channel")), rows)

    def put_digest(self, notification: Notification, of: Iterable[int], now_ms: int) -> OutboxEntry:
        """Store a digest in place of the entries with the ids ``of``."""
        entry = OutboxEntry(self._next_id, notification, now_ms, mark=self._mark)
        with self._database.begin() as connection:
            _delete_entries(connection, of)
            _insert(connection, [entry])
        self._next_id += 1
        return entry

    def delivered(self, ids: Iterable[int]) -> None:
        """Forget entries that their channels have taken."""
        with self._database.begin() as connection:
            _delete_entries(connection, ids)

    def failed(self, entry_id: int, attempts: int, reason: str, died_at_ms: int) -> None:
        """Store that an attempt has failed. died_at_ms: it was the last one; 0: it was not.

        reason: without zero characters afterwards, which a receiver may answer and PostgreSQL does not store.
        """
        reason = reason.replace("\0", "")
        change = update(outbox).where(outbox.c.id == entry_id)
        with self._database.begin() as connection:
            connection.execute(change.values(attempts=attempts, reason=reason, died_at_ms=died_at_ms))

    def dead_letters(self, limit: int) -> list[OutboxEntry]:
        """Dead letters, the oldest first."""
        with self._database.begin() as connection:
            rows = connection.execute(select(outbox).where(outbox.c.died_at_ms > 0).order_by(outbox.c.id).limit(limit))
            return [self._entry(row) for row in rows]

    def revive(self, ids: Collection[int] | None, channels: Collection[str], now_ms: int) -> list[OutboxEntry]:
        """Have dead letters of these channels wait for delivery again, those with these ids or all; returns them."""
        chosen = [
            one
            for one in self.dead_letters(REVIVED_MAX)
            if (ids is None or one.id in ids) and one.notification.path in channels
        ]
        change = update(outbox).where(outbox.c.id == bindparam("key_0"))
        with self._database.begin() as connection:
            if chosen:
                values = change.values(died_at_ms=0, attempts=0, created_at_ms=now_ms)
                connection.execute(values, [{"key_0": one.id} for one in chosen])
        return [msgspec.structs.replace(one, died_at_ms=0, attempts=0, created_at_ms=now_ms) for one in chosen]

    def drop_dead(self, ids: Collection[int] | None) -> int:
        """Forget dead letters with these ids, or all; returns how many there were."""
        chosen = delete(outbox).where(outbox.c.died_at_ms > 0)
        with self._database.begin() as connection:
            if ids is None:
                return int(connection.execute(chosen).rowcount)
            return sum(int(connection.execute(chosen.where(outbox.c.id == one)).rowcount) for one in ids)

    def trim_dead(self, letters_max: int, before_ms: int) -> int:
        """Drop dead letters older than ``before_ms``, and the oldest of more than ``letters_max``: how many."""
        dead = outbox.c.died_at_ms > 0
        with self._database.begin() as connection:
            old = connection.execute(delete(outbox).where(dead, outbox.c.died_at_ms < before_ms)).rowcount
            newest = select(outbox.c.id).where(dead).order_by(outbox.c.id.desc()).limit(1).offset(letters_max - 1)
            bound = connection.scalar(newest)
            extra = 0
            if bound is not None:
                extra = connection.execute(delete(outbox).where(dead, outbox.c.id < bound)).rowcount
            return int(old) + int(extra)

    def _entry(self, row: Any) -> OutboxEntry:
        notification = _decode(row.content, Notification)
        return OutboxEntry(
            row.id, notification, row.created_at_ms, row.died_at_ms, row.attempts, row.reason, self._mark
        )


REVIVED_MAX = 1_000_000


def _encode(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def _decode(content: bytes, kind: Any) -> Any:
    return msgspec.msgpack.decode(content, type=kind)


def _insert(connection: Any, entries: Iterable[OutboxEntry]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "channel": one.notification.path,
            "created_at_ms": one.created_at_ms,
            "died_at_ms": 0,
            "attempts": 0,
            "reason": "",
            "content": _encode(one.notification),
        }
        for one in entries
    ]
    if rows:
        connection.execute(insert(outbox), rows)
        connection.execute(update(outbox_counter).values(next_id=rows[-1]["id"] + 1))


def _delete_entries(connection: Any, ids: Iterable[int]) -> None:
    rows = [{"key_0": one} for one in ids]
    if rows:
        connection.execute(_deletion(outbox, ("id",)), rows)


def _put_alerts(connection: Any, changed: Mapping[str, Alert | None]) -> None:
    gone = [{"key_0": fingerprint} for fingerprint, alert in changed.items() if alert is None]
    if gone:
        connection.execute(_deletion(routed_alerts, ("fingerprint",)), gone)
    rows = [
        {"fingerprint": fingerprint, "content": _encode(alert)}
        for fingerprint, alert in changed.items()
        if alert is not None
    ]
    _replace(connection, routed_alerts, ("fingerprint",), rows)


def _replace(connection: Any, table: Table, keys: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows in place of those with the same keys, in any database."""
    if rows:
        numbered = [{f"key_{number}": row[name] for number, name in enumerate(keys)} for row in rows]
        connection.execute(_deletion(table, keys), numbered)
        connection.execute(insert(table), list(rows))


def _deletion(table: Table, keys: tuple[str, ...]) -> Any:
    return delete(table).where(*(table.c[name] == bindparam(f"key_{number}") for number, name in enumerate(keys)))
