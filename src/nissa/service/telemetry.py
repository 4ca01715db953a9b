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
    """Until cancelled: one frame every ``interval_ms``. While the engine is under pressure a turn is left out."""
    while True:
        if not intake.pressure:
            intake.submit(registry.self_frame(now_ms()), _noted)
        await asyncio.sleep(interval_ms / SECOND_MS)


def _noted(outcome: Outcome) -> None:
    if isinstance(outcome, NissaError):
        log.warning("self telemetry was not kept", reason=str(outcome))
