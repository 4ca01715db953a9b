"""Snapshots of error budgets in the database: what each evaluation found."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import RowMapping, delete, insert, select

from nissa.database.database import Database
from nissa.database.tables import slo_snapshots
from nissa.slo.budget import Budget

ROWS_MAX: Final = 10_000


class SnapshotStore:
    """The table of snapshots. Safe from any thread; every call blocks. Raises: Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, budgets: Sequence[tuple[Budget, float]], at_ms: int) -> None:
        """Store budgets, each with its target in percent."""
        if budgets:
            with self._database.begin() as connection:
                connection.execute(insert(slo_snapshots), [_row(budget, target, at_ms) for budget, target in budgets])

    def history(self, slo: str, start_ms: int, end_ms: int, limit: int) -> list[dict[str, Any]]:
        """Snapshots of one objective in [start_ms, end_ms), the newest first."""
        table = slo_snapshots
        asked = select(table).where(table.c.slo == slo, table.c.at_ms >= start_ms, table.c.at_ms < end_ms)
        asked = asked.order_by(table.c.at_ms.desc()).limit(min(limit, ROWS_MAX))
        with self._database.begin() as connection:
            return [_shown(row) for row in connection.execute(asked).mappings()]

    def sweep(self, before_ms: int) -> int:
        """Delete snapshots of before ``before_ms``; returns how many."""
        with self._database.begin() as connection:
            return connection.execute(delete(slo_snapshots).where(slo_snapshots.c.at_ms < before_ms)).rowcount

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _row(budget: Budget, target_percent: float, at_ms: int) -> dict[str, Any]:
    return {
        "at_ms": at_ms,
        "slo": budget.objective,
        "target_percent": target_percent,
        "start_ms": budget.start_ms,
        "events_total": budget.events.total,
        "events_bad": budget.events.bad,
        "state": str(budget.state),
        "remaining_percent": budget.remaining_percent,
        **{f"burn_{window}": rate for window, rate in budget.burn.items()},
        "exhausted_in_ms": budget.exhausted_in_ms,
    }


def _shown(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name != "id"}
