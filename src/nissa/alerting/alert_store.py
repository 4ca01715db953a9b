"""Alerts in the database: states that outlive the process, the history of transitions, acknowledgements.

Every evaluation that changes something is one transaction, committed before the alerts are sent: what was sent is
known after ``kill -9``. An acknowledgement is of one firing of an alert; it ends when the alert resolves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, bindparam, delete, insert, select, update

from nissa.alerting.lifecycle import ActiveAlert, AlertChange
from nissa.database.database import Database
from nissa.database.tables import alert_acknowledgements, alert_groups, alert_states, alert_transitions
from nissa.model.alert import AlertState
from nissa.model.errors import BadQuery

COMMENT_CHARS_MAX: Final = 4_000
USER_CHARS_MAX: Final = 200
HISTORY_ROWS_MAX: Final = 10_000
_DELETE_STATE: Final = delete(alert_states).where(
    alert_states.c.rule_group == bindparam("g"),
    alert_states.c.rule == bindparam("r"),
    alert_states.c.fingerprint == bindparam("f"),
)
_DELETE_ACKNOWLEDGEMENT: Final = delete(alert_acknowledgements).where(
    alert_acknowledgements.c.fingerprint == bindparam("f")
)


class Acknowledgement(msgspec.Struct, frozen=True):
    """Someone has seen an alert. starts_at_ms: of the firing it is about. at_ms: when. Unix milliseconds."""

    fingerprint: str
    starts_at_ms: int
    at_ms: int
    user: str
    comment: str


class PastTransition(msgspec.Struct, frozen=True):
    """A row of the history. value: None where it is not a number."""

    at_ms: int
    rule_group: str
    rule: str
    fingerprint: str
    labels: dict[str, str]
    from_state: str
    to_state: str
    value: float | None


class AlertStore:
    """The tables of alerts. Safe from any thread; every call blocks. Raises: Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # ---- states ----

    def load(self) -> dict[str, dict[str, dict[str, ActiveAlert]]]:
        """All alerts, by the key of their group, the key of their rule and their fingerprint."""
        acknowledged = {(one.fingerprint, one.starts_at_ms) for one in self.acknowledgements().values()}
        found: dict[str, dict[str, dict[str, ActiveAlert]]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(select(alert_states)):
                group = found.setdefault(row.rule_group, {})
                alert = group.setdefault(row.rule, {})[row.fingerprint] = _alert(row)
                alert.acknowledged = (alert.fingerprint, alert.fired_at_ms) in acknowledged
        return found

    def evaluated_ms(self) -> dict[str, int]:
        """The time at which each group with pending alerts was evaluated last, by its key."""
        with self._database.begin() as connection:
            return {row.rule_group: row.evaluated_at_ms for row in connection.execute(select(alert_groups))}

    def save(self, group: str, changes: Sequence[AlertChange], pending_at_ms: int) -> None:
        """Store transitions of one evaluation and the states after them.

        group: its key. pending_at_ms: time of the evaluation where the group has pending alerts, else 0.
        """
        with self._database.begin() as connection:
            if pending_at_ms:
                seen = update(alert_groups).where(alert_groups.c.rule_group == group)
                if not connection.execute(seen.values(evaluated_at_ms=pending_at_ms)).rowcount:
                    connection.execute(insert(alert_groups), {"rule_group": group, "evaluated_at_ms": pending_at_ms})
            if not changes:
                return
            past = [_transition_row(group, one) for one in changes if one.transition.is_new_state]
            if past:
                connection.execute(insert(alert_transitions), past)
            last = {(one.rule_key, one.transition.fingerprint): one for one in changes}
            connection.execute(_DELETE_STATE, [{"g": group, "r": rule, "f": one} for rule, one in last])
            rows = [_state_row(group, key[0], one.alert) for key, one in last.items() if one.alert is not None]
            if rows:
                connection.execute(insert(alert_states), rows)
            ended = [one.transition.fingerprint for one in changes if one.transition.ends_firing]
            if ended:
                connection.execute(_DELETE_ACKNOWLEDGEMENT, [{"f": fingerprint} for fingerprint in ended])

    # ---- history ----

    def history(self, start_ms: int, end_ms: int, fingerprint: str, limit: int) -> list[PastTransition]:
        """Transitions in [start_ms, end_ms), the newest first. fingerprint: of one alert; empty for all."""
        table = alert_transitions
        asked = select(table).where(table.c.at_ms >= start_ms, table.c.at_ms < end_ms)
        if fingerprint:
            asked = asked.where(table.c.fingerprint == fingerprint)
        asked = asked.order_by(table.c.at_ms.desc(), table.c.id.desc()).limit(min(limit, HISTORY_ROWS_MAX))
        with self._database.begin() as connection:
            return [_past(row) for row in connection.execute(asked)]

    def sweep(self, before_ms: int) -> int:
        """Delete transitions of before ``before_ms``; returns how many."""
        with self._database.begin() as connection:
            return connection.execute(delete(alert_transitions).where(alert_transitions.c.at_ms < before_ms)).rowcount

    # ---- acknowledgements ----

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Store it; one of the same firing is replaced. Raises: BadQuery where a text is missing or too long."""
        user, comment = acknowledgement.user, acknowledgement.comment
        if not user or len(user) > USER_CHARS_MAX:
            raise BadQuery(f"invalid parameter 'user': expected 1 to {USER_CHARS_MAX} characters")
        if len(comment) > COMMENT_CHARS_MAX:
            raise BadQuery(f"invalid parameter 'comment': expected at most {COMMENT_CHARS_MAX} characters")
        table = alert_acknowledgements
        with self._database.begin() as connection:
            connection.execute(delete(table).where(table.c.fingerprint == acknowledgement.fingerprint))
            connection.execute(insert(table), msgspec.structs.asdict(acknowledgement))

    def acknowledgements(self) -> dict[str, Acknowledgement]:
        """Acknowledgements in force, by fingerprint."""
        with self._database.begin() as connection:
            rows = connection.execute(select(alert_acknowledgements)).mappings()
            return {row["fingerprint"]: Acknowledgement(**row) for row in rows}


def _texts(value: Mapping[str, str]) -> str:
    return msgspec.json.encode(value).decode()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _transition_row(group: str, change: AlertChange) -> dict[str, Any]:
    one = change.transition
    return {
        "at_ms": one.at_ms,
        "rule_group": group,
        "rule": change.rule_key,
        "fingerprint": one.fingerprint,
        "labels": _texts(one.labels),
        "from_state": one.from_state,
        "to_state": one.to_state,
        "value": _number(one.value),
    }


def _state_row(group: str, rule_key: str, alert: ActiveAlert) -> dict[str, Any]:
    return {
        "rule_group": group,
        "rule": rule_key,
        "fingerprint": alert.fingerprint,
        "labels": _texts(alert.labels),
        "annotations": _texts(alert.annotations),
        "state": str(alert.state),
        "value": _number(alert.value),
        "active_at_ms": alert.active_at_ms,
        "fired_at_ms": alert.fired_at_ms,
        "resolved_at_ms": alert.resolved_at_ms,
        "keep_firing_since_ms": alert.keep_firing_since_ms,
    }


def _alert(row: Row[Any]) -> ActiveAlert:
    return ActiveAlert(
        msgspec.json.decode(row.labels),
        msgspec.json.decode(row.annotations),
        math.nan if row.value is None else row.value,
        row.active_at_ms,
        row.fingerprint,
        AlertState(row.state),
        row.fired_at_ms,
        row.resolved_at_ms,
        row.keep_firing_since_ms,
    )


def _past(row: Row[Any]) -> PastTransition:
    labels = msgspec.json.decode(row.labels)
    place = (row.at_ms, row.rule_group, row.rule, row.fingerprint, labels, row.from_state, row.to_state)
    return PastTransition(*place, row.value)
