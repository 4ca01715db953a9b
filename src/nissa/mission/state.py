"""What the routes share: the backend, the limits, the gates, and how a question is put and its failures counted."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import structlog
from starlette.requests import Request
from starlette.responses import Response

from nissa.config.tree import Api
from nissa.mission.envelope import failure
from nissa.mission.gate import Gate
from nissa.mission.parameters import Parameters, read_parameters
from nissa.model.errors import Damaged, NissaError
from nissa.query.backend import Backend, Keeper
from nissa.query.limits import Deadline
from nissa.store.quarantine import Quarantined

log = structlog.get_logger()
Work = Callable[[Parameters, Deadline], Response]


class Mission:
    """The running API: one per application."""

    def __init__(self, backend: Backend, limits: Api, facts: Mapping[str, Any]) -> None:
        """facts: what ``/api/status`` and ``buildinfo`` add to what the backend says, such as the version."""
        self.backend = backend
        self.keeper: Keeper | None = getattr(backend, "upkeep", None)  # a directory read from outside has none
        self.limits = limits
        self.facts = dict(facts)
        self.questions = Gate(limits.concurrent_queries_max, "query")
        self.exports = Gate(limits.concurrent_queries_max, "export")
        self.failures: Counter[str] = Counter()

    def deadline(self) -> Deadline:
        """A deadline that begins now."""
        return Deadline(asyncio.get_running_loop().time, self.limits.query_timeout_ms)

    def failed(self, error: Exception) -> Response:
        """Count and log ``error``; returns the answer that tells it."""
        self.failures[type(error).__name__] += 1
        if not isinstance(error, NissaError):
            log.error("a query failed unexpectedly", exc_info=error)
        return failure(error)

    async def answer(self, request: Request, work: Work) -> Response:
        """Read the parameters, hold a place, and let ``work`` make the answer on a thread."""
        try:
            parameters = await read_parameters(request)
            deadline = self.deadline()
            async with self.questions.place():
                return await self.questions.run(lambda: work(parameters, deadline))
        except Exception as error:  # the edge: every failure becomes an answer, and is counted
            return self.failed(error)

    def noting(self, damages: dict[str, Damaged]) -> Callable[[Damaged], None]:
        """Notes what a question meets, by path, and has it looked at."""

        def note(damage: Damaged) -> None:
            damages.setdefault(damage.path, damage)
            if self.keeper is not None and not isinstance(damage, Quarantined):
                self.keeper.suspect(damage.path)

        return note

    def load(self) -> dict[str, Any]:
        """How busy the API is, for ``/api/status``."""
        return {
            "running": self.questions.running,
            "exports_running": self.exports.running,
            "refused": self.questions.refused + self.exports.refused,
            "failed": dict(self.failures),
        }

    def close(self) -> None:
        """Give the threads back."""
        self.questions.close()
        self.exports.close()


def mission_of(request: Request) -> Mission:
    """The mission behind the application that got ``request``."""
    return cast(Mission, request.app.state.mission)
