"""Incidents in the database. A change and its entry of the timeline are one transaction: a crash leaves both or none.

    key ──► incident_keys ──► incident      one incident per key, until it is resolved: the database refuses a second
    firing of an alert ──► incident_alerts  linked once, so a person's resolution is not undone by the next evaluation

Two processes may change one incident: ``revision`` decides, and who comes second tries again on what is there now.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Select, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from nissa.database.database import Database
from nissa.database.incident_tables import incident_alerts, incident_entries, incident_keys, incidents
from nissa.incidents.lifecycle import (
    LIVE,
    Entry,
    Escalation,
    Incident,
    IncidentReport,
    IncidentState,
    Step,
    opened,
    resolving,
)
from nissa.model.alert import Alert, AlertState
from nissa.model.errors import BadQuery, Unavailable

TRIES_MAX: Final = 20
ROWS_MAX: Final = 1_000
WORK_ROWS_MAX: Final = 100  # of one turn of the loop
ALWAYS_NOTED: Final = ("acknowledged", "resolved", "merged")  # times follow from them: also on a full timeline
REFUSED: Final = ("comment", "changed", "reopened")  # on a full timeline
DEADLOCKS: Final = ("40P01", "40001")  # SQLSTATE: PostgreSQL has undone one of two transactions
_FIELDS: Final = tuple(incidents.c[name] for name in Incident.__struct_fields__)


Answer = TypeVar("Answer")


class LinkedAlert(msgspec.Struct, frozen=True):
    """A firing of an alert. resolved_at_ms: 0 while it fires."""

    fingerprint: str
    starts_at_ms: int
    resolved_at_ms: int
    labels: dict[str, str]
    annotations: dict[str, str]


class IncidentLimits(msgspec.Struct, frozen=True):
    """open_max: incidents that are not resolved. alerts_max, entries_max: of one incident."""

    open_max: int
    alerts_max: int
    entries_max: int


class IncidentFilter(msgspec.Struct, frozen=True):
    """Empty: all. created in [start_ms, end_ms). before_id: only those with smaller numbers; 0: all."""

    states: tuple[str, ...] = ()
    service: str = ""
    severity: str = ""
    start_ms: int = 0
    end_ms: int = 2**62
    before_id: int = 0
    limit: int = 100


class Conflict(Exception):
    """Somebody else has changed the incident meanwhile."""


class IncidentStore:
    """The tables of incidents. Safe from any thread; every call blocks. Raises: Unavailable."""

    def __init__(self, database: Database, limits: IncidentLimits) -> None:
        self._database = database
        self._limits = limits

    # ---- opening ----

    def open(self, report: IncidentReport, at_ms: int, user: str, escalation: Escalation) -> tuple[Incident, bool]:
        """Open an incident, or give the one that has the key of the report; True: it is new. Raises: BadQuery."""
        fresh = opened(report, at_ms, escalation)
        return self._again(lambda connection: self._open(connection, fresh, user))

    def put_alert(
        self, alert: Alert, report: IncidentReport, at_ms: int, escalation: Escalation, *, resolves: bool
    ) -> None:
        """Link a firing to the incident of the report's key, or note that it has resolved. Repeating changes nothing.

        resolves: the incident resolves with the last of its alerts. Raises: BadQuery.
        """
        fresh = opened(report, at_ms, escalation)
        is_over = alert.state is AlertState.RESOLVED

        def put(connection: Connection) -> None:
            known = _linked(connection, alert)
            if known is None:
                if not is_over:
                    self._link(connection, alert, self._open(connection, fresh, "")[0], at_ms)
            elif is_over and not known.resolved_at_ms:
                self._end(connection, alert, known.incident_id, at_ms, resolves=resolves)

        self._again(put)

    def _open(self, connection: Connection, fresh: Incident, user: str) -> tuple[Incident, bool]:
        owner = connection.scalar(select(incident_keys.c.incident_id).where(incident_keys.c.key == fresh.key))
        if owner is not None:
            return _one(connection, owner), False
        live = connection.scalar(select(func.count()).select_from(incident_keys)) or 0
        if live >= self._limits.open_max:
            raise BadQuery(f"{live} incidents are open, the most allowed (incidents.open_max); resolve some")
        values = {**_values(fresh), "announced": 0, "announced_as": "[]", "pinned_to_ms": 0}
        del values["id"]
        number = connection.execute(insert(incidents), values).inserted_primary_key
        incident = msgspec.structs.replace(fresh, id=int(number[0] if number else 0))
        connection.execute(insert(incident_keys), {"key": fresh.key, "incident_id": incident.id})
        self._note(connection, incident.id, Entry(fresh.created_ms, "opened", user, fresh.title))
        return incident, True

    def _link(self, connection: Connection, alert: Alert, incident: Incident, at_ms: int) -> None:
        mine = incident_alerts.c.incident_id == incident.id
        if (connection.scalar(select(func.count()).where(mine)) or 0) >= self._limits.alerts_max:
            return
        row = {
            "fingerprint": alert.fingerprint,
            "starts_at_ms": alert.starts_at_ms,
            "incident_id": incident.id,
            "resolved_at_ms": 0,
            "labels": _text(alert.labels),
            "annotations": _text(alert.annotations),
        }
        connection.execute(insert(incident_alerts), row)
        self._note(connection, incident.id, Entry(at_ms, "alert_fired", text=_name(alert)))

    def _end(self, connection: Connection, alert: Alert, number: int, at_ms: int, *, resolves: bool) -> None:
        resolved = update(incident_alerts).where(*_firing(alert), incident_alerts.c.resolved_at_ms == 0)
        if not connection.execute(resolved.values(resolved_at_ms=alert.ends_at_ms or at_ms)).rowcount:
            return
        self._note(connection, number, Entry(at_ms, "alert_resolved", text=_name(alert)))
        fires = select(func.count()).where(
            incident_alerts.c.incident_id == number, incident_alerts.c.resolved_at_ms == 0
        )
        incident = _one(connection, number)
        if resolves and incident.state in LIVE and not connection.scalar(fires):
            self._step(connection, incident, resolving(at_ms, "", "all its alerts have resolved"))

    # ---- changes ----

    def change(self, number: int, step: Step) -> Incident:
        """Take a step. Returns: the incident after it. Raises: BadQuery where the step is not allowed, NoIncident."""
        return self._again(lambda connection: self._step(connection, _one(connection, number), step))

    def merge(self, number: int, into: int, step_of: Callable[[Incident], Step], note: Entry) -> Incident:
        """Merge one incident into another, which takes over its keys and alerts, and gets the entry ``note``."""

        def merge(connection: Connection) -> Incident:
            target = _one(connection, into)
            merged = self._step(connection, _one(connection, number), step_of(target))
            for table in (incident_keys, incident_alerts):
                connection.execute(update(table).where(table.c.incident_id == number).values(incident_id=into))
            connection.execute(update(incidents).where(incidents.c.id == number).values(pinned_to_ms=0))  # once more
            self._step(connection, target, lambda one: (msgspec.structs.replace(one, revision=one.revision + 1), note))
            return merged

        return self._again(merge)

    def _step(self, connection: Connection, before: Incident, step: Step) -> Incident:
        after, entry = step(before)
        here = update(incidents).where(incidents.c.id == before.id, incidents.c.revision == before.revision)
        if not connection.execute(here.values(_values(after))).rowcount:
            raise Conflict
        if after.state is IncidentState.RESOLVED and before.state in LIVE:
            connection.execute(delete(incident_keys).where(incident_keys.c.incident_id == before.id))
        elif after.state in LIVE and before.state is IncidentState.RESOLVED:
            self._take_key(connection, after)
        self._note(connection, before.id, entry)
        return after

    def _take_key(self, connection: Connection, incident: Incident) -> None:
        owner = connection.scalar(select(incident_keys.c.incident_id).where(incident_keys.c.key == incident.key))
        if owner is not None:
            raise BadQuery(
                f"incident {owner} with the key {incident.key[:100]!r} is open; comment there, or resolve it"
            )
        connection.execute(insert(incident_keys), {"key": incident.key, "incident_id": incident.id})
        self._take_keys_of_merged(connection, incident.id)

    def _take_keys_of_merged(self, connection: Connection, number: int) -> None:
        """Have the keys of all that were merged into an incident, but for those that another one has meanwhile."""
        merged = select(incidents.c.id).where(incidents.c.merged_into == number).cte(recursive=True)
        merged = merged.union(select(incidents.c.id).where(incidents.c.merged_into == merged.c.id))
        keys = select(incidents.c.key).where(
            incidents.c.id.in_(select(merged.c.id)), incidents.c.key.not_in(select(incident_keys.c.key))
        )
        for key in connection.scalars(keys.distinct()).all():
            connection.execute(insert(incident_keys), {"key": key, "incident_id": number})

    def _note(self, connection: Connection, number: int, entry: Entry) -> None:
        mine, limit = incident_entries.c.incident_id == number, self._limits.entries_max
        if entry.kind in ALWAYS_NOTED or (connection.scalar(select(func.count()).where(mine)) or 0) < limit:
            connection.execute(insert(incident_entries), {"incident_id": number, **msgspec.structs.asdict(entry)})
        elif entry.kind in REFUSED:
            raise BadQuery(f"incident {number} has {limit} entries, the most allowed (incidents.timeline_entries_max)")

    def _again(self, work: Callable[[Connection], Answer]) -> Answer:
        """``work`` in a transaction; again where somebody else was first."""
        for _ in range(TRIES_MAX):
            try:
                with self._database.begin() as connection:
                    return work(connection)
            except Conflict:
                continue
            except Unavailable as error:
                if not _was_second(error.__cause__):
                    raise
        raise Unavailable("incidents: too many changes at the same time")

    # ---- reading ----

    def find(self, wanted: IncidentFilter) -> list[Incident]:
        """Incidents, the newest first."""
        asked = select(*_FIELDS).where(
            incidents.c.created_ms >= wanted.start_ms, incidents.c.created_ms < wanted.end_ms
        )
        if wanted.states:
            asked = asked.where(incidents.c.state.in_(wanted.states))
        for column, value in ((incidents.c.service, wanted.service), (incidents.c.severity, wanted.severity)):
            asked = asked.where(column == value) if value else asked
        if wanted.before_id:
            asked = asked.where(incidents.c.id < wanted.before_id)
        return self._read(asked.order_by(incidents.c.id.desc()).limit(min(wanted.limit, ROWS_MAX)))

    def one(self, number: int) -> Incident:
        """An incident. Raises: NoIncident."""
        with self._database.begin() as connection:
            return _one(connection, number)

    def by_key(self, key: str) -> Incident | None:
        """The incident that has a key and is not resolved, or None."""
        with self._database.begin() as connection:
            owner = connection.scalar(select(incident_keys.c.incident_id).where(incident_keys.c.key == key))
            return None if owner is None else _one(connection, owner)

    def entries(self, number: int) -> list[Entry]:
        """The timeline, the oldest entry first."""
        columns = [incident_entries.c[name] for name in Entry.__struct_fields__]
        mine = incident_entries.c.incident_id == number
        asked = select(*columns).where(mine).order_by(incident_entries.c.id)
        with self._database.begin() as connection:
            return [Entry(**row) for row in connection.execute(asked).mappings()]

    def alerts(self, number: int) -> list[LinkedAlert]:
        """Firings of alerts that are linked, the oldest first."""
        columns = [incident_alerts.c[name] for name in LinkedAlert.__struct_fields__]
        asked = select(*columns).where(incident_alerts.c.incident_id == number)
        asked = asked.order_by(incident_alerts.c.starts_at_ms, incident_alerts.c.fingerprint)
        with self._database.begin() as connection:
            return [
                LinkedAlert(row[0], row[1], row[2], msgspec.json.decode(row[3]), msgspec.json.decode(row[4]))
                for row in connection.execute(asked)
            ]

    def evidence(self, number: int) -> Any:
        """Evidence as ``keep_evidence`` stored it; None where it is not gathered yet."""
        with self._database.begin() as connection:
            text = connection.scalar(select(incidents.c.evidence).where(incidents.c.id == number))
        return None if text is None else msgspec.json.decode(text)

    def summary(self, service: str, start_ms: int, end_ms: int) -> dict[str, Any]:
        """Incidents created in [start_ms, end_ms): how many, and mean times to acknowledge and resolve, None of none.

        service: empty for all. Merged incidents do not count: the one they were merged into does.
        """
        table = incidents.c
        to_acknowledge = case((table.acknowledged_ms > 0, table.acknowledged_ms - table.created_ms))
        to_resolve = case((table.resolved_ms > 0, table.resolved_ms - table.created_ms))
        asked = select(
            table.severity,
            func.count(),
            *(one(value) for value in (to_acknowledge, to_resolve) for one in (func.count, func.sum)),
        ).where(table.created_ms >= start_ms, table.created_ms < end_ms, table.state != IncidentState.MERGED)
        asked = asked.where(table.service == service) if service else asked
        with self._database.begin() as connection:
            rows = connection.execute(asked.group_by(table.severity)).all()
        sums = [sum(int(row[place] or 0) for row in rows) for place in range(1, 6)]
        return {
            "incidents": sums[0],
            "acknowledged": sums[1],
            "resolved": sums[3],
            "mean_to_acknowledge_ms": sums[2] / sums[1] if sums[1] else None,
            "mean_to_resolve_ms": sums[4] / sums[3] if sums[3] else None,
            "by_severity": {row[0]: int(row[1]) for row in rows},
        }

    def overlapping(self, start_ms: int, end_ms: int) -> list[tuple[Incident, list[Entry]]]:
        """Incidents whose trouble may have lasted into [start_ms, end_ms), with their timelines."""
        table, columns = incidents.c, [incident_entries.c[name] for name in Entry.__struct_fields__]
        ended = select(func.max(incident_entries.c.at_ms)).where(incident_entries.c.incident_id == table.id)
        lasts = or_(table.state.in_(LIVE), ended.scalar_subquery() >= start_ms)
        with self._database.begin() as connection:
            rows = connection.execute(select(*_FIELDS).where(table.started_ms < end_ms, lasts).order_by(table.id)).all()
            found = [(_incident(row), list[Entry]()) for row in rows]
            for incident, entries in found:
                mine = incident_entries.c.incident_id == incident.id
                kinds = incident_entries.c.kind.in_(("opened", "resolved", "reopened", "merged"))
                asked = select(*columns).where(mine, kinds).order_by(incident_entries.c.id)
                entries += [Entry(**row) for row in connection.execute(asked).mappings()]
        return found

    # ---- work of the loop ----

    def due(self, now_ms: int) -> list[Incident]:
        """Incidents whose escalation is due."""
        asked = select(*_FIELDS).where(incidents.c.state == "open", incidents.c.escalate_ms > 0)
        return self._read(asked.where(incidents.c.escalate_ms <= now_ms).order_by(incidents.c.id).limit(WORK_ROWS_MAX))

    def bring_forward(self, latest_ms: int) -> None:
        """Have no escalation later than ``latest_ms``: a clock that was ahead has set it, or a setting has changed."""
        late = incidents.c.state == "open", incidents.c.escalate_ms > latest_ms
        with self._database.begin() as connection:
            if connection.scalar(select(func.count()).where(*late)):
                connection.execute(update(incidents).where(*late).values(escalate_ms=latest_ms))

    def without_evidence(self) -> list[Incident]:
        """Incidents whose evidence is not gathered yet, the oldest first."""
        asked = select(*_FIELDS).where(incidents.c.evidence.is_(None))
        return self._read(asked.order_by(incidents.c.id).limit(WORK_ROWS_MAX))

    def keep_evidence(self, number: int, evidence: Any) -> None:
        """Store evidence, once: what is there stays."""
        here = update(incidents).where(incidents.c.id == number, incidents.c.evidence.is_(None))
        with self._database.begin() as connection:
            connection.execute(here.values(evidence=_text(evidence)))

    def replace_evidence(self, number: int, evidence: Any) -> None:
        """Store evidence in place of the one that is there."""
        with self._database.begin() as connection:
            connection.execute(update(incidents).where(incidents.c.id == number).values(evidence=_text(evidence)))

    def opened_between(self, start_ms: int, end_ms: int) -> list[Incident]:
        """Incidents that were opened in [start_ms, end_ms), the oldest first."""
        asked = select(*_FIELDS).where(incidents.c.created_ms >= start_ms, incidents.c.created_ms < end_ms)
        return self._read(asked.order_by(incidents.c.id).limit(ROWS_MAX))

    def unpinned(self, now_ms: int, window_ms: int) -> list[Incident]:
        """Incidents whose pins must reach further: until now, or ``window_ms`` after a resolution.

        Merged ones are listed until they are pinned once.
        """
        table = incidents.c
        beyond = (
            and_(table.state.in_(LIVE), table.pinned_to_ms < now_ms),
            and_(table.state == IncidentState.RESOLVED, table.pinned_to_ms < table.resolved_ms + window_ms),
            and_(table.state == IncidentState.MERGED, table.pinned_to_ms == 0),
        )
        return self._read(select(*_FIELDS).where(or_(*beyond)).order_by(table.id).limit(WORK_ROWS_MAX))

    def note_pin(self, number: int, end_ms: int) -> None:
        """Note that everything until ``end_ms`` is kept."""
        with self._database.begin() as connection:
            connection.execute(update(incidents).where(incidents.c.id == number).values(pinned_to_ms=end_ms))

    def unannounced(self) -> list[tuple[Incident, list[dict[str, str]]]]:
        """Incidents with changes that routing has not taken yet, with the labels of alerts that it took before."""
        asked = select(*_FIELDS, incidents.c.announced_as).where(incidents.c.announced < incidents.c.revision)
        with self._database.begin() as connection:
            rows = connection.execute(asked.order_by(incidents.c.id).limit(WORK_ROWS_MAX)).all()
        return [(_incident(row[:-1]), msgspec.json.decode(row[-1])) for row in rows]

    def announced(self, taken: Sequence[tuple[Incident, Sequence[Mapping[str, str]]]]) -> None:
        """Note that routing has taken these incidents as they are here, by alerts with these labels."""
        with self._database.begin() as connection:
            for one, labels in taken:
                here = update(incidents).where(incidents.c.id == one.id)
                connection.execute(here.values(announced=one.revision, announced_as=_text(labels)))

    def counts(self) -> dict[str, int]:
        """Number of incidents by state."""
        asked = select(incidents.c.state, func.count()).group_by(incidents.c.state)
        with self._database.begin() as connection:
            return {state: int(number) for state, number in connection.execute(asked)}

    def _read(self, asked: Select[Any]) -> list[Incident]:
        with self._database.begin() as connection:
            return [_incident(row) for row in connection.execute(asked)]


class NoIncident(BadQuery):
    """There is no incident of this number."""


def _was_second(error: BaseException | None) -> bool:
    """True if a transaction failed because another one was first."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(error, IntegrityError) or state in DEADLOCKS


def _linked(connection: Connection, alert: Alert) -> Row[Any] | None:
    return connection.execute(select(incident_alerts).where(*_firing(alert))).first()


def _firing(alert: Alert) -> tuple[Any, Any]:
    table = incident_alerts.c
    return table.fingerprint == alert.fingerprint, table.starts_at_ms == alert.starts_at_ms


def _one(connection: Connection, number: int) -> Incident:
    row = connection.execute(select(*_FIELDS).where(incidents.c.id == number)).first()
    if row is None:
        raise NoIncident(f"there is no incident {number}")
    return _incident(row)


def _incident(row: Sequence[Any]) -> Incident:
    values = dict(zip(Incident.__struct_fields__, row, strict=True))
    return Incident(**{**values, "state": IncidentState(values["state"])})


def _values(incident: Incident) -> dict[str, Any]:
    return {**msgspec.structs.asdict(incident), "state": str(incident.state)}


def _name(alert: Alert) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))[:1_000]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
