"""Groups of the Pushgateway API: pushed once, durable, and sent on every interval until they are deleted.

    PUT, POST, DELETE ──► PushGroups.apply ──► frame ──► Inlet ──► state.sqlite, room "push" ──► answer
    every interval    ──► one frame of each group ──► Inlet

The frame goes first. Where the process ends between the two, the push was not acknowledged, and the next interval sends
the group as it was. Series that a push or a deletion takes away end with a staleness marker in the same step.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from nissa.config.sources import Push
from nissa.model.context import Context
from nissa.model.errors import Damaged, Malformed, NissaError, SourceFailed, TooLarge, Unavailable
from nissa.model.frame import Codec
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.sources.inlet import Inlet
from nissa.sources.positions import StateStore
from nissa.sources.push_families import FAILED, PUSHED, Family, SeriesReader, exposition_of, gone_lines, read_families
from nissa.sources.push_target import key_text
from nissa.sources.source import Connected

ROOM: Final = "push"
WAITING_MAX: Final = 256  # pushes that wait for the one being applied
SENT_AT_ONCE: Final = 32  # frames of groups under way in an interval

log = structlog.get_logger()


class PushRequest(msgspec.Struct, frozen=True):
    """One request. labels: the grouping key. body: text 0.0.4, decompressed; None deletes the group.

    replaces: the body is the whole group (PUT), else it replaces metric families of the same name (POST).
    """

    labels: dict[str, str]
    body: bytes | None
    replaces: bool = True


class PushGroup(msgspec.Struct, omit_defaults=True):
    """One group. pushed_ms, failed_ms: when a push was last taken and refused, Unix milliseconds; 0 for never."""

    labels: dict[str, str]
    families: dict[str, Family] = {}
    pushed_ms: int = 0
    failed_ms: int = 0

    def body(self) -> bytes:
        """Everything of the group as text 0.0.4, with the metrics that Nissa adds."""
        return exposition_of(self.families) + b"".join(
            b"# HELP %b %b\n# TYPE %b gauge\n%b %.3f\n" % (name, words, name, name, at_ms / SECOND_MS)
            for name, words, at_ms in (
                (PUSHED.encode(), b"Last Unix time when changing this group succeeded.", self.pushed_ms),
                (FAILED.encode(), b"Last Unix time when changing this group failed.", self.failed_ms),
            )
        )


class PushGroups:
    """All groups. Lives on the loop; texts are read in a thread, one push at a time."""

    path: Final = "sources.push"

    def __init__(self, config: Push, inlet: Inlet, store: StateStore) -> None:
        """inlet: of ``Source.PUSH``. store: of the data directory."""
        self._config = config
        self._inlet = inlet
        self._store = store
        self._groups: dict[str, PushGroup] | None = None
        self._sizes: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._latest_ms = 0
        self._pushes = 0
        self._refused = 0
        self._frames_refused = 0
        self.body_bytes_max: Final = config.group_bytes_max

    async def run(self, connected: Connected) -> None:
        """Send the groups every interval until cancelled. Raises: SourceFailed where they cannot be read."""
        async with self._lock:
            try:
                await self._loaded()
            except (Damaged, Unavailable) as error:
                raise SourceFailed(f"the groups cannot be read: {error}") from error
        connected()
        while True:
            await self._send_all()
            await asyncio.sleep(self._config.interval_ms / SECOND_MS)

    def facts(self) -> Mapping[str, object]:
        """Counts of groups and pushes."""
        return {
            "groups": len(self._sizes),
            "groups_bytes": sum(self._sizes.values()),
            "pushes": self._pushes,
            "pushes_refused": self._refused,
            "frames_refused": self._frames_refused,
        }

    async def apply(self, request: PushRequest) -> Receipt:
        """Apply one push or deletion; what it changed is durable, and to be asked for, when this returns.

        Raises: Malformed, TooLarge for a push that is refused; Unavailable, Damaged. The group is as it was then, but
        for the time of the failure. A receipt with refusals changes nothing of the group either.
        """
        self._pushes += 1
        if self._waiting >= WAITING_MAX:
            raise Unavailable(f"{WAITING_MAX} pushes are waiting")
        self._waiting += 1
        try:
            async with self._lock:
                return await self._apply(request)
        except (Malformed, TooLarge):
            self._refused += 1
            raise
        finally:
            self._waiting -= 1

    async def _apply(self, request: PushRequest) -> Receipt:
        key = key_text(request.labels)
        group = (await self._loaded()).get(key)
        if request.body is None:
            return Receipt() if group is None else await self._delete(key, group)
        group = PushGroup(request.labels) if group is None else group
        now_ms = self._inlet.now_ms()
        try:
            families, gone = await asyncio.to_thread(_changed, group, request.body, replaces=request.replaces)
            changed = PushGroup(request.labels, families, now_ms, group.failed_ms)
            size = self._check_room(key, changed)
        except (Malformed, TooLarge):
            with suppress(TooLarge):  # no room for a new group
                failed = PushGroup(request.labels, group.families, group.pushed_ms, now_ms)
                await self._replace(key, failed, self._check_room(key, failed))
            raise
        return await self._replace(key, changed, size, gone)

    async def _delete(self, key: str, group: PushGroup) -> Receipt:
        receipt = await self._send(group.labels, group.body(), self._moment_ms(), stale=True)
        if not receipt.refused:
            await self._commit(key, None, 0)
        return receipt

    async def _replace(self, key: str, group: PushGroup, size: int, gone: list[bytes] | None = None) -> Receipt:
        """Send the group as it is now, and markers for the lines that are ``gone``; then keep it."""
        at_ms = self._moment_ms()
        receipt = await self._send(group.labels, group.body(), at_ms)
        if gone and not receipt.refused:
            receipt = await self._send(group.labels, b"".join(line + b"\n" for line in gone), at_ms, stale=True)
        if not receipt.refused:
            await self._commit(key, group, size)
        return receipt

    async def _send(self, labels: Mapping[str, str], body: bytes, at_ms: int, *, stale: bool = False) -> Receipt:
        parameters = {"stale": "true"} if stale else {}
        context = Context(labels=dict(labels), conflict="replace", parameters=parameters).encode()
        return await self._inlet.send(Codec.EXPOSITION, body, context=context, received_ms=at_ms)

    async def _commit(self, key: str, group: PushGroup | None, size: int) -> None:
        value = None if group is None else msgspec.msgpack.encode(group)
        await asyncio.to_thread(self._store.commit, ROOM, {key: value})
        groups = await self._loaded()
        if group is None:
            groups.pop(key, None)
            self._sizes.pop(key, None)
        else:
            groups[key], self._sizes[key] = group, size

    def _check_room(self, key: str, group: PushGroup) -> int:
        """Bytes of the group. Raises: TooLarge for a group, or all of them, over a limit."""
        config, size = self._config, len(msgspec.msgpack.encode(group))
        if size > config.group_bytes_max:
            raise TooLarge("the group", got=size, limit=config.group_bytes_max, setting="sources.push.group_size_max")
        count = len(self._sizes) + (key not in self._sizes)
        if count > config.groups_max:
            raise TooLarge("groups", got=count, limit=config.groups_max, setting="sources.push.groups_max")
        total = sum(self._sizes.values()) - self._sizes.get(key, 0) + size
        if total > config.total_bytes_max:
            raise TooLarge(
                "all groups together", got=total, limit=config.total_bytes_max, setting="sources.push.total_size_max"
            )
        return size

    def _moment_ms(self) -> int:
        """Now, and later than the moment before: two values of a series never share a time."""
        self._latest_ms = max(self._inlet.now_ms(), self._latest_ms + 1)
        return self._latest_ms

    async def _loaded(self) -> dict[str, PushGroup]:
        """The groups, read where they have not been. The lock is held. Raises: Damaged, Unavailable."""
        if self._groups is None:
            stored = await asyncio.to_thread(self._store.read, ROOM)
            try:
                self._groups = {key: msgspec.msgpack.decode(value, type=PushGroup) for key, value in stored.items()}
            except msgspec.MsgspecError as error:
                raise Damaged("state.sqlite", f"a group of pushes in it cannot be read: {error}") from error
            self._sizes = {key: len(value) for key, value in stored.items()}
        return self._groups

    async def _send_all(self) -> None:
        """One frame of each group. One that is refused is counted, and sent again in the next interval."""
        keys = list(self._groups or ())
        for first in range(0, len(keys), SENT_AT_ONCE):
            async with self._lock:
                groups = self._groups or {}
                chunk = [groups[key] for key in keys[first : first + SENT_AT_ONCE] if key in groups]
                at_ms = self._moment_ms()
                outcomes = await asyncio.gather(
                    *(self._send(group.labels, group.body(), at_ms) for group in chunk), return_exceptions=True
                )
            refused = [str(each) for each in outcomes if isinstance(each, NissaError)]
            if refused:
                self._frames_refused += len(refused)
                log.warning("groups were not sent on", groups=len(refused), reason=refused[0])
            broken = next((each for each in outcomes if isinstance(each, BaseException)), None)
            if broken is not None and not isinstance(broken, NissaError):
                raise broken


def _changed(group: PushGroup, body: bytes, *, replaces: bool) -> tuple[dict[str, Family], list[bytes]]:
    """Families of the group after a push, and the sample lines whose series are not among them."""
    reader = SeriesReader(group.labels)
    pushed = read_families(body, reader)
    families = pushed if replaces else {**group.families, **pushed}
    return families, gone_lines(reader, group.families, families)
