"""Creates the configured sinks. Their libraries are loaded only if there is one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.safeguards.breaker import BreakerSet

if TYPE_CHECKING:
    from nissa.forwarders.sinks import Sinks


CURSOR: Final = "sink:"  # before the name of a sink, of its cursor


class ConfiguredSinks:
    """The sinks of the process, or none. all: None where none is configured, or was. Lives on the loop."""

    def __init__(self, config: Config, engine: Engine, breakers: BreakerSet, now_ms: Callable[[], int]) -> None:
        """now_ms: wall clock, Unix milliseconds. Raises: Damaged, Unavailable."""
        self.all: Sinks | None = None
        if config.sinks or any(name.startswith(CURSOR) for name in engine.followers.facts()["cursors"]):
            from nissa.forwarders import sinks  # loads an HTTP client

            place = engine.directory, engine.followers, engine.state, engine.secret
            self.all = sinks.Sinks(config, *place, breakers.named, now_ms)

    def start(self) -> None:
        """Start one task per sink."""
        if self.all is not None:
            self.all.start()

    async def stop(self, timeout_s: float) -> None:
        """End all tasks, and wait for ``timeout_s`` seconds at most."""
        if self.all is not None:
            await self.all.stop(timeout_s)

    def list_facts(self) -> dict[str, Any]:
        """Facts of the list of Redis that dead letters are mirrored to; none without one."""
        return {} if self.all is None else self.all.list_facts()

    def status(self) -> dict[str, Any]:
        """Name of each sink -> its facts, for ``/api/status`` and metrics."""
        return {} if self.all is None else self.all.status()
