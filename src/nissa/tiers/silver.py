"""Silver: rollups of metrics by minute and hour in the database, written again while late samples may come.

    windows of the ladder ──► rows of [start, end) ──► one transaction: rows that differ from those there

Writing twice has the effect of writing once. Percentiles come from merged sketches; of minutes, whose tier keeps none,
from their samples while all are retained, else they are None. Sums over longer times come from the rows' counts and
sums, never from their percentiles.
"""

import statistics
from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select

from nissa.database.database import Database
from nissa.database.silver_tables import metric_rollups
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.tiers.rollup_rows import GRANULARITIES, Rollup, RollupChanges, RollupKey

PERIODS: Final = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
ROLLUPS_MAX: Final = 10_000
SERVICES_MAX: Final = 1_000
HOURS_MAX: Final = 100_000  # of one service, that medians are made of
NAMES: Final = ", ".join(column.name for column in metric_rollups.columns)
MARKS: Final = ", ".join("?" for _ in metric_rollups.columns)
REPLACED: Final = "ON CONFLICT (granularity, bucket_ms, key) DO UPDATE SET " + ", ".join(
    f"{column.name} = excluded.{column.name}" for column in metric_rollups.columns if not column.primary_key
)
MORE: Final = (
    "WHERE excluded.count > metric_rollups.count OR (excluded.count = metric_rollups.count"
    " AND (excluded.sum <> metric_rollups.sum OR excluded.min <> metric_rollups.min"
    " OR excluded.max <> metric_rollups.max))"
)


class SilverStore:
    """The Silver tier. Safe from any thread; every call blocks. Raises: Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, granularity: str, start_ms: int, end_ms: int, rows: Sequence[Rollup]) -> None:
        """Have these rows, and no others, in [start_ms, end_ms)."""
        self.write(granularity, RollupChanges(((start_ms, end_ms),), list(rows), [], []))

    def write(self, granularity: str, changes: RollupChanges) -> None:
        """Make these changes in one transaction."""
        table = metric_rollups.c
        added, changed = (_rows(granularity, rows) for rows in (changes.added, changes.changed))
        with self._database.begin() as connection:
            for start_ms, end_ms in changes.unknown:
                here = table.granularity == granularity, table.bucket_ms >= start_ms, table.bucket_ms < end_ms
                connection.execute(delete(metric_rollups).where(*here))
            _delete(connection, granularity, changes.gone)
            _insert(connection, added)
            _upsert(connection, changed)

    def amend(self, granularity: str, rows: Sequence[Rollup]) -> None:
        """Have these rows where none of the key and bucket is there, or one of fewer samples, or of other values.

        A row of more samples stays: it was made when windows were there that are not retained any more.
        """
        with self._database.begin() as connection:
            _upsert(connection, _rows(granularity, rows), MORE)

    def last_bucket_ms(self, granularity: str) -> int:
        """The begin of the newest row; 0 where there is none."""
        newest = select(func.max(metric_rollups.c.bucket_ms)).where(metric_rollups.c.granularity == granularity)
        with self._database.begin() as connection:
            return int(connection.scalar(newest) or 0)

    def rollups(self, granularity: str, service: str, name: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Rows of a service and metric, empty for all, in [start_ms, end_ms), the oldest first."""
        if granularity not in GRANULARITIES:
            raise BadQuery(
                f"invalid parameter 'granularity': {granularity[:40]!r} is none of {', '.join(GRANULARITIES)}"
            )
        table = metric_rollups.c
        asked = select(metric_rollups).where(table.granularity == granularity)
        asked = asked.where(table.bucket_ms >= start_ms, table.bucket_ms < end_ms)
        for column, value in ((table.service, service), (table.name, name)):
            asked = asked.where(column == value) if value else asked
        with self._database.begin() as connection:
            rows = connection.execute(asked.order_by(table.bucket_ms, table.key).limit(ROLLUPS_MAX)).mappings()
            return [_shown(dict(row)) for row in rows]

    def services(self) -> list[str]:
        """Services that have rows, ``SERVICES_MAX`` at most. Each is one look into the index, whatever its rows."""
        table, found, last = metric_rollups.c, list[str](), ""
        with self._database.begin() as connection:
            while len(found) < SERVICES_MAX:
                name = connection.scalar(select(func.min(table.service)).where(table.service > last))
                if name is None:
                    break
                last = str(name)
                found.append(last)
        return sorted(found)

    def trend(self, service: str, name: str, period: str, now_ms: int) -> list[dict[str, Any]]:
        """Hours of the last period against those of the one before, for each combination of tags.

        Of one service with the medians of its hours' percentiles, as percentiles of hours have no percentile of all.
        """
        if period not in PERIODS:
            raise BadQuery(f"invalid parameter 'period': {period[:40]!r} is none of {', '.join(PERIODS)}")
        length_ms = PERIODS[period]
        end_ms = now_ms // HOUR_MS * HOUR_MS
        spans = [
            self._sums(service, name, end_ms - back, end_ms - back + length_ms) for back in (length_ms, 2 * length_ms)
        ]
        if service:
            for span, back in zip(spans, (length_ms, 2 * length_ms), strict=True):
                medians = self._medians(service, name, end_ms - back, end_ms - back + length_ms)
                for key in span.keys() & medians.keys():  # rows may have been written after the sums were read
                    span[key] |= medians[key]
        return [_compared(key, *(span.get(key) for span in spans)) for key in sorted(spans[0].keys() | spans[1].keys())]

    def _sums(self, service: str, name: str, start_ms: int, end_ms: int) -> dict[tuple[str, str, str], dict[str, Any]]:
        table = metric_rollups.c
        sums = func.sum(table.count), func.sum(table.sum), func.min(table.min), func.max(table.max)
        asked = select(table.service, table.name, table.tags, *sums).where(table.granularity == "hour")
        asked = asked.where(table.bucket_ms >= start_ms, table.bucket_ms < end_ms)
        for column, value in ((table.service, service), (table.name, name)):
            asked = asked.where(column == value) if value else asked
        asked = asked.group_by(table.service, table.name, table.tags).limit(ROLLUPS_MAX)
        with self._database.begin() as connection:
            return {
                (row[0], row[1], row[2]): {
                    "count": int(row[3]),
                    "mean": row[4] / int(row[3]) if row[3] and row[4] is not None else None,
                    "min": row[5],
                    "max": row[6],
                }
                for row in connection.execute(asked)
            }

    def _medians(
        self, service: str, name: str, start_ms: int, end_ms: int
    ) -> dict[tuple[str, str, str], dict[str, float | None]]:
        """Medians of p95 and p99 of hours; nothing where there are more than ``HOURS_MAX`` rows."""
        table = metric_rollups.c
        asked = select(table.service, table.name, table.tags, table.p95, table.p99).where(table.granularity == "hour")
        asked = asked.where(table.bucket_ms >= start_ms, table.bucket_ms < end_ms, table.service == service)
        asked = asked.where(table.name == name) if name else asked
        with self._database.begin() as connection:
            rows = connection.execute(asked.limit(HOURS_MAX + 1)).all()
        found: dict[tuple[str, str, str], list[tuple[float | None, float | None]]] = {}
        for row in rows if len(rows) <= HOURS_MAX else ():
            found.setdefault((row[0], row[1], row[2]), []).append((row[3], row[4]))
        return {
            key: {"p95": _median([hour[0] for hour in hours]), "p99": _median([hour[1] for hour in hours])}
            for key, hours in found.items()
        }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _compared(key: tuple[str, str, str], now: Any, before: Any) -> dict[str, Any]:
    """A combination in both periods. change: of the mean, relative; None where one of them is missing or 0."""
    means = [None if span is None else span["mean"] for span in (now, before)]
    change = (means[0] - means[1]) / abs(means[1]) if means[0] is not None and means[1] else None
    named = {"service": key[0], "name": key[1], "tags": orjson.loads(key[2])}
    return {**named, "now": now, "before": before, "change": change}


def _rows(granularity: str, rows: Sequence[Rollup]) -> list[tuple[Any, ...]]:
    """In the order of the table's columns."""
    keys = {key: _key(key) for key in {row.key for row in rows}}  # a key has many rows
    return [
        (granularity, row.bucket_ms, *keys[row.key], row.count, row.sum, row.min, row.max, *row.percentiles)
        for row in rows
    ]


def _key(key: RollupKey) -> tuple[str, str, str, str]:
    """The columns of a key."""
    return key.digest, key.service, key.name, orjson.dumps(dict(key.tags)).decode()


def _insert(connection: Connection, rows: Sequence[tuple[Any, ...]], into: str = "metric_rollups") -> None:
    """Insert many rows in the fastest way of each database: PostgreSQL's COPY is ten times as fast as INSERT."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(f"COPY {into} ({NAMES}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except connection.dialect.loaded_dbapi.Error as error:  # SQLAlchemy does not see it
            raise Unavailable(f"database: {error}"[:200]) from error
        return
    connection.exec_driver_sql(f"INSERT INTO {into} ({NAMES}) VALUES ({MARKS})", list(rows))  # noqa: S608


def _upsert(connection: Connection, rows: Sequence[tuple[Any, ...]], where: str = "") -> None:
    """Insert rows, or replace those of the same key and bucket. where: a condition for replacing."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE TEMPORARY TABLE IF NOT EXISTS changed_rollups (LIKE metric_rollups) ON COMMIT DELETE ROWS"
        )
        _insert(connection, rows, "changed_rollups")
        made = f"SELECT {NAMES} FROM changed_rollups"  # noqa: S608
        connection.exec_driver_sql(f"INSERT INTO metric_rollups ({NAMES}) {made} {REPLACED} {where}")
        return
    made = f"VALUES ({MARKS})"
    connection.exec_driver_sql(f"INSERT INTO metric_rollups ({NAMES}) {made} {REPLACED} {where}", list(rows))


def _delete(connection: Connection, granularity: str, gone: Sequence[tuple[RollupKey, int]]) -> None:
    if gone:
        table = metric_rollups.c
        one = table.granularity == granularity, table.bucket_ms == bindparam("at_ms"), table.key == bindparam("digest")
        digests = {key: key.digest for key in {key for key, _ in gone}}
        connection.execute(
            delete(metric_rollups).where(*one), [{"at_ms": at_ms, "digest": digests[key]} for key, at_ms in gone]
        )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {**{str(name): value for name, value in row.items()}, "tags": orjson.loads(row["tags"])}
