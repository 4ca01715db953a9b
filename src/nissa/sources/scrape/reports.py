"""Report series of scrapes (``up``, ``scrape_duration_seconds``, …), collected into frames of text 0.0.4.

up{instance="web-1:9100",job="node"} 1 1758000000123
scrape_duration_seconds{…} 0.012 …    scrape_samples_scraped    scrape_samples_post_metric_relabeling
scrape_series_added
"""

import asyncio
from typing import Final

import structlog

from nissa.codec.exposition import STALE
from nissa.model.context import Context
from nissa.model.errors import NissaError
from nissa.model.frame import Codec
from nissa.sources.inlet import Inlet

LINGER_S: Final = 1.0  # reports of so long are one frame
GATHER_S: Final = 0.1  # answers that come within it are submitted together
NAMES: Final = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
_STALE: Final = Context(parameters={STALE: "true"}).encode()

log = structlog.get_logger()


class Reports:
    """Lines on their way to the intake. Everything runs on the loop; few are lost with the process, as a scrape is."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._gathered: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, series: tuple[str, ...], values: tuple[float, ...], ts_ms: int) -> None:
        """Add the report series of one scrape.

        series: their labels as text. values: of the same length. ts_ms: time of the scrape, Unix milliseconds.
        """
        self._lines += [f"{text} {value!r} {ts_ms}\n" for text, value in zip(series, values, strict=True)]
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._start_flush)

    async def end(self, series: tuple[str, ...], ts_ms: int) -> None:
        """Staleness markers for a target that is asked no more."""
        await self._send("".join(f"{text} 0 {ts_ms}\n" for text in series), _STALE)

    async def flush(self) -> None:
        """Send waiting reports."""
        lines, self._lines = self._lines, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if lines:
            await self._send("".join(lines), b"")

    async def gather(self) -> None:
        """Wait until other answers of the same moment have come too. Frames sent then share a commit of the journal,
        also with the reports that wait.
        """
        gathered = self._gathered
        if gathered is None:
            gathered = self._gathered = asyncio.Event()
            asyncio.get_running_loop().call_later(GATHER_S, self._end_gathering)
        await gathered.wait()

    def _end_gathering(self) -> None:
        if self._gathered is not None:
            self._gathered.set()
            self._gathered = None
        if self._lines:
            self._start_flush()

    def _start_flush(self) -> None:
        task = asyncio.get_running_loop().create_task(self.flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, text: str, context: bytes) -> None:
        try:
            await self._inlet.send(Codec.EXPOSITION, text.encode(), context=context)
        except NissaError as error:
            log.warning("reports of scrapes were not stored", error=str(error))


def report_series(labels: dict[str, str]) -> tuple[str, ...]:
    """Texts of the series that report on a target with these labels."""
    pairs = ",".join(f'"{_escaped(name)}"="{_escaped(value)}"' for name, value in labels.items())
    return tuple(f'{{"{name}"{"," if pairs else ""}{pairs}}}' for name in NAMES)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
