"""Kafka: topics read by a consumer group. A partitioned topic is a queue that several Nissas share.

    topics ──consume──► messages ──► frames ──► journal ──► offsets committed       one batch after the other

A message says what it is as a request does, by the Kafka headers ``content-type`` and ``content-encoding``; one without
them is remote write 1.0 in snappy. Offsets are committed once every frame of a batch is durable, so a batch is read
again after a crash: samples are known by their time, packets by their id. A message that cannot be read is counted and
logged, and does not stop the others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog

from nissa.config.buses import Kafka
from nissa.files.secret_file import SecretFile
from nissa.model.errors import ConfigInvalid, Malformed, SourceFailed, TooLarge, Unavailable, UnsupportedMedia
from nissa.model.units import SECOND_MS
from nissa.sources.http.negotiate import Negotiated, negotiate_telemetry, negotiate_write
from nissa.sources.inlet import Inlet
from nissa.sources.source import Connected

PATH: Final = "sources.kafka"
POLL_S: Final = 0.5
END_S: Final = 5.0
RETRY_S_MAX: Final = 5.0
REMOTE_WRITE: Final = b"application/x-protobuf"
SETTINGS: Final = {"_AUTHENTICATION": "username", "_SSL": "ca_file"}  # that errors of the client are about
_SNAPPY: Final = b"snappy"

T = TypeVar("T")
log = structlog.get_logger()


class KafkaSource:
    """One member of the consumer group (``sources.source.RunningSource``)."""

    path = PATH

    def __init__(self, settings: Kafka, inlet: Inlet) -> None:
        """inlet: of ``Source.KAFKA``. Raises: ConfigInvalid where the library is missing."""
        try:
            import confluent_kafka  # an extra
        except ImportError:
            raise ConfigInvalid(f"{PATH}.brokers", "needs the extra nissa[kafka]") from None
        self._library: Any = confluent_kafka
        self._settings, self._inlet = settings, inlet
        self._messages = self._refused = self._commits = 0
        self._partitions: tuple[str, ...] = ()
        self._faults: list[str] = []

    def facts(self) -> Mapping[str, object]:
        """Messages taken and refused, and the partitions that this process has."""
        return {
            "messages": self._messages,
            "refused_messages": self._refused,
            "offset_commits": self._commits,
            "partitions": self._partitions,
        }

    async def run(self, connected: Connected) -> None:
        """Read until cancelled. Raises: SourceFailed."""
        executor = ThreadPoolExecutor(1, "nissa-kafka")
        consumer: Any = None
        try:
            consumer = await self._in(executor, self._open)
            await self._in(executor, lambda: self._reach(consumer))
            connected()
            while True:
                messages = await self._in(executor, lambda: self._consume(consumer))
                await self._take(messages)
                if messages:
                    await self._in(executor, lambda: consumer.commit(asynchronous=False))
                    self._commits += 1
        except (self._library.KafkaException, ValueError) as error:
            raise SourceFailed(f"Kafka at {', '.join(self._settings.brokers)}: {_words(error)}") from error
        finally:
            if consumer is not None:
                closing = asyncio.ensure_future(self._in(executor, consumer.close))
                await asyncio.wait({closing}, timeout=END_S)
            executor.shutdown(wait=False, cancel_futures=True)
            self._partitions = ()

    def _open(self) -> Any:
        """A consumer that has subscribed. Raises: KafkaException, ConfigInvalid."""
        consumer = self._library.Consumer(self._options(), logger=None)

        def assigned(_consumer: Any, places: Sequence[Any]) -> None:
            self._partitions = tuple(f"{place.topic}/{place.partition}" for place in places)

        consumer.subscribe(list(self._settings.topics), on_assign=assigned, on_lost=assigned)
        return consumer

    def _reach(self, consumer: Any) -> None:
        """Wait until a broker answers. Raises: KafkaException, ValueError."""
        try:
            consumer.list_topics(timeout=self._settings.timeout_ms / SECOND_MS)
        except self._library.KafkaException:
            consumer.poll(0)  # calls ``_note``
            if self._faults:
                raise ValueError(self._faults.pop()) from None
            raise

    def _consume(self, consumer: Any) -> list[Any]:
        """The next messages, none after a while. Raises: KafkaException."""
        found = consumer.consume(self._settings.batch_messages_max, POLL_S)
        for message in found:
            error = message.error()
            if error is not None and error.name() not in ("_PARTITION_EOF", "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
                raise self._library.KafkaException(error)
        if self._faults:
            raise ValueError(self._faults.pop())
        return [message for message in found if message.error() is None]

    async def _take(self, messages: Sequence[Any]) -> None:
        """Send all messages as frames, in their order, and wait until each is durable or refused."""
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(self._send(message))
                await asyncio.sleep(0)  # submitted in this order, unless the engine is under pressure

    async def _send(self, message: Any) -> None:
        while True:
            try:
                what = media_of(dict(message.headers() or ()))
                await self._inlet.send(
                    what.codec,
                    message.value() or b"",
                    encoding=what.encoding,
                    delimited=what.delimited,
                    context=what.context,
                )
            except (Malformed, TooLarge, UnsupportedMedia) as error:
                self._refused += 1
                place = f"{message.topic()}/{message.partition()}"
                log.warning(
                    "a message is refused", source="kafka", place=place, offset=message.offset(), reason=str(error)
                )
                return
            except Unavailable as error:
                await asyncio.sleep(min(error.retry_after_s, RETRY_S_MAX))
            else:
                self._messages += 1
                return

    def _options(self) -> dict[str, Any]:
        """Settings of librdkafka. Raises: ConfigInvalid."""
        settings = self._settings
        found: dict[str, Any] = {
            "bootstrap.servers": ",".join(settings.brokers),
            "group.id": settings.group,
            "client.id": "nissa",
            "enable.auto.commit": False,
            "auto.offset.reset": settings.start,
            "session.timeout.ms": settings.session_timeout_ms,
            "queued.max.messages.kbytes": max(settings.queue_bytes_max // 1024, 1),
            "log_level": 0,
            "error_cb": self._note,
        }
        user = settings.username
        found["security.protocol"] = ("SASL_" if user else "") + ("SSL" if settings.tls_enabled else "PLAINTEXT")
        if user:
            found |= {"sasl.mechanism": settings.sasl_mechanism, "sasl.username": user}
            found["sasl.password"] = SecretFile(settings.password_file, f"{PATH}.password_file").text
        if settings.ca_file:
            found["ssl.ca.location"] = settings.ca_file
        return found

    def _note(self, error: Any) -> None:
        """An error of the client itself, on the thread that polls."""
        name = error.name()
        if name in SETTINGS:
            self._faults = [f"{error.str()} ({PATH}.{SETTINGS[name]})"]
        elif name == "_FATAL" or (name == "_ALL_BROKERS_DOWN" and not self._faults):
            self._faults = [error.str()]

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)


def media_of(headers: Mapping[str, bytes]) -> Negotiated:
    """Codec and encoding of a message with these Kafka headers. Raises: UnsupportedMedia."""
    lower = {name.lower(): value for name, value in headers.items()}
    kind = lower.get("content-type") or REMOTE_WRITE
    encoding = lower.get("content-encoding")
    if b"nissa.v2" in kind or b"esper.leyline" in kind:
        return negotiate_telemetry(kind, encoding)
    return negotiate_write(kind, encoding or _SNAPPY)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
