"""Oona, Esper's message bus on Redis Streams, read by a consumer group.

    stream ──XREADGROUP──► entries ──► messages ──► frame ──► journal ──► XACK
       ▲                      │                                  │
       │ XCLAIM               │ not readable                     │ refused as a whole
       └ abandoned            └─────────► dead letters ◄─────────┘

An entry is acknowledged only after its frame is durable. A start first reads the unacknowledged entries of this
consumer, then new ones, of all streams in one call in the order of the settings: emergencies before telemetry.
Several frames are in flight at once.

From the third delivery on an entry is sent in a frame of its own, so that other entries are acknowledged. One that was
delivered more than ``deliveries_max`` times may be what ends the process: it is on trial (``trials.py``). A dead letter
is added and its entry acknowledged in one transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from nissa.config.buses import Oona
from nissa.files.secret_file import SecretFile
from nissa.model.errors import Damaged, SourceFailed, Unavailable
from nissa.model.units import SECOND_MS
from nissa.sources.delivery import deliver, runs
from nissa.sources.ending import end_tasks
from nissa.sources.inlet import Inlet
from nissa.sources.oona_entries import Entry, Fields, fields_of, id_before, id_key, sort_entries
from nissa.sources.oona_keeper import OonaKeeper
from nissa.sources.oona_streams import make_group, restart_after
from nissa.sources.oona_tallies import OonaTallies
from nissa.sources.positions import Positions, StateStore, StreamProgress
from nissa.sources.redis_client import RedisClient, RedisError, ResponseError
from nissa.sources.source import Connected
from nissa.sources.trials import Trials

PATH: Final = "sources.oona"
ALONE_DELIVERIES: Final = 3  # from the third on an entry has a frame of its own
DRAIN_S: Final = 5.0
IDLE_S: Final = 0.2
OWED_MAX: Final = 100_000
MISMATCHED_MAX: Final = 1_000
CREDENTIALS: Final = "sources.oona.url and sources.oona.password_file"

log = structlog.get_logger()


class _Memory:
    """State of the source that lasts over its runs.

    owed: entries that are durable and not acknowledged, as the connection broke between. started: streams whose pending
    entries this process has read once. held: entries whose signature does not match, while none ever has, by stream and
    id. matched: whether one ever has.
    """

    def __init__(self, settings: Oona, store: StateStore) -> None:
        self.secret = SecretFile(settings.secret_file, f"{PATH}.secret_file")
        self.positions = Positions(store, "oona")
        self.trials = Trials(store, "oona")
        self.tallies = OonaTallies()
        self.progress: dict[str, StreamProgress] = {}
        self.owed: dict[str, set[str]] = {}
        self.started: set[str] = set()
        self.held: dict[tuple[str, str], Fields] = {}
        self.matched = False


class OonaSource:
    """One consumer of the group (``sources.source.RunningSource``)."""

    path = PATH

    def __init__(self, settings: Oona, inlet: Inlet, store: StateStore, consumer: str) -> None:
        """inlet: of ``Source.OONA``. store: of the data directory. consumer: its name in the group where none is set.

        Raises: ConfigInvalid for a URL that cannot be read, or a file with a secret.
        """
        self._settings = settings
        self._inlet = inlet
        self._consumer = settings.consumer or consumer
        self._password = SecretFile(settings.password_file, f"{PATH}.password_file")
        self._memory = _Memory(settings, store)
        self._make_client()  # a URL that cannot be read is found at the start

    def facts(self) -> Mapping[str, object]:
        """Streams, lag, depth, and outcomes of entries."""
        memory = self._memory
        waiting = list(memory.tallies.waiting_for)
        if memory.held:
            waiting.append(f"a signature that matches {PATH}.secret_file ({len(memory.held)} entries do not match)")
        return {**memory.tallies.facts(), "consumer": self._consumer, "waiting_for": waiting}

    async def run(self, connected: Connected) -> None:
        """Read the streams until cancelled. Raises: SourceFailed."""
        client, memory = self._make_client(), self._memory
        reader = _Reader(self._settings, memory, client, self._inlet, self._consumer)
        keeper = OonaKeeper(client, self._settings, self._consumer, memory.tallies)
        try:
            await client.call("PING")
            for stream, position in (await memory.positions.read()).items():
                memory.progress.setdefault(stream, StreamProgress(position.durable, id_key, id_before))
                memory.tallies.restore(stream, position.lost)
            connected()
            await reader.serve(keeper)
        except RedisError as error:
            raise SourceFailed(client.described(error, CREDENTIALS)) from error
        except (Damaged, Unavailable) as error:
            raise SourceFailed(f"positions of the streams: {error}") from error
        finally:
            await reader.drain()
            with suppress(RedisError, asyncio.TimeoutError, OSError):
                await asyncio.wait_for(client.close(), DRAIN_S)

    def _make_client(self) -> RedisClient:
        settings = self._settings
        timeout_s, block_s = settings.timeout_ms / SECOND_MS, settings.block_ms / SECOND_MS
        return RedisClient(settings.url, self._password.text, timeout_s, block_s, f"{PATH}.url")


class _Reader:
    """Reads and delivers over one connection's life; everything else stands in the source."""

    def __init__(self, settings: Oona, memory: _Memory, client: RedisClient, inlet: Inlet, consumer: str) -> None:
        self._settings = settings
        self._memory = memory
        self._tallies = memory.tallies
        self._client = client
        self._inlet = inlet
        self._consumer = consumer
        self._room = asyncio.Semaphore(self._settings.frames_in_flight_max)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._under_way: dict[str, set[str]] = {}
        self._streams: list[str] = []  # read for new entries
        self._opening = asyncio.Lock()
        self._count = self._settings.batch_entries_max
        self._fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # ---- life ----

    async def serve(self, keeper: OonaKeeper) -> None:
        """Read and look after the streams until one of these fails."""
        await self._look_after(keeper)
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep(keeper))]
        try:
            done, _ = await asyncio.wait([*tasks, self._fault], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(tasks)

    async def drain(self) -> None:
        """Wait for frames under way and acknowledge them, for a while; other entries are delivered again."""
        if self._deliveries:
            _, late = await asyncio.wait(self._deliveries, timeout=DRAIN_S)
            await end_tasks(late)
        if self._fault.done() and not self._fault.cancelled():
            self._fault.exception()  # looked at: it was raised, or came too late to matter
        try:
            await self._write_positions()
        except (Damaged, Unavailable) as error:
            log.warning("positions of the streams are not written", source=PATH, error=str(error))

    async def _keep(self, keeper: OonaKeeper) -> None:
        while True:
            await asyncio.sleep(self._settings.poll_interval_ms / SECOND_MS)
            await self._look_after(keeper)
            for stream in list(self._streams):
                await self._take_abandoned(keeper, stream)

    async def _take_abandoned(self, keeper: OonaKeeper, stream: str) -> None:
        try:
            async for entries in keeper.abandoned(stream):
                await self._take_over(stream, entries, count_deliveries=True)
        except ResponseError as error:
            if not _is_gone(error):  # else the reader makes the group again
                raise

    async def _look_after(self, keeper: OonaKeeper) -> None:
        """Streams that have come or gone, their lag, positions, and the secret."""
        found = await keeper.look(self._streams)
        for stream in found.gone:
            self._streams.remove(stream)
        for stream in found.come:
            await self._open(stream)
        await self._write_positions()
        await self._judge_held()

    async def _write_positions(self) -> None:
        durable = {stream: progress.durable for stream, progress in self._memory.progress.items()}
        await self._memory.positions.write(self._tallies.positions(durable))

    # ---- groups ----

    async def _open(self, stream: str) -> None:
        """Make the group where there is none, read what this consumer has pending, then read new entries."""
        async with self._opening:
            if stream in self._streams:
                return
            await self._make_group(stream)
            await self._read_pending(stream)
            self._streams.append(stream)
            self._streams.sort(key=self._settings.streams.index)

    async def _make_group(self, stream: str) -> None:
        progress = self._memory.progress.setdefault(stream, StreamProgress("", id_key, id_before))
        known = self._tallies.oldest_pending(stream)
        after = restart_after(progress.durable, known) if progress.durable or known else ""
        if await make_group(self._client, stream, self._settings.group, after):
            self._tallies.begin(stream)
            log.info("consumer group made", source=PATH, stream=stream, group=self._settings.group)

    # ---- reading ----

    async def _read(self) -> None:
        while True:
            async with self._room:
                pass  # wait for room before reading, so that entries wait in Redis
            if self._inlet.pace.delay_s:
                await asyncio.sleep(self._inlet.pace.delay_s)
            if not self._streams or len(self._memory.held) >= MISMATCHED_MAX:
                await asyncio.sleep(IDLE_S)
                continue
            try:
                reply = await self._read_group(self._streams, ">", block=True)
            except ResponseError as error:
                if not _is_gone(error):
                    raise
                self._streams.clear()  # looked for again: made anew where they are there
                await self._reopen()
                continue
            for stream, entries in reply:  # of all streams before the first waits for room
                self._mark(stream, entries)
            for stream, entries in reply:
                await self._start(stream, entries)

    async def _reopen(self) -> None:
        """A stream or group has gone: open those that are there again."""
        for stream in self._settings.streams:
            if await self._client.call("TYPE", stream) == b"stream":
                await self._open(stream)
        if not self._streams:
            await asyncio.sleep(IDLE_S)

    async def _read_group(self, streams: Sequence[str], after: str, *, block: bool) -> list[tuple[str, list[Entry]]]:
        command: list[Any] = ["XREADGROUP", "GROUP", self._settings.group, self._consumer]
        count = self._inlet.pace.batch(self._count)
        command += ["COUNT", count, *(["BLOCK", self._settings.block_ms] if block else [])]
        reply = await self._client.call(*command, "STREAMS", *streams, *([after] * len(streams)))
        return [(stream.decode(), entries_of(entries)) for stream, entries in reply or ()]

    async def _read_pending(self, stream: str) -> None:
        """Entries delivered to this consumer and not acknowledged.

        The first time in a process this is one delivery more; later, after a connection has broken, it is not.
        """
        first = stream not in self._memory.started
        after = "0-0"
        while True:
            if first:
                found = await self._read_group([stream], after, block=False)
                entries = found[0][1] if found else []
            else:
                entries = await self._pending_unread(stream, after)
            if not entries:
                break
            after = entries[-1][0]
            await self._take_over(stream, entries, count_deliveries=first)
        self._memory.started.add(stream)

    async def _pending_unread(self, stream: str, after: str) -> list[Entry]:
        pending = await self._pending(stream, f"({after}", "+", self._count)
        found = await self._client.call_all([("XRANGE", stream, entry_id, entry_id) for entry_id in pending])
        return [(entry_id, _fields(each)) for entry_id, each in zip(pending, found, strict=True)]

    async def _pending(self, stream: str, first: str, last: str, count: int) -> dict[str, int]:
        """Id -> deliveries of entries pending for this consumer."""
        command = ["XPENDING", stream, self._settings.group, first, last, count, self._consumer]
        return {entry[0].decode(): int(entry[3]) for entry in await self._client.call(*command)}

    async def _take_over(self, stream: str, entries: list[Entry], *, count_deliveries: bool) -> None:
        """Pending entries, own or abandoned: those trimmed meanwhile are gone, the rest is delivered."""
        under_way = self._under_way.get(stream, set())
        held = self._memory.held
        owed = self._memory.owed.get(stream, set())
        entries = [entry for entry in entries if entry[0] not in under_way and (stream, entry[0]) not in held]
        gone = [entry_id for entry_id, fields in entries if not fields and entry_id not in owed]
        done = [entry_id for entry_id, _ in entries if entry_id in owed]
        left = [entry for entry in entries if entry[1] and entry[0] not in owed]
        self._mark(stream, left)
        if gone or done:
            await self._acknowledge(stream, gone + done)
            self._tallies.lose_pending(stream, len(gone))
        if not left:
            return
        deliveries = await self._pending(stream, left[0][0], left[-1][0], len(left)) if count_deliveries else {}
        limit = self._settings.deliveries_max
        most = min(ALONE_DELIVERIES - 1, limit)
        for entry in left:
            if deliveries.get(entry[0], 1) > most:
                await self._start(stream, [entry], trial=deliveries[entry[0]] > limit)
        await self._start(stream, [entry for entry in left if deliveries.get(entry[0], 1) <= most])

    # ---- delivering ----

    def _mark(self, stream: str, entries: list[Entry]) -> None:
        """Note that entries are under way, those that wait for room too: they are not claimed as abandoned."""
        self._under_way.setdefault(stream, set()).update(entry[0] for entry in entries)

    async def _start(self, stream: str, entries: list[Entry], *, trial: bool = False) -> None:
        """Begin to deliver entries, in frames of at most ``frame_size_max``, as there is room for them.

        trial: the one entry may be what ends the process.
        """
        deliver_some = self._try if trial else self._deliver
        for some in self._frames(entries):
            await self._room.acquire()
            number = self._memory.progress[stream].begin(some[0][0], some[-1][0])
            task = asyncio.create_task(deliver_some(stream, some, number))
            self._deliveries.add(task)
            task.add_done_callback(self._delivered)

    def _frames(self, entries: list[Entry]) -> list[list[Entry]]:
        """Entries in runs that fit a frame; how many are read at a time follows from their size."""
        limit = self._settings.frame_bytes_max
        total = sum(map(_size, entries))
        if entries:
            fitting = limit * len(entries) // max(total, 1)
            self._count = min(max(fitting, 1), 2 * self._count, self._settings.batch_entries_max)
        return [entries] if 0 < total <= limit else runs(entries, _size, limit)

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._room.release()
        self._deliveries.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._fault.done():
            self._fault.set_exception(error)

    async def _try(self, stream: str, entries: list[Entry], number: int) -> None:
        """One entry on trial: delivered, or a dead letter after all of its trials."""
        async with self._memory.trials.trial(stream, entries[0][0]) as may_be_stored:
            if may_be_stored:
                await self._deliver(stream, entries, number)
                return
            try:
                await self._bury(stream, [(entries[0], "deliveries")])
                self._memory.progress[stream].end(number)
            finally:
                self._end(stream, entries, number)

    async def _deliver(self, stream: str, entries: list[Entry], number: int) -> None:
        """One run of entries: into frames, durable, acknowledged."""
        progress = self._memory.progress[stream]
        try:
            sorted_entries = sort_entries(entries, self._memory.secret.value)
            self._tallies.received(stream, entries)
            refused = list(sorted_entries.refused)
            by_id = dict(entries)
            taken = list(sorted_entries.passed)
            for codec, (ids, messages) in sorted_entries.messages.items():
                reasons = await deliver(self._inlet, codec, messages, ids, stream)
                refused += [((ids[i], by_id[ids[i]]), why) for i, why in enumerate(reasons) if why]
                taken += [ids[i] for i, why in enumerate(reasons) if not why]
            self._memory.matched |= bool(self._memory.secret.value and sorted_entries.verified)
            if sorted_entries.mismatched and self._memory.matched:
                refused += [(entry, "signature") for entry in sorted_entries.mismatched]
            else:
                self._memory.held.update({(stream, entry[0]): entry[1] for entry in sorted_entries.mismatched})
            self._tallies.bootstrap += len(sorted_entries.passed)
            await self._acknowledge(stream, taken)
            await self._bury(stream, refused)
            progress.end(number)
        finally:
            self._end(stream, entries, number)

    def _end(self, stream: str, entries: list[Entry], number: int) -> None:
        self._memory.progress[stream].forget(number)
        self._under_way[stream].difference_update(entry[0] for entry in entries)

    async def _acknowledge(self, stream: str, ids: list[str]) -> None:
        """Acknowledge what is durable. What the connection does not carry is owed: it is not delivered again."""
        if not ids:
            return
        owed = self._memory.owed.setdefault(stream, set())
        if len(owed) < OWED_MAX:
            owed.update(ids)
        await self._client.call("XACK", stream, self._settings.group, *ids)
        owed.difference_update(ids)
        self._tallies.acknowledged += len(ids)

    async def _bury(self, stream: str, refused: list[tuple[Entry, str]]) -> None:
        """Move entries to the dead letters, with the place they came from and the reason."""
        if not refused:
            return
        settings = self._settings
        commands: list[list[Any]] = []
        for (entry_id, fields), reason in refused if settings.dead_letter_stream else ():
            flat = [part for pair in fields.items() for part in pair]
            about = ["nissa_stream", stream, "nissa_id", entry_id, "nissa_reason", reason]
            limit = ["MAXLEN", "~", settings.dead_letter_entries_max]
            commands.append(["XADD", settings.dead_letter_stream, *limit, "*", *flat, *about])
        commands.append(["XACK", stream, settings.group, *(entry[0] for entry, _ in refused)])
        await self._client.call_all(commands, transaction=True)
        self._tallies.bury([reason for _, reason in refused])

    async def _judge_held(self) -> None:
        """Entries whose signature did not match, once the secret has changed, or has matched others."""
        memory = self._memory
        changed = memory.secret.read_again()
        if not memory.held or not (changed or memory.matched):
            return
        held, memory.held = memory.held, {}
        by_stream: dict[str, list[Entry]] = {}
        for (stream, entry_id), fields in held.items():
            by_stream.setdefault(stream, []).append((entry_id, fields))
        for stream, entries in by_stream.items():
            self._mark(stream, entries)
        for stream, entries in by_stream.items():
            await self._start(stream, entries)


def entries_of(reply: Sequence[Sequence[Any]]) -> list[Entry]:
    """Entries as Redis answers them; those that were trimmed have no fields."""
    return [(entry[0].decode(), fields_of(entry[1]) if entry[1] else {}) for entry in reply]


def _size(entry: Entry) -> int:
    return sum(map(len, entry[1].values()))


def _fields(found: Sequence[Sequence[Any]]) -> Fields:
    return fields_of(found[0][1]) if found else {}


def _is_gone(error: ResponseError) -> bool:
    """True where a stream or its group is not there any more."""
    text = str(error).rpartition("caused error: ")[2]  # of a transaction the library names the command first
    return text.startswith(("NOGROUP", "UNBLOCKED", "-UNBLOCKED", "WRONGTYPE"))
