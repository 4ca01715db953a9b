"""NATS: a stream of JetStream read by a durable pull consumer, and subjects that carry alert events.

    stream ──fetch──► messages ──► frame ──► journal ──► ack        several frames under way
    subjects ──► queue group ──► critical events                    at most once, as NATS carries them

A message with a subject of alert events is an alert event, from the stream or by subscription; every other message is
Leyline, as on Oona. Subjects of the stream are not subscribed to separately. Several processes may share the durable
consumer, so each message is acknowledged alone: a cumulative acknowledgement could lose messages in flight in another
process.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NoStreamResponseError, NotFoundError

from nissa.codec.alert_events import alert_codec
from nissa.config.buses import Nats
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid, Damaged, SourceFailed, Unavailable
from nissa.model.frame import Codec
from nissa.model.units import SECOND_MS
from nissa.sources.delivery import deliver, runs
from nissa.sources.ending import end_tasks
from nissa.sources.inlet import Inlet
from nissa.sources.jetstream_pull import Delivered, Pull
from nissa.sources.nats_tallies import NatsTallies
from nissa.sources.oona_entries import payload_codec
from nissa.sources.positions import Positions, StateStore, StreamPosition, StreamProgress
from nissa.sources.redis_client import without_userinfo
from nissa.sources.source import Connected
from nissa.sources.subjects import is_pattern, takes_all
from nissa.sources.trials import Trials

T = TypeVar("T")

PATH: Final = "sources.nats"
ALONE_DELIVERIES: Final = 3  # from the third on a message has a frame of its own
DRAIN_S: Final = 5.0
FETCH_S: Final = 1.0
IDLE_S: Final = 0.2
NAME: Final = re.compile(r"[A-Za-z0-9_-]{0,255}")
SUBJECT_MESSAGES_MAX: Final = 1_000  # of alert events in one frame
PINGS_MAX: Final = 2

log = structlog.get_logger()


class NatsSource:
    """One process of the durable consumer (``sources.source.RunningSource``)."""

    path = PATH

    def __init__(self, settings: Nats, inlet: Inlet, store: StateStore) -> None:
        """inlet: of ``Source.NATS``. store: of the data directory. Raises: ConfigInvalid."""
        others = [each for each in (settings.filter_subject, settings.dead_letter_subject) if each]
        for subject in [*settings.subjects, *others]:
            if not is_pattern(subject):
                raise ConfigInvalid(f"{PATH}.subjects", f"{subject!r} is no subject")
        for name in ("stream", "durable"):
            if not NAME.fullmatch(getattr(settings, name)):
                what = f"{getattr(settings, name)!r} is no name of letters, digits, - and _"
                raise ConfigInvalid(f"{PATH}.{name}", what)
        self._settings = settings
        self._inlet = inlet
        self._token = SecretFile(settings.token_file, f"{PATH}.token_file")
        self._positions = Positions(store, "nats")
        self._trials = Trials(store, "nats")
        self._tallies = NatsTallies()
        self._progress: StreamProgress | None = None

    def facts(self) -> Mapping[str, object]:
        """The stream, lag, depth, and outcomes of messages."""
        return self._tallies.facts()

    async def run(self, connected: Connected) -> None:
        """Read until cancelled. Raises: SourceFailed."""
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client = await self._connect(closed)
        if self._progress is None:
            at = (await self._positions.read()).get(self._settings.stream, StreamPosition())
            self._progress = StreamProgress(at.durable, int, lambda number: str(int(number) - 1))
        reader = _Reader(self._settings, self._tallies, self._progress, client, self._inlet, self._trials, closed)
        connected()
        try:
            await reader.serve(self._positions)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise SourceFailed(f"{self._place}: {_words(error)}") from error
        except (Damaged, Unavailable) as error:
            raise SourceFailed(f"positions of the stream: {error}") from error
        finally:
            await reader.drain()
            with suppress(nats.errors.Error, asyncio.TimeoutError, OSError):
                await asyncio.wait_for(client.close(), DRAIN_S)
            if closed.done() and not closed.cancelled():
                closed.exception()  # looked at: this end of the connection was ours

    @property
    def _place(self) -> str:
        return f"NATS at {', '.join(without_userinfo(server) for server in self._settings.servers)}"

    async def _connect(self, closed: "asyncio.Future[None]") -> Client:
        """A client without reconnection: the supervisor has it. closed: gets the fault where the connection ends."""
        settings, client = self._settings, Client()
        timeout_s = max(settings.timeout_ms / SECOND_MS, 1.0)
        faults: list[Exception] = []

        async def heard(error: Exception) -> None:
            faults.append(error)

        async def ended() -> None:
            if not closed.done():
                closed.set_exception(faults[-1] if faults else nats.errors.ConnectionClosedError())

        options: dict[str, Any] = {"token": self._token.text} if settings.token_file else {}
        if settings.credentials_file:
            options["user_credentials"] = settings.credentials_file
        try:
            await client.connect(
                servers=list(settings.servers),
                name="nissa",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=int(timeout_s),
                ping_interval=max(int(timeout_s) // (PINGS_MAX + 1), 1),
                max_outstanding_pings=PINGS_MAX,
                skip_subject_validation=True,  # subjects are the server's own, or were checked with the settings
                error_cb=heard,
                closed_cb=ended,
                disconnected_cb=ended,
                **options,
            )
        except (TimeoutError, nats.errors.Error, OSError, ValueError) as error:
            text = _words(faults[-1] if faults else error)
            if "uthoriz" in text or "uthentication" in text:
                where = f"{PATH}.servers, {PATH}.token_file and {PATH}.credentials_file"
                raise SourceFailed(f"{self._place} refuses the credentials ({text}): check {where}") from error
            raise SourceFailed(f"{self._place}: {text}") from error
        return client


class _Reader:
    """Reads and delivers over one connection's life."""

    def __init__(
        self,
        settings: Nats,
        tallies: NatsTallies,
        progress: StreamProgress,
        client: Client,
        inlet: Inlet,
        trials: Trials,
        fault: "asyncio.Future[None]",
    ) -> None:
        self._settings = settings
        self._tallies = tallies
        self._progress = progress
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=settings.timeout_ms / SECOND_MS)
        self._inlet = inlet
        self._trials = trials
        self._fault = fault
        self._room = asyncio.Semaphore(settings.frames_in_flight_max)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._alerts: asyncio.Queue[Msg] = asyncio.Queue(settings.pending_messages_max)
        self._pull: Pull | None = None
        self._stream_subjects: Sequence[str] = ()
        self._subscribed: set[str] = set()

    # ---- life ----

    async def serve(self, positions: Positions) -> None:
        """Read and look after the stream until one of these fails."""
        self._positions = positions
        await self._look()
        await self._subscribe()
        works = (self._read(), self._keep(), self._read_alerts())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait([*tasks, self._fault], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(tasks)

    async def drain(self) -> None:
        """Wait for frames under way and acknowledge them, for a while; other messages are delivered again."""
        if self._deliveries:
            _, late = await asyncio.wait(self._deliveries, timeout=DRAIN_S)
            await end_tasks(late)
        if self._fault.done() and not self._fault.cancelled():
            self._fault.exception()  # looked at: it was raised, or came too late to matter
        with suppress(nats.errors.Error, asyncio.TimeoutError, OSError):
            await asyncio.wait_for(self._client.flush(), DRAIN_S)
        try:
            await self._write_position()
        except (Damaged, Unavailable) as error:
            log.warning("position of the stream is not written", source=PATH, error=str(error))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._settings.poll_interval_ms / SECOND_MS)
            await self._look()
            await self._write_position()

    async def _write_position(self) -> None:
        if self._settings.stream and self._progress.durable:
            position = StreamPosition(self._progress.durable, self._tallies.lost_before)
            await self._positions.write({self._settings.stream: position})

    # ---- the stream ----

    async def _look(self) -> None:
        """The stream and the consumer: made where it has gone, behind the last durable message."""
        settings = self._settings
        if not settings.stream:
            return
        try:
            stream = await self._jetstream.stream_info(settings.stream)
        except NotFoundError:
            self._tallies.waiting_for = [f"stream {settings.stream}, which does not exist"]
            await self._end_pull()
            return
        self._tallies.waiting_for = []
        self._stream_subjects = stream.config.subjects or ()
        try:
            consumer = await self._jetstream.consumer_info(settings.stream, settings.durable)
        except NotFoundError:
            await self._end_pull()
            await self._make_consumer(stream.state.last_seq)
            consumer = await self._jetstream.consumer_info(settings.stream, settings.durable)
        if consumer.config.ack_policy != AckPolicy.EXPLICIT:
            where = f"consumer {settings.durable} of stream {settings.stream}"
            raise SourceFailed(f"{where} does not acknowledge explicitly: name another one in {PATH}.durable")
        self._tallies.see(settings.stream, stream, consumer, filtered=bool(settings.filter_subject))
        if self._pull is None:
            batch, bytes_max = settings.batch_messages_max, settings.frame_bytes_max
            pull = Pull(self._client, settings.stream, settings.durable, batch, FETCH_S, bytes_max, self._inlet.pace)
            await pull.start()
            self._pull = pull

    async def _end_pull(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.stop()

    async def _make_consumer(self, last: int) -> None:
        settings, durable = self._settings, int(self._progress.durable or 0)
        start: dict[str, Any] = {"deliver_policy": DeliverPolicy.ALL}
        if 0 < durable <= last:  # else the stream began anew
            start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": durable + 1}
        config = ConsumerConfig(
            durable_name=settings.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=settings.ack_wait_ms / SECOND_MS,
            max_ack_pending=settings.ack_pending_max,
            max_deliver=-1,
            filter_subject=settings.filter_subject or None,
            **start,
        )
        await self._jetstream.add_consumer(settings.stream, config)
        self._tallies.consumers_made += 1
        log.info("consumer made", source=PATH, stream=settings.stream, consumer=settings.durable)

    async def _read(self) -> None:
        while True:
            async with self._room:
                pass  # wait for room before reading, so that messages wait in the stream
            if self._inlet.pace.delay_s:
                await asyncio.sleep(self._inlet.pace.delay_s)
            pull = self._pull
            if pull is None:
                await asyncio.sleep(IDLE_S)
                continue
            await self._start(await pull.take())
            if pull.gone and pull is self._pull:  # made again by the next look
                await self._end_pull()

    async def _start(self, messages: list[Delivered]) -> None:
        """Begin to deliver messages, in frames as there is room for them."""
        most = min(ALONE_DELIVERIES - 1, self._settings.deliveries_max)
        alone = [each for each in messages if each.deliveries > most]
        rest = [each for each in messages if each.deliveries <= most] if alone else messages
        frames = runs(rest, lambda each: len(each.message.data), self._settings.frame_bytes_max)
        for some in [*([each] for each in alone), *frames]:
            await self._room.acquire()
            numbers = [each.sequence for each in some]
            number = self._progress.begin(str(min(numbers)), str(max(numbers)))
            task = asyncio.create_task(self._deliver(some, number))
            self._deliveries.add(task)
            task.add_done_callback(self._delivered)

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._room.release()
        self._deliveries.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._fault.done():
            self._fault.set_exception(error)

    async def _deliver(self, messages: list[Delivered], number: int) -> None:
        """One run of messages: into frames, durable, acknowledged."""
        stream, first = self._settings.stream, messages[0]
        self._tallies.received(stream, len(messages))
        try:
            if first.deliveries <= self._settings.deliveries_max:
                await self._store(messages)
            else:  # alone in its run
                async with self._trials.trial(stream, str(first.sequence)) as may_be_stored:
                    await (self._store(messages) if may_be_stored else self._bury(first, "deliveries"))
            self._progress.end(number)
        finally:
            self._progress.forget(number)

    async def _store(self, messages: list[Delivered]) -> None:
        for (codec, subject), some in self._sorted(messages, lambda each: each.message).items():
            ids = [str(each.sequence) for each in some]
            data = [each.message.data for each in some]
            reasons = await deliver(self._inlet, codec, data, ids, self._settings.stream, subject)
            for each, reason in zip(some, reasons, strict=True):
                if reason:
                    await self._bury(each, reason)
                else:
                    await self._client.publish(each.message.reply, b"+ACK")
                    self._tallies.acknowledged += 1

    def _sorted(self, messages: Sequence[T], message_of: Callable[[T], Msg]) -> dict[tuple[Codec, str], list[T]]:
        """Messages by codec, and by subject those of alert events."""
        found: dict[tuple[Codec, str], list[T]] = {}
        alerts: dict[str, bool] = {}
        for each in messages:
            message = message_of(each)
            subject = message.subject
            if subject not in alerts:
                alerts[subject] = any(takes_all(pattern, subject) for pattern in self._settings.subjects)
            key = (alert_codec(message.data), subject) if alerts[subject] else (payload_codec(message.data), "")
            found.setdefault(key, []).append(each)
        return found

    async def _bury(self, each: Delivered, reason: str) -> None:
        """Publish a message that cannot be stored to the dead letters, and end it in the stream."""
        subject, message = self._settings.dead_letter_subject, each.message
        if subject:
            headers = {"Nissa-Subject": message.subject, "Nissa-Reason": reason, "Nissa-Sequence": str(each.sequence)}
            try:
                await self._jetstream.publish(subject, message.data, headers=headers)
            except NoStreamResponseError as error:
                raise SourceFailed(f"{PATH}.dead_letter_subject: no stream takes {subject}") from error
        await self._client.publish(message.reply, b"+TERM")
        self._tallies.bury(reason)

    # ---- alert events ----

    async def _subscribe(self) -> None:
        """Subscribe to subjects of alert events that the stream does not have."""
        for subject in self._settings.subjects:
            if not any(takes_all(pattern, subject) for pattern in self._stream_subjects):
                await self._client.subscribe(subject, queue=self._settings.durable, cb=self._heard)

    async def _heard(self, message: Msg) -> None:
        try:
            self._alerts.put_nowait(message)
        except asyncio.QueueFull:
            self._tallies.dropped += 1

    async def _read_alerts(self) -> None:
        while True:
            messages = [await self._alerts.get()]
            while len(messages) < SUBJECT_MESSAGES_MAX and not self._alerts.empty():
                messages.append(self._alerts.get_nowait())
            for (codec, subject), some in self._sorted(messages, lambda message: message).items():
                self._tallies.received(subject, len(some))
                data = [message.data for message in some]
                for reason in await deliver(self._inlet, codec, data, (), "", subject):
                    if reason:
                        self._tallies.bury(reason)


def _words(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
