"""Looks through the answers of targets before they go to the intake: how many samples, and which series.

A body that came compressed is decompressed here; the frame has it as it came for the journal, and decompressed for the
decoder. Large bodies are looked through off the loop.
"""

import asyncio
import threading
from typing import Final

import msgspec

from nissa._fast.exposition_series import ExpositionSeries
from nissa.codec.decompress import Decompressor
from nissa.config.scrape_configs import ScrapeConfig
from nissa.model.errors import SourceFailed, TooLarge
from nissa.model.units import KIB
from nissa.sources.scrape.fetch import TargetAnswer
from nissa.sources.scrape.followed import Followed, Prepared

OFF_LOOP_BYTES: Final = 512 * KIB  # of a body as received


class Seen(msgspec.Struct, frozen=True):
    """samples: of a body. series: those to follow, where they are not as before. plain: a body that was compressed."""

    samples: int = 0
    series: Prepared | None = None
    plain: bytes | None = None


class AnswerReader:
    """Looks through one body after the other; from any thread."""

    def __init__(self, series: ExpositionSeries, bytes_max: int) -> None:
        """series: makes the keys of all targets. bytes_max: of a body once decompressed."""
        self.bytes_max = bytes_max
        self._series = series
        self._local = threading.local()

    async def look_through(
        self, answer: TargetAnswer, openmetrics: bool, entry: ScrapeConfig, followed: Followed
    ) -> Seen:
        """See which series a body has; ``followed`` stays as it is.

        Raises: SourceFailed for a body over body_size_limit; Malformed, TooLarge for one that cannot be decompressed.
        """
        if len(answer.body) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._look_through, answer, openmetrics, entry, followed)
        return self._look_through(answer, openmetrics, entry, followed)

    def _look_through(self, answer: TargetAnswer, openmetrics: bool, entry: ScrapeConfig, followed: Followed) -> Seen:
        try:
            body = self._decompressor().decompress(answer.body, answer.encoding)
        except TooLarge as error:
            raise SourceFailed(str(error)) from None
        if 0 < entry.body_size_limit < len(body):
            raise SourceFailed(
                f"the answer has {len(body)} bytes, over the limit of {entry.body_size_limit} (body_size_limit)"
            )
        own_times = entry.honor_timestamps
        keys, samples = self._series.keys(body, openmetrics, own_times)
        series = followed.prepare(keys, body, openmetrics, own_times)
        return Seen(samples, series, bytes(body) if isinstance(body, memoryview) else None)

    def _decompressor(self) -> Decompressor:
        found: Decompressor | None = getattr(self._local, "decompressor", None)
        if found is None:
            found = self._local.decompressor = Decompressor(self.bytes_max)
        return found
