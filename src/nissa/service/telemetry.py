"""Ingests Nissa's own metrics: one frame per interval, through the same path as all frames."""

import asyncio
from collections.abc import Callable

import structlog

from nissa.model.errors import NissaError
from nissa.model.intake import Intake, Outcome
from nissa.model.units import SECOND_MS
from nissa.selfmetrics.registry import Registry

log = structlog.get_logger()


async def ingest_telemetry(
    intake: Intake, registry: Registry, interval_ms: int, now_ms: Callable[[], int], factor: Callable[[], int]
) -> None:
    """Ingest the metrics of Nissa itself until cancelled.

    intake: receives the frames. registry: the metrics. interval_ms: between frames; 0: none at all. now_ms: wall clock,
    Unix milliseconds. factor: how many times longer the interval is now. A frame is skipped while the intake has
    pressure.
    """
    while interval_ms:
        if not intake.pressure:
            try:
                intake.submit(registry.self_frame(now_ms()), _noted)
            except Exception:  # a metric that cannot be read must not stop the others
                log.exception("cannot collect own metrics")
        await asyncio.sleep(factor() * interval_ms / SECOND_MS)


def _noted(outcome: Outcome) -> None:
    if isinstance(outcome, NissaError):
        log.warning("own metrics not ingested", reason=str(outcome))
