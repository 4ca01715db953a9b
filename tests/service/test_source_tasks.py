"""Supervision of sources: states, retries, isolation, shutdown."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from nissa.config.safeguards import Breakers
from nissa.model.errors import SourceFailed
from nissa.safeguards.breaker import Breaker, BreakerState, Transition
from nissa.service import source_tasks
from nissa.service.source_tasks import SourceTasks
from nissa.sources.source import Connected

NOW_MS = 1_700_000_000_000


class Scripted:
    """A source whose runs follow a script: errors to raise in turn, then it stays up."""

    path = "sources.oona"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.is_up = asyncio.Event()
        self.gave_back = False

    async def run(self, connected: Connected) -> None:
        """Fail as the script says, else stay up until cancelled."""
        if self.errors:
            raise self.errors.pop(0)
        connected()
        self.is_up.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.gave_back = True

    def facts(self) -> Mapping[str, object]:
        """One number."""
        return {"lag": 3}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_tasks, "RETRY_MS_MIN", 5)


def supervised(scenario: Callable[[SourceTasks, Scripted], object], *errors: Exception) -> None:
    """Run ``scenario`` beside a supervised source."""

    async def main() -> None:
        source = Scripted(*errors)
        tasks = SourceTasks([source], lambda: NOW_MS)
        assert tasks.status()["oona"]["state"] == "starting"
        assert tasks.missing() == ["sources.oona: starting"]
        tasks.start()
        await asyncio.wait_for(source.is_up.wait(), 60)
        scenario(tasks, source)
        await tasks.stop(10)
        assert source.gave_back

    asyncio.run(main())


def test_a_source_that_answers_is_up() -> None:
    """State, time and own facts are in the status, and nothing is missing."""

    def scenario(tasks: SourceTasks, _source: Scripted) -> None:
        expected = {"state": "up", "up": 1, "since_ms": NOW_MS, "failures": 0, "error": None, "lag": 3}
        assert tasks.status() == {"oona": expected}
        assert tasks.missing() == []

    supervised(scenario)


def test_failures_of_either_kind_are_counted_and_retried() -> None:
    """A server that is away and a fault of ours both lead to another run, until it is up."""

    def scenario(tasks: SourceTasks, _source: Scripted) -> None:
        assert tasks.status()["oona"]["failures"] == 2
        assert tasks.missing() == []

    supervised(scenario, SourceFailed("connection refused"), ValueError("ours"))


def test_a_failing_source_names_its_reason() -> None:
    """While a source fails, the reason is in the status and in the answer of readiness."""

    async def main() -> None:
        tasks = SourceTasks([Scripted(*[SourceFailed("connection refused")] * 1000)], lambda: NOW_MS)
        tasks.start()
        await asyncio.sleep(0.02)
        assert tasks.missing() == ["sources.oona: connection refused"]
        assert tasks.status()["oona"]["state"] == "failing"
        await tasks.stop(10)

    asyncio.run(main())


def test_targets_of_the_source_that_has_some() -> None:
    """Its lists are passed on; without such a source there are none."""

    class Asking(Scripted):
        def targets(self) -> dict[str, object]:
            return {"activeTargets": [1]}

    async def main() -> None:
        assert SourceTasks([Scripted()], lambda: NOW_MS).targets() == {}
        assert SourceTasks([Scripted(), Asking()], lambda: NOW_MS).targets() == {"activeTargets": [1]}

    asyncio.run(main())


def test_a_breaker_opens_and_closes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three failures in a row: the source does not run until the time-out is over; staying up closes the breaker."""
    monkeypatch.setattr(source_tasks, "PROBE_S", 0.005)
    monkeypatch.setattr(source_tasks, "OPEN_POLL_S", 0.005)
    changes: list[Transition] = []
    closed = asyncio.Event()

    def note(change: Transition) -> None:
        changes.append(change)
        if change.after is BreakerState.CLOSED:
            closed.set()

    breaker = Breaker("oona", Breakers(timeout_ms=50), note)

    async def main() -> None:
        source = Scripted(*[SourceFailed("connection refused")] * 3)
        tasks = SourceTasks([source], lambda: NOW_MS, {"sources.oona": breaker})
        tasks.start()
        await closed.wait()
        assert tasks.status()["oona"]["breaker"] == "closed"
        await tasks.stop(10)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert [str(change.after) for change in changes] == ["open", "half_open", "closed"]
    assert changes[0].reason == "connection refused"


def test_a_probe_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-open run that is not up within the deadline of a probe is cancelled, and opens the breaker again."""
    monkeypatch.setattr(source_tasks, "OPEN_POLL_S", 0.005)
    opened_again = asyncio.Event()
    runs = 0

    def note(_change: Transition) -> None:
        if breaker.times_opened >= 3:
            opened_again.set()

    breaker = Breaker("oona", Breakers(timeout_ms=50, half_open_timeout_ms=20), note)

    class Hanging(Scripted):
        async def run(self, connected: Connected) -> None:
            """Fail three times, then never answer."""
            nonlocal runs
            runs += 1
            if runs <= 3:
                raise SourceFailed("connection refused")
            await asyncio.Event().wait()

    async def main() -> None:
        tasks = SourceTasks([Hanging()], lambda: NOW_MS, {"sources.oona": breaker})
        tasks.start()
        await opened_again.wait()
        await asyncio.sleep(0)
        assert "half_open_timeout" in tasks.status()["oona"]["error"]
        await tasks.stop(10)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert runs >= 5
