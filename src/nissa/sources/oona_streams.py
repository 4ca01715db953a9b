"""Streams of Oona in Redis: their consumer group, and the entries that were trimmed before anybody read them.

                   first-entry      last-delivered     last-generated
    ── trimmed ──┤ ═══════ read ══════════│═══ unread ════════│
                                          └─ lag ─────────────┘

A group begins at 0, so that entries from before it are read too. One that has vanished is made again at the last
durable entry, or before the oldest one that anybody had pending; where the stream itself began anew, at 0. Redis counts
what was ever added (entries-added) and what the group has read (entries-read): their difference beyond what is there to
read was trimmed unread.
"""

from typing import Any, Final

import msgspec

from nissa.sources.oona_entries import id_before, id_key
from nissa.sources.redis_client import RedisClient, ResponseError

BEGINNING: Final = "0-0"


class StreamFacts(msgspec.Struct):
    """Facts of one stream and the group.

    depth: entries there. lag: not delivered yet. pending: delivered to a consumer and not acknowledged. oldest_pending:
    the first of these, or the last delivered. lost: trimmed unread since the group was made; None where Redis cannot
    tell now.
    """

    depth: int = 0
    lag: int = 0
    pending: int = 0
    oldest_pending: str = ""
    last_generated: str = BEGINNING
    lost: int | None = None


async def existing(client: RedisClient, streams: list[str]) -> tuple[list[str], list[str]]:
    """(streams that are there, names that are there as something else), in the order given."""
    kinds = [_text(kind) for kind in await client.call_all([("TYPE", stream) for stream in streams])]
    found = [stream for stream, kind in zip(streams, kinds, strict=True) if kind == "stream"]
    others = [stream for stream, kind in zip(streams, kinds, strict=True) if kind not in ("stream", "none")]
    return found, others


async def make_group(client: RedisClient, stream: str, group: str, after: str) -> bool:
    """Create the group on an existing stream, to read entries after ``after``; False if it exists already.

    Where the stream holds nothing that new, it has begun anew, and the group begins with it. Entries trimmed before
    the group exists count as read by it, so that only later ones are lost.
    """
    facts = _pairs(await client.call("XINFO", "STREAM", stream))
    last = _text(facts["last-generated-id"])
    start = after if after and id_key(after) <= id_key(last) else BEGINNING
    command: list[str | int] = ["XGROUP", "CREATE", stream, group, start]
    added = facts.get("entries-added")
    if start == BEGINNING and added is not None:
        command += ["ENTRIESREAD", int(added) - int(facts["length"])]
    try:
        await client.call(*command)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


async def facts_of(client: RedisClient, stream: str, group: str) -> StreamFacts | None:
    """Facts at one moment; None where the stream or its group is not there."""
    commands = [("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream), ("XPENDING", stream, group)]
    try:
        about, groups, pending = await client.call_all(commands, transaction=True)
    except ResponseError:
        return None
    stream_facts = _pairs(about)
    own = next((each for each in map(_pairs, groups) if _text(each["name"]) == group), None)
    if own is None:
        return None
    last, delivered = _text(stream_facts["last-generated-id"]), _text(own["last-delivered-id"])
    depth = int(stream_facts["length"])
    unread = _unread(stream_facts, delivered, last, depth)
    added, read = stream_facts.get("entries-added"), own.get("entries-read")
    lag = own.get("lag")
    lost = None if unread is None or added is None or read is None else max(int(added) - int(read) - unread, 0)
    return StreamFacts(
        depth=depth,
        lag=unread if unread is not None else int(lag or 0),
        pending=int(pending[0]),
        oldest_pending=_text(pending[1]) if pending[1] is not None else delivered,
        last_generated=last,
        lost=lost,
    )


def restart_after(durable: str, oldest_pending: str) -> str:
    """The id after which a lost group is created again: all entries up to it are durable."""
    before = id_before(oldest_pending) if oldest_pending else ""
    known = [each for each in (durable, before) if each]
    return min(known, key=id_key) if known else BEGINNING


def _unread(stream_facts: dict[str, Any], delivered: str, last: str, depth: int) -> int | None:
    """Entries there that were not delivered yet, where that follows from the ends of the stream."""
    if depth == 0 or id_key(delivered) >= id_key(last):
        return 0
    first = stream_facts.get("first-entry")
    if first and id_key(delivered) < id_key(_text(first[0])):
        return depth
    return None


def _pairs(flat: Any) -> dict[str, Any]:
    """Names and values that stand behind one another, as Redis answers them, as a dictionary."""
    if isinstance(flat, dict):
        return {_text(name): value for name, value in flat.items()}
    return {_text(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
