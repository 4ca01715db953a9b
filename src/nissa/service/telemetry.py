"""Nissa's telemetry about itself: its own metrics become a frame every interval and go the way of every frame."""

import asyncio
from collections.abc import Callable

import structlog

from nissa.model.errors import NissaError
from nissa.model.intake import Intake, Outcome
from nissa.model.units import SECOND_MS
from nissa.selfmetrics.registry import Registry

log = structlog.get_logger()


async def ingest_telemetry(intake: Intake, registry: Registry, interval_ms: int, now_ms: Callable[[], int]) -> None:
    """Until cancelled: one frame every ``interval_ms``; none at all for 0. Under pressure a turn is left out."""
    while interval_ms:
        if not intake.pressure:
            try:
                intake.submit(registry.self_frame(now_ms()), _noted)
            except Exception:  # a metric that cannot be read must not end the telling of all others
                log.exception("self telemetry could not be read")
        await asyncio.sleep(interval_ms / SECOND_MS)


def _noted(outcome: Outcome) -> None:
    if isinstance(outcome, NissaError):
        log.warning("self telemetry was not kept", reason=str(outcome))
