"""The janitor: deletes old rollups in batches, one process at a time, and counts combinations of tags.

    minutes over their age   each hour of them gets its hourly rows first, where they are missing; then they go
    hours over their age     go
    Gold                     is never touched; Bronze is blocks of events, which retention deletes (``maintenance/``)

The lock is a row with an end: a process that is killed loses it after ``LOCK_MS``.
"""

from typing import Any, Final

import msgspec
import orjson
from sqlalchemy import Connection, and_, delete, exists, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from nissa.database.database import Database
from nissa.database.silver_tables import metric_rollups, system_config, work_locks
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS

LOCK: Final = "janitor"
LOCK_MS: Final = 10 * MINUTE_MS
BATCH_BUCKETS: Final = 60
RETENTION_KEY: Final = "retention_policy"
DAYS_MAX: Final = 36_500


class RetentionPolicyDays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``retention_policy`` of the system's configuration, in days; 0: as the settings have it."""

    minute_metrics: int = 0
    hourly_metrics: int = 0


class Cleaned(msgspec.Struct, frozen=True):
    """Rows that were deleted, or would be; hourly rows made for minutes; combinations that are there."""

    minutes: int = 0
    hours: int = 0
    compensated: int = 0
    combinations: int = 0
    held_elsewhere: bool = False


class Janitor:
    """Cleans one database. owner: unlike any other process's."""

    def __init__(self, database: Database, owner: str, minutes_ms: int, hours_ms: int) -> None:
        """minutes_ms, hours_ms: retention, where the system's configuration does not say otherwise."""
        self._database, self._owner = database, owner
        self._minutes_ms, self._hours_ms = minutes_ms, hours_ms

    def run(self, now_ms: int, *, dry: bool = False) -> Cleaned:
        """Clean, or say what would go. Raises: Unavailable."""
        if not dry and not self._lock(now_ms):
            return Cleaned(held_elsewhere=True)
        try:
            return self._clean(now_ms, dry=dry)
        finally:
            if not dry:
                self._unlock()

    def ages_ms(self) -> dict[str, int]:
        """The age up to which rows of minutes and of hours are kept. Raises: Unavailable."""
        policy = read_policy(self._database)
        return {
            "minute": policy.minute_metrics * DAY_MS or self._minutes_ms,
            "hour": policy.hourly_metrics * DAY_MS or self._hours_ms,
        }

    def _clean(self, now_ms: int, *, dry: bool) -> Cleaned:
        ages = self.ages_ms()
        counts, compensated = dict.fromkeys(ages, 0), 0
        for granularity, age_ms in ages.items():
            before_ms = (now_ms - age_ms) // HOUR_MS * HOUR_MS  # whole hours: an hour is made of all its minutes
            if dry:
                counts[granularity] = self._count(granularity, before_ms)
                continue
            while (last_ms := self._batch_end_ms(granularity, before_ms)) is not None:
                with self._database.begin() as connection:
                    if granularity == "minute":
                        compensated += _compensate(connection, last_ms)
                    counts[granularity] += connection.execute(
                        delete(metric_rollups).where(*_old(granularity, last_ms))
                    ).rowcount
        with self._database.begin() as connection:
            combinations = connection.scalar(select(func.count(func.distinct(metric_rollups.c.key)))) or 0
        return Cleaned(counts["minute"], counts["hour"], compensated, int(combinations))

    def _count(self, granularity: str, before_ms: int) -> int:
        with self._database.begin() as connection:
            return int(connection.scalar(select(func.count()).where(*_old(granularity, before_ms))) or 0)

    def _batch_end_ms(self, granularity: str, before_ms: int) -> int | None:
        """The end of the next batch of old buckets; None where there are none."""
        oldest = select(func.min(metric_rollups.c.bucket_ms)).where(*_old(granularity, before_ms))
        with self._database.begin() as connection:
            first_ms = connection.scalar(oldest)
        if first_ms is None:
            return None
        length_ms = HOUR_MS if granularity == "minute" else BATCH_BUCKETS * HOUR_MS
        return int(min(first_ms // HOUR_MS * HOUR_MS + length_ms, before_ms))

    def _lock(self, now_ms: int) -> bool:
        values = {"owner": self._owner, "until_ms": now_ms + LOCK_MS}
        free = update(work_locks).where(work_locks.c.name == LOCK, work_locks.c.until_ms <= now_ms)
        try:
            with self._database.begin() as connection:
                if connection.execute(free.values(**values)).rowcount:
                    return True
                if connection.scalar(select(func.count()).where(work_locks.c.name == LOCK)):
                    return False
                connection.execute(insert(work_locks), {"name": LOCK, **values})
                return True
        except Unavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                return False  # another process was first
            raise

    def _unlock(self) -> None:
        mine = work_locks.c.name == LOCK, work_locks.c.owner == self._owner
        with self._database.begin() as connection:
            connection.execute(update(work_locks).where(*mine).values(until_ms=0))


def read_policy(database: Database) -> RetentionPolicyDays:
    """The retention that was set by the API; zeros where none was."""
    found = read_system_config(database, RETENTION_KEY)
    return RetentionPolicyDays() if found is None else msgspec.convert(found["value"], RetentionPolicyDays)


def read_system_config(database: Database, key: str) -> dict[str, Any] | None:
    """An entry of the system's configuration, or None."""
    with database.begin() as connection:
        row = connection.execute(select(system_config).where(system_config.c.key == key)).mappings().first()
    if row is None:
        return None
    return {**{str(name): value for name, value in row.items()}, "value": orjson.loads(row["value"])}


def write_system_config(database: Database, key: str, value: Any, user: str, now_ms: int) -> dict[str, Any]:
    """Set an entry of the system's configuration; returns it. Raises: BadQuery for a key or value that there is not."""
    if key != RETENTION_KEY:
        raise BadQuery(f"unknown key {key[:100]!r}: expected {RETENTION_KEY}")
    try:
        policy = msgspec.convert(value, RetentionPolicyDays)
    except msgspec.ValidationError as error:
        raise BadQuery(f"{key}: {error}") from None
    for name in RetentionPolicyDays.__struct_fields__:
        if not 0 <= getattr(policy, name) <= DAYS_MAX:
            raise BadQuery(f"{key}.{name}: expected 0 to {DAYS_MAX} days, got {getattr(policy, name)}")
    row = {"key": key, "value": msgspec.json.encode(policy).decode(), "updated_ms": now_ms, "updated_by": user[:200]}
    with database.begin() as connection:
        connection.execute(delete(system_config).where(system_config.c.key == key))
        connection.execute(insert(system_config), row)
    return {**row, "value": msgspec.to_builtins(policy)}


def _old(granularity: str, before_ms: int) -> tuple[Any, Any]:
    return metric_rollups.c.granularity == granularity, metric_rollups.c.bucket_ms < before_ms


def _compensate(connection: Connection, before_ms: int) -> int:
    """Make hourly rows, without percentiles, for minutes that have none."""
    minutes, hours = metric_rollups.alias("minutes"), metric_rollups.alias("hours")
    begin = minutes.c.bucket_ms - minutes.c.bucket_ms % HOUR_MS
    has_hour = exists().where(
        and_(hours.c.granularity == "hour", hours.c.key == minutes.c.key, hours.c.bucket_ms == begin)
    )
    sums = func.sum(minutes.c.count), func.sum(minutes.c.sum), func.min(minutes.c.min), func.max(minutes.c.max)
    names = (minutes.c.key, minutes.c.service, minutes.c.name, minutes.c.tags)
    made = select(literal("hour"), begin, *names, *sums).where(
        minutes.c.granularity == "minute", minutes.c.bucket_ms < before_ms, ~has_hour
    )
    columns = ("granularity", "bucket_ms", "key", "service", "name", "tags", "count", "sum", "min", "max")
    grouped = made.group_by(begin, *names)
    made_rows = insert(metric_rollups).from_select(columns, grouped)
    return int(connection.execute(made_rows, execution_options={"preserve_rowcount": True}).rowcount)
