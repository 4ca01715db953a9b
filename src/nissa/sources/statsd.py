"""StatsD over UDP and TCP: lines are aggregated, and every interval a flush is sent as frames.

    UDP, TCP ── lines ──► StatsdAggregate ── flush_interval ──► frames ──► Inlet

The protocol has no acknowledgements: ``kill -9`` loses lines that arrived since the last flush in the journal. After a
restart counters begin at 0 again, with a sample of 0. An orderly shutdown flushes first.
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from nissa.codec.statsd import StatsdAggregate, StatsdLimits
from nissa.codec.statsd_events import read_statsd_events
from nissa.config.lines import Statsd
from nissa.config.listen import parse_listen
from nissa.model.errors import ConfigInvalid, SourceFailed
from nissa.model.frame import Codec
from nissa.model.units import SECOND_MS
from nissa.sources.datagrams import Datagrams
from nissa.sources.inlet import Inlet
from nissa.sources.line_connections import LineConnections
from nissa.sources.line_frames import send_when_ready
from nissa.sources.refused_lines import RefusedLines
from nissa.sources.source import Connected

LISTEN: Final = "sources.statsd.listen"
PORTS_MAX: Final = 16  # tried where any port will do
SHOWN_BYTES_MAX: Final = 200  # of a refused line in the log


class StatsdSource:
    """The sockets of ``sources.statsd`` and what was received since the last flush."""

    path: Final = "sources.statsd"

    def __init__(self, config: Statsd, inlet: Inlet) -> None:
        """Raises: ConfigInvalid for an address or quantiles that cannot be."""
        if not all(0.0 <= each <= 1.0 for each in config.quantiles) or len(set(config.quantiles)) < len(
            config.quantiles
        ):
            raise ConfigInvalid(
                "sources.statsd.quantiles", f"expected different numbers of 0 to 1, got {config.quantiles}"
            )
        self._listen = parse_listen(config.listen, LISTEN)
        self._inlet = inlet
        self._interval_s = config.flush_interval_ms / SECOND_MS
        limits = StatsdLimits(config.meters_max, config.sketch_buckets_max, config.set_members_max, config.events_max)
        self._aggregate = StatsdAggregate(
            secrets.token_bytes(32), limits, config.quantiles, config.idle_ttl_ms, inlet.now_ms()
        )
        self._datagrams = Datagrams(self._take, config.receive_buffer_bytes)
        self._connections = LineConnections(
            self._take,
            connections_max=config.connections_max,
            line_bytes_max=config.line_bytes_max,
            idle_timeout_s=config.idle_timeout_ms / SECOND_MS,
        )
        self._refused_log = RefusedLines(self.path)
        self._frames_refused = 0
        self._events_malformed = 0

    async def run(self, connected: Connected) -> None:
        """Receive and flush until cancelled. Raises: SourceFailed where the address cannot be had."""
        flushing: asyncio.Task[None] | None = None
        try:
            await self._open()
            connected()
            while True:
                await asyncio.sleep(self._interval_s)
                flushing = asyncio.create_task(self._flush())
                await asyncio.shield(flushing)
        finally:
            self._connections.close()
            self._datagrams.close()
            if flushing is not None:
                with suppress(asyncio.CancelledError):
                    await flushing
            await self._flush()

    async def _open(self) -> None:
        """Both sockets on one port. A port that the system has chosen for UDP may be taken in TCP: then another one."""
        for attempt in range(1, PORTS_MAX + 1):
            listen = self._datagrams.open(self._listen, LISTEN)
            try:
                await self._connections.open(listen, LISTEN)
                break
            except SourceFailed:
                if self._listen.port or attempt == PORTS_MAX:
                    raise
                self._datagrams.close()

    def facts(self) -> Mapping[str, object]:
        """Counts of lines received, and of those not taken."""
        found = self._aggregate.facts()
        return {
            **self._connections.facts(),
            **self._datagrams.facts(),
            **found,
            "lines_refused": found["lines_refused"] + self._events_malformed,
            "events_malformed": self._events_malformed,
            "frames_refused": self._frames_refused,
        }

    def _take(self, lines: bytes | memoryview) -> None:
        refused = self._aggregate.facts()["lines_refused"]
        malformed = self._aggregate.add(lines)
        refused = self._aggregate.facts()["lines_refused"] - refused
        if refused:
            self._note(malformed, refused)

    def _note(self, malformed: list[bytes], refused: int) -> None:
        shown = [("malformed", line[:SHOWN_BYTES_MAX].decode("utf-8", "replace")) for line in malformed]
        self._refused_log.note(shown, refused, asyncio.get_running_loop().time())

    async def _flush(self) -> None:
        now_ms = self._inlet.now_ms()
        for body in self._aggregate.flush(now_ms):
            await self._send(Codec.REMOTE_WRITE_1, body)
        events, malformed = read_statsd_events(self._aggregate.take_events(), now_ms)
        if malformed:
            self._events_malformed += len(malformed)
            self._note(malformed, len(malformed))
        if events:
            await self._send(Codec.NISSA_EVENT, events, delimited=True)

    async def _send(self, codec: Codec, body: bytes, *, delimited: bool = False) -> None:
        receipt = await send_when_ready(self._inlet, codec, body, delimited=delimited)
        if receipt is None:
            self._frames_refused += 1
