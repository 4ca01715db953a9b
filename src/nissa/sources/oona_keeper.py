"""Checks the streams of Oona at an interval: which exist, the lag of the group, and entries left unacknowledged."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from nissa.config.buses import STREAMS_OF_OONA, Oona
from nissa.sources.oona_entries import Entry, Fields, fields_of
from nissa.sources.oona_streams import existing, facts_of
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
        """Entries that have been unacknowledged for ``claim_idle``; they are this consumer's now.

        Entries that were trimmed or deleted meanwhile come without fields. Younger ones are left alone, trimmed or not:
        their consumer has them in hand. XAUTOCLAIM would take trimmed ones away whatever their age.
        """
        group, idle_ms = self._settings.group, self._settings.claim_idle_ms
        first = "-"
        while True:
            listed = ["XPENDING", stream, group, "IDLE", idle_ms]
            ids = _ids(await self._client.call(*listed, first, "+", CLAIM_ENTRIES))
            if not ids:
                return
            # The list again, in one transaction with the claim: others acknowledge and claim at the same time.
            still = [*listed, ids[0], ids[-1], CLAIM_ENTRIES]
            claim = ["XCLAIM", stream, group, self._consumer, idle_ms, *ids]
            pending, reply = await self._client.call_all([still, claim], transaction=True)
            claimed = {entry[0].decode(): fields_of(entry[1]) for entry in reply}
            trimmed: dict[str, Fields] = {entry_id: {} for entry_id in _ids(pending)}
            self._tallies.claimed += len(claimed)
            found = {**trimmed, **claimed}
            yield [(entry_id, found[entry_id]) for entry_id in ids if entry_id in found]
            first = f"({ids[-1]}"


def _ids(pending: Sequence[Sequence[Any]]) -> list[str]:
    """Ids of entries as XPENDING lists them."""
    return [entry[0].decode() for entry in pending]
