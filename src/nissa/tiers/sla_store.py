"""Definitions and snapshots in the database. Nothing is ever changed but the end of a definition's version.

    hash of snapshot n = SHA-256( hash of snapshot n-1, snapshot n and its definition as JSON )

The first one follows on an empty text. Of the definition all but its end is in the hash.

All snapshots of one day are one transaction, so a job that is killed leaves whole days. A second process that
writes the same day is refused by the unique index, and finds it written.
"""

import hashlib
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nissa.access.audit import Change, append_with
from nissa.database.database import Database
from nissa.database.sla_tables import sla_definitions, sla_snapshots
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.tiers.sla import SlaDay, SlaDefinition, check_definition

PAGE_ROWS: Final = 1_000
SNAPSHOTS_MAX: Final = 10_000
_FIELDS: Final = tuple(sla_definitions.c[name] for name in SlaDefinition.__struct_fields__)


class SlaStore:
    """The Gold tier. Safe from any thread; every call blocks. Raises: Unavailable."""

    def __init__(self, database: Database, definitions_max: int) -> None:
        self._database = database
        self._definitions_max = definitions_max
        self._writing = threading.Lock()  # who writes reads first what it follows on

    # ---- definitions ----

    def definitions(self) -> dict[str, list[SlaDefinition]]:
        """All versions by the id of their definition, the oldest first."""
        found: dict[str, list[SlaDefinition]] = {}
        asked = select(*_FIELDS).order_by(sla_definitions.c.id, sla_definitions.c.version)
        with self._database.begin() as connection:
            for row in connection.execute(asked):
                found.setdefault(row[0], []).append(SlaDefinition(*row))
        return found

    def put(self, wanted: SlaDefinition, now_ms: int) -> tuple[SlaDefinition, bool]:
        """Have a definition in force from ``active_from_ms``, or now; returns its version, and True if it is a new one.

        Raises: BadQuery.
        """
        check_definition(wanted)
        with self._writing, self._database.begin() as connection:
            versions = _versions(connection, wanted.id)
            last = versions[-1] if versions else None
            if last is not None and not last.active_to_ms and last.is_same(wanted):
                return last, False
            if last is None:
                self._check_count(connection)
            from_ms = wanted.active_from_ms or now_ms
            if last is not None and from_ms < max(last.active_from_ms, last.active_to_ms):
                raise BadQuery("invalid field 'active_from_ms': the version before begins, or ends, later")
            if last is not None and not last.active_to_ms:
                _end(connection, last, from_ms)
            number = last.version + 1 if last is not None else 1
            fresh = msgspec.structs.replace(wanted, version=number, active_from_ms=from_ms, active_to_ms=0)
            connection.execute(insert(sla_definitions), msgspec.structs.asdict(fresh))
        return fresh, True

    def end(self, definition_id: str, now_ms: int) -> SlaDefinition:
        """End the current version of a definition. Raises: NoDefinition."""
        with self._writing, self._database.begin() as connection:
            versions = [one for one in _versions(connection, definition_id) if not one.active_to_ms]
            if not versions:
                raise NoDefinition(f"there is no definition {definition_id[:100]!r} in force")
            _end(connection, versions[-1], max(now_ms, versions[-1].active_from_ms))
            return msgspec.structs.replace(versions[-1], active_to_ms=now_ms)

    def _check_count(self, connection: Connection) -> None:
        count = connection.scalar(select(func.count(func.distinct(sla_definitions.c.id)))) or 0
        if count >= self._definitions_max:
            raise BadQuery(f"there are {count} definitions, the most allowed (sla.definitions_max)")

    # ---- snapshots ----

    def last_days(self) -> dict[str, str]:
        """The newest day with a snapshot, by the id of the definition."""
        asked = select(sla_snapshots.c.definition_id, func.max(sla_snapshots.c.day))
        with self._database.begin() as connection:
            rows = connection.execute(asked.group_by(sla_snapshots.c.definition_id))
            return {row[0]: row[1] for row in rows}

    def add_day(self, day: str, days: Sequence[SlaDay], now_ms: int) -> int:
        """Store the snapshots of one day, but for those that are there; returns how many were new.

        Each new one is an entry ``sla.snapshot`` of the audit log, in the same transaction.
        """
        try:
            with self._writing, self._database.begin() as connection:
                there = select(sla_snapshots.c.definition_id).where(sla_snapshots.c.day == day)
                known = set(connection.scalars(there))
                fresh = [(one, 0, "") for one in days if one.definition_id not in known]
                _append(connection, fresh, now_ms)
                append_with(connection, _noted(connection, fresh, now_ms))
                return len(fresh)
        except Unavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                return 0  # another process has written it; what it left out is found due again
            raise

    def revise(self, one: SlaDay, reason: str, now_ms: int) -> int:
        """Store a correction of a snapshot; returns its revision. Raises: BadQuery without a reason."""
        if not reason.strip() or len(reason) > 1_000 or "\0" in reason:
            raise BadQuery("invalid parameter 'reason': expected 1 to 1000 characters, none zero")
        mine = sla_snapshots.c.definition_id == one.definition_id, sla_snapshots.c.day == one.day
        with self._writing, self._database.begin() as connection:
            last = connection.scalar(select(func.max(sla_snapshots.c.revision)).where(*mine))
            if last is None:
                raise BadQuery(f"{one.definition_id} has no snapshot of {one.day} yet: nothing is to be corrected")
            _append(connection, [(one, last + 1, reason)], now_ms)
        return int(last) + 1

    def snapshots(self, definition_ids: Sequence[str], first_day: str, last_day: str) -> list[dict[str, Any]]:
        """The newest revision of each day from ``first_day`` to ``last_day``, both included, the oldest day first."""
        table = sla_snapshots.c
        newest = select(table.definition_id, table.day, func.max(table.revision).label("revision"))
        newest = newest.where(table.day >= first_day, table.day <= last_day)
        if definition_ids:
            newest = newest.where(table.definition_id.in_(definition_ids))
        chosen = newest.group_by(table.definition_id, table.day).subquery()
        same = [table[name] == chosen.c[name] for name in ("definition_id", "day", "revision")]
        asked = select(sla_snapshots).join(chosen, same[0] & same[1] & same[2])
        with self._database.begin() as connection:
            rows = connection.execute(asked.order_by(table.day, table.definition_id).limit(SNAPSHOTS_MAX)).mappings()
            return [_shown(dict(row)) for row in rows]

    def revisions(self, definition_id: str, day: str) -> list[dict[str, Any]]:
        """All revisions of one day, the oldest first."""
        mine = sla_snapshots.c.definition_id == definition_id, sla_snapshots.c.day == day
        with self._database.begin() as connection:
            asked = select(sla_snapshots).where(*mine).order_by(sla_snapshots.c.revision)
            return [_shown(dict(row)) for row in connection.execute(asked).mappings()]

    def verify(self) -> tuple[int, str]:
        """Check the chain. Returns: number of snapshots, the last hash. Raises: Damaged at the first one at fault."""
        number, chained = 0, ""
        definitions: dict[tuple[str, int], dict[str, Any]] = {}
        for row in self._oldest_first():
            if row["id"] != number + 1:
                raise Damaged("sla_snapshots", f"snapshot {number + 1} is missing: {row['id']} follows {number}")
            key = row["definition_id"], row["definition_version"]
            if key not in definitions:  # the first row, or one of a version that is newer than the last read
                with self._database.begin() as connection:
                    definitions = _definitions_as_written(connection)
            chained = _hash(chained, row, definitions.get(key))
            if chained != row["hash"]:
                what = (
                    f"snapshot {row['id']} ({key[0]}, {row['day']}) or version {key[1]} of its definition was altered"
                )
                raise Damaged("sla_snapshots", f"{what}: its hash does not follow")
            number = row["id"]
        return number, chained

    def _oldest_first(self) -> Iterator[Mapping[str, Any]]:
        last = 0
        while True:
            asked = select(sla_snapshots).where(sla_snapshots.c.id > last).order_by(sla_snapshots.c.id)
            with self._database.begin() as connection:
                rows = connection.execute(asked.limit(PAGE_ROWS)).mappings().all()
            yield from (dict(row) for row in rows)
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1]["id"]


class NoDefinition(BadQuery):
    """There is no definition of this id."""


def _versions(connection: Connection, definition_id: str) -> list[SlaDefinition]:
    asked = select(*_FIELDS).where(sla_definitions.c.id == definition_id).order_by(sla_definitions.c.version)
    return [SlaDefinition(*row) for row in connection.execute(asked)]


def _end(connection: Connection, one: SlaDefinition, at_ms: int) -> None:
    mine = sla_definitions.c.id == one.id, sla_definitions.c.version == one.version
    connection.execute(update(sla_definitions).where(*mine).values(active_to_ms=at_ms))


def _definitions_as_written(connection: Connection) -> dict[tuple[str, int], dict[str, Any]]:
    """Every version by id and number, without its end, which is written later."""
    rows = (dict(row) for row in connection.execute(select(*_FIELDS)).mappings())
    return {
        (row["id"], row["version"]): {str(name): _plain(row[name]) for name in row if name != "active_to_ms"}
        for row in rows
    }


def _append(connection: Connection, days: Sequence[tuple[SlaDay, int, str]], now_ms: int) -> None:
    """Add rows behind the newest one."""
    if not days:
        return
    last = connection.execute(
        select(sla_snapshots.c.id, sla_snapshots.c.hash).order_by(sla_snapshots.c.id.desc()).limit(1)
    ).first()
    number, chained = (0, "") if last is None else (int(last[0]), str(last[1]))
    definitions = _definitions_as_written(connection)
    rows = []
    for one, revision, reason in days:
        number += 1
        row = {
            **{name: _stored(value) for name, value in msgspec.structs.asdict(one).items()},
            "id": number,
            "revision": revision,
            "reason": reason,
            "created_ms": now_ms,
        }
        row["evidence"] = orjson.dumps(one.evidence, option=orjson.OPT_SORT_KEYS).decode()
        definition = definitions.get((one.definition_id, one.definition_version))
        chained = row["hash"] = _hash(chained, row, definition)
        rows.append(row)
    connection.execute(insert(sla_snapshots), rows)


def _noted(connection: Connection, days: Sequence[tuple[SlaDay, int, str]], now_ms: int) -> list[Change]:
    table = sla_definitions.c
    rows = connection.execute(select(table.id, table.version, table.service)).all()
    services = {(row.id, row.version): row.service for row in rows}
    return [
        Change(
            now_ms,
            "nissa",
            "sla",
            "",
            "sla.snapshot",
            f"{one.definition_id} {one.day}",
            after={"service": services.get((one.definition_id, one.definition_version), ""), "value": one.value},
        )
        for one, _, _ in days
    ]


def _stored(value: Any) -> Any:
    """A value as every database gives it back: SQLite keeps no -0.0, and NULL for NaN."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else value + 0.0


def _hash(before: str, row: Mapping[str, Any], definition: Mapping[str, Any] | None) -> str:
    content: dict[str, Any] = {str(name): _plain(value) for name, value in row.items() if name != "hash"}
    content["definition"] = definition
    return hashlib.sha256(before.encode() + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: Any) -> Any:
    """A number as text that does not depend on whether a database gives 5.0 or 5."""
    return repr(float(value)) if isinstance(value, int | float) else value


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**{str(name): value for name, value in row.items()}, "evidence": orjson.loads(row["evidence"])}
