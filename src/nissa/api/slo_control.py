"""Interface to the service level objectives of the daemon, for the API."""

from typing import Any, Protocol

from nissa.slo.budget import Budget
from nissa.slo.objective import Objective


class SloControl(Protocol):
    """Objectives and their budgets."""

    def objectives(self) -> list[tuple[Objective, Budget | None, str]]:
        """Every objective with its budget, None before the first computation, and the error of the last one."""

    def snapshots(self, name: str, start_ms: int, end_ms: int, limit: int) -> list[dict[str, Any]]:
        """Snapshots of an objective, the newest first. Blocks. Raises: Unavailable."""
