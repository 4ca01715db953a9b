"""Stores the samples of rules through the journal, like those of any sender: remote write 1.0, source ``rules``."""

import queue
from collections.abc import Callable, Sequence
from typing import Final

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.errors import NissaError, Unavailable
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Intake, Outcome
from nissa.rules.queries import RecordedSample

FRAME_SAMPLES_MAX: Final = 20_000


class SamplesRefused(NissaError):
    """Some samples of rules were not accepted, such as new series over the limit."""


class JournalRecorder:
    """Takes samples from the threads that evaluate rules."""

    def __init__(self, intake: Intake, now_ms: Callable[[], int], timeout_s: float) -> None:
        """now_ms: wall clock, Unix milliseconds. timeout_s: until samples are durable."""
        self._intake = intake
        self._now_ms = now_ms
        self._timeout_s = timeout_s

    def record(self, samples: Sequence[RecordedSample]) -> None:
        """Store samples; returns when they are durable and can be read. Raises: Unavailable, SamplesRefused."""
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        frames = 0
        for start in range(0, len(samples), FRAME_SAMPLES_MAX):
            body = _encoded(samples[start : start + FRAME_SAMPLES_MAX])
            frame = Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.RULES, self._now_ms(), body)
            self._intake.submit(frame, outcomes.put)
            frames += 1
        for _ in range(frames):
            try:
                outcome = outcomes.get(timeout=self._timeout_s)
            except queue.Empty:
                raise Unavailable("samples of rules are not durable in time (rules.record_timeout)") from None
            if isinstance(outcome, NissaError):
                raise outcome
            if outcome.refused:
                reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(outcome.refused.items()))
                raise SamplesRefused(f"samples of rules were refused: {reasons}")


def _encoded(samples: Sequence[RecordedSample]) -> bytes:
    request = WriteRequest()
    for sample in samples:
        series = request.timeseries.add()
        for name in sorted(sample.labels):
            series.labels.add(name=name, value=sample.labels[name])
        series.samples.add(value=sample.value, timestamp=sample.at_ms)
    return request.SerializeToString()
