"""Checks the streams of Oona at an interval: which exist, the lag of the group, and entries left unacknowledged."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from nissa.config.buses import STREAMS_OF_OONA, Oona
from nissa.sources.oona_entries import Entry, fields_of
from nissa.sources.oona_streams import BEGINNING, existing, facts_of
from nissa.sources.oona_tallies import OonaTallies
from nissa.sources.redis_client import RedisClient

CLAIM_ENTRIES: Final = 100


class Changes(msgspec.Struct, frozen=True):
    """come: streams of the settings that are there and are not read yet. gone: streams that are read and have gone."""

    come: list[str]
    gone: list[str]


class OonaKeeper:
    """Asks Redis about streams; writes what it hears into ``tallies``."""

    def __init__(self, client: RedisClient, settings: Oona, consumer: str, tallies: OonaTallies) -> None:
        """Checks streams, lag and unacknowledged entries of a consumer group.

        client: a connection to Redis. settings: of the source. consumer: name of this process. tallies: where results
        are written.
        """
        self._client = client
        self._settings = settings
        self._consumer = consumer
        self._tallies = tallies

    async def look(self, reading: list[str]) -> Changes:
        """Look at all streams of the settings. reading: those whose new entries are read."""
        settings, tallies = self._settings, self._tallies
        there, others = await existing(self._client, list(settings.streams))
        named = [stream for stream in settings.streams if stream not in STREAMS_OF_OONA]
        missing = [stream for stream in (named if there else settings.streams) if stream not in there]
        tallies.waiting_for = [f"stream {stream}, a key of another type" for stream in others]
        tallies.waiting_for += [f"stream {stream}, which does not exist" for stream in missing if stream not in others]
        for stream in reading:
            facts = await facts_of(self._client, stream, settings.group)
            if facts is not None:
                tallies.see(stream, facts)
        gone = [stream for stream in reading if stream not in there]
        return Changes([stream for stream in there if stream not in reading], gone)

    async def abandoned(self, stream: str) -> AsyncIterator[list[Entry]]:
        """Entries that another consumer has had for ``claim_idle`` without an end; they are this one's now.

        Entries that were deleted meanwhile come without fields.
        """
        settings, cursor = self._settings, BEGINNING
        while True:
            command = ["XAUTOCLAIM", stream, settings.group, self._consumer, settings.claim_idle_ms, cursor]
            reply = await self._client.call(*command, "COUNT", CLAIM_ENTRIES)
            entries = [(entry[0].decode(), fields_of(entry[1]) if entry[1] else {}) for entry in reply[1]]
            deleted = [entry_id.decode() for entry_id in reply[2]] if len(reply) > 2 else []
            self._tallies.lose_pending(stream, len(deleted))
            if entries:
                self._tallies.claimed += len(entries)
                yield entries
            cursor = reply[0].decode()
            if cursor == BEGINNING:
                return
