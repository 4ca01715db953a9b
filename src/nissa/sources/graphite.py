"""Graphite plaintext over TCP: lines of all connections are joined into frames (``codec/graphite.py``).

The protocol has no acknowledgements: a kill loses lines that were read from a socket and are not yet in the journal
(``linger`` plus one commit). While the engine is under pressure, sockets are not read.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from nissa.config.lines import Graphite
from nissa.config.listen import parse_listen
from nissa.model.frame import Codec
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.sources.inlet import Inlet
from nissa.sources.line_connections import LineConnections
from nissa.sources.line_frames import LineFrames
from nissa.sources.refused_lines import RefusedLines
from nissa.sources.source import Connected

LISTEN: Final = "sources.graphite.listen"


class GraphiteSource:
    """The listening socket of ``sources.graphite`` and its connections."""

    path: Final = "sources.graphite"

    def __init__(self, config: Graphite, inlet: Inlet) -> None:
        """Raises: ConfigInvalid for an address that cannot be read."""
        self._listen = parse_listen(config.listen, LISTEN)
        self._refused_log = RefusedLines(self.path)
        self._connections = LineConnections(
            self._take,
            connections_max=config.connections_max,
            line_bytes_max=config.line_bytes_max,
            idle_timeout_s=config.idle_timeout_ms / SECOND_MS,
        )
        self._frames = LineFrames(
            inlet,
            Codec.GRAPHITE,
            frame_bytes_max=config.frame_bytes_max,
            buffered_bytes_max=config.buffered_bytes_max,
            linger_ms=config.linger_ms,
            pause=self._connections.pause,
            settled=self._note,
        )

    async def run(self, connected: Connected) -> None:
        """Receive until cancelled. Raises: SourceFailed where the address cannot be had."""
        await self._connections.open(self._listen, LISTEN)
        connected()
        try:
            await self._frames.run()
        finally:
            self._connections.close()
            await self._frames.finish()

    def facts(self) -> Mapping[str, object]:
        """Counts of connections, bytes waiting, and frames refused."""
        return {
            **self._connections.facts(),
            "buffered_bytes": self._frames.buffered_bytes,
            "frames_refused": self._frames.refused,
        }

    def _take(self, lines: bytes) -> None:
        self._frames.add(lines)

    def _note(self, receipt: Receipt) -> None:
        """Log the refused lines of a frame."""
        if receipt.refused:
            lines = [(f"{line.reason}: {line.words}".removesuffix(": "), line.text) for line in receipt.lines]
            self._refused_log.note(lines, receipt.refused_count, asyncio.get_running_loop().time())
