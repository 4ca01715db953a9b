"""State shared by all routes: the backend, the limits, the gates. Runs requests in workers and counts failures."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from nissa.api.active_queries import ActiveQueries
from nissa.api.audit_trail import AuditTrail
from nissa.api.chunks import canceled_by
from nissa.api.content_coding import PLAIN_BYTES_MAX, choose_coding, encode
from nissa.api.envelope import failure
from nissa.api.facts import Facts
from nissa.api.gate import Gate
from nissa.api.kept_answers import KeptAnswers
from nissa.api.parameters import Parameters, read_parameters
from nissa.config.tree import Api
from nissa.database.database import Database
from nissa.model.errors import Damaged, NissaError, Unavailable
from nissa.promql.range_cache import RangeCache
from nissa.promql.stored import OWN_SYMBOLS
from nissa.query.backend import Backend
from nissa.query.limits import Allowance, MemoryBudget
from nissa.store.quarantine import Quarantined

log = structlog.get_logger()
EXPORT_RETRY_S = 60
Work = Callable[[Parameters, Allowance], Response]


class ApiState:
    """The running API: one per application."""

    def __init__(self, backend: Backend, limits: Api, facts: Facts) -> None:
        """State of the running API, one per application.

        backend: where queries read. limits: settings of the API. facts: state of the process.
        """
        self.backend = backend
        self._limits = limits
        self.facts = facts
        waiting = limits.query_wait_ms, limits.waiting_queries_max
        self.questions = Gate(limits.concurrent_queries_max, "query", *waiting)
        self.exports = Gate(limits.concurrent_queries_max, "export", *waiting)
        self.range_cache = RangeCache(limits.range_cache_bytes_max, OWN_SYMBOLS)
        facts.api_counts.range_cache = self.range_cache.facts
        self.ration = MemoryBudget(limits.queries_memory_bytes_max)
        self.active = ActiveQueries(limits.slow_query_duration_ms, facts.api_counts)
        self.failures: Counter[str] = Counter()
        self.trail = AuditTrail(facts.database, facts.now_ms)
        self.kept = KeptAnswers(facts.now_ms, limits.database_retry_ms)

    @property
    def limits(self) -> Api:
        """The limits in force: a mode other than normal allows fewer samples."""
        conserved = self.facts.conserved_samples_max()
        if not 0 < conserved < self._limits.query_samples_max:
            return self._limits
        return msgspec.structs.replace(self._limits, query_samples_max=conserved)

    @property
    def samples_setting(self) -> str:
        """The setting that limits the samples of a query now."""
        reduced = self.limits is not self._limits
        return "safeguards.conservative_mode.query_samples_max" if reduced else "api.query_samples_max"

    def database(self) -> Database:
        """The database of users and the audit log; blocks. Raises: Unavailable where it does not open."""
        if self.facts.database is None:
            raise Unavailable("there is no database here; the request needs the daemon")
        return self.facts.database()

    def check_export(self) -> None:
        """Raises: Unavailable while a mode refuses exports."""
        if self.facts.conserved_samples_max():
            mode = self.facts.mode().get("mode")
            raise Unavailable(f"exports are refused in {mode} mode (safeguards.conservative_mode)", EXPORT_RETRY_S)

    def allowance(self) -> Allowance:
        """Time and memory of one query that begins now."""
        limits = self.limits
        clock_s = asyncio.get_running_loop().time
        return Allowance(clock_s, limits.query_timeout_ms, limits.query_memory_bytes_max, self.ration)

    def failed(self, error: Exception) -> Response:
        """Count and log ``error``; returns the answer that tells it."""
        self.failures[type(error).__name__] += 1
        if not isinstance(error, NissaError | ClientDisconnect):
            log.error("unexpected failure of an API request", exc_info=error)
        return failure(error)

    async def answer(self, request: Request, work: Work, given: Parameters | None = None) -> Response:
        """Read the parameters, unless they are given, hold a place, and let ``work`` make the answer on a thread."""
        try:
            parameters = await read_parameters(request, self.facts.now_ms()) if given is None else given
            allowance = self.allowance()
            coding = choose_coding(request.headers.get("accept-encoding", ""))
            async with self.questions.place(), canceled_by(request.receive, allowance):
                answer = await self.questions.run(lambda: _within(allowance, lambda: work(parameters, allowance)))
                return await self.questions.run(lambda: _encoded(answer, coding))
        except Exception as error:  # the edge: every failure becomes an answer, and is counted
            return self.failed(error)

    def noting(self, damages: dict[str, Damaged]) -> Callable[[Damaged], None]:
        """Notes what a question meets, by path, and has it looked at."""

        def note(damage: Damaged) -> None:
            damages.setdefault(damage.path, damage)
            admin = self.backend.admin
            if admin is not None and not isinstance(damage, Quarantined):
                admin.suspect(damage.path)

        return note

    def load(self) -> dict[str, Any]:
        """Load of the API, for ``/api/status``."""
        return {
            "running": self.questions.running,
            "exports_running": self.exports.running,
            "memory_bytes": self.ration.taken_bytes,
            "refused": self.questions.refused + self.exports.refused,
            "failed": dict(self.failures),
            "audit_failures": self.trail.failures,
        }

    def close(self) -> None:
        """End all queries at their next check, and give the threads back."""
        self.ration.stop()
        self.questions.close()
        self.exports.close()


def _within(allowance: Allowance, work: Callable[[], Response]) -> Response:
    """``work()``; what it held is given back on its own thread, also if the client is gone."""
    with allowance:
        return work()


def _encoded(answer: Response, coding: str) -> Response:
    """An answer in a content coding, where its body is worth it."""
    answer.headers["Vary"] = "Accept-Encoding"
    if coding and len(answer.body) > PLAIN_BYTES_MAX:
        answer.body = b"".join(encode([bytes(answer.body)], coding))
        answer.headers["Content-Encoding"] = coding
        answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def api_state_of(request: Request) -> ApiState:
    """The state of the application that got ``request``."""
    return cast(ApiState, request.app.state.api_state)
