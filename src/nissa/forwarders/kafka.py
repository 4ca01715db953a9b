"""The sink ``kafka``: samples and events to topics, by an idempotent producer.

    portion ──► messages ──► produce all, wait for all ──► each: delivered │ again │ too large: halves │ dead letter
                             (thread of the sink)

The producer retries by itself for ``timeout``; what it gives up is sent again after a pause. It is made anew after an
error that it cannot go on from, and after wrong credentials or certificates, whose files are then read again. It says
why it has no connection beside the messages, so that is remembered until they fail.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import structlog

from nissa.config.sinks import KafkaSink
from nissa.files.secret_file import SecretFile
from nissa.forwarders.backoff import Backoff
from nissa.forwarders.dead_letters import DeadLetter, DeadLetters, Refused, RefusedEvent
from nissa.forwarders.event_lines import event_of
from nissa.forwarders.journal_events import FrameEvents
from nissa.forwarders.kafka_messages import PACKET, SAMPLES, KafkaMessage, KafkaMessages, KafkaPortion
from nissa.forwarders.sample_letters import refused_samples, request_of
from nissa.forwarders.worker_thread import WorkerThread
from nissa.journal.segment import JournalFrame
from nissa.model.errors import ConfigInvalid, NissaError
from nissa.model.units import KIB, SECOND_MS

REPLAY_MS_MAX: Final = 25 * SECOND_MS
QUEUE_KIB_MAX: Final = 64 * KIB  # of messages that wait in the producer
QUEUE_MESSAGES_MAX: Final = 100_000
MESSAGES_AT_A_TIME: Final = 5_000  # that are made, produced, and waited for
POLL_S: Final = 0.2
BATCH_MS: Final = 5  # the producer puts messages together for this long
# Names of errors of one message, and of those that a retry soon does not help.
TOO_LARGE: Final = frozenset(("MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "INVALID_MSG"))
BLOCKING: Final = frozenset(
    (
        *("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "_UNKNOWN_TOPIC", "_SSL"),
        *("CLUSTER_AUTHORIZATION_FAILED", "TOPIC_EXCEPTION", "UNKNOWN_TOPIC_OR_PART", "_FATAL"),
    )
)
# Errors of the client that no retry helps against, and the setting that they are about.
UNTRUSTED: Final = {"_AUTHENTICATION": "basic_auth", "_SSL": "tls"}
UNANSWERED: Final = ("_TIMED_OUT", "_MSG_TIMED_OUT")
FAULT_CHARACTERS: Final = 300

log = structlog.get_logger()


class KafkaOutlet:
    """The part of a delivery that speaks Kafka's protocol, through librdkafka."""

    def __init__(
        self,
        name: str,
        config: KafkaSink,
        messages: KafkaMessages,
        backoff: Backoff,
        letters: DeadLetters,
        thread: WorkerThread,
        now_ms: Callable[[], int],
    ) -> None:
        """messages: used on ``thread`` alone. Raises: ConfigInvalid where the library is missing."""
        try:
            import confluent_kafka  # an extra
        except ImportError:
            raise ConfigInvalid(f"sinks.{name}.type", "kafka needs the extra nissa[kafka]") from None
        self._library: Any = confluent_kafka
        self._name, self._config, self._messages = name, config, messages
        self._backoff, self.letters, self._thread, self._now_ms = backoff, letters, thread, now_ms
        self._own = WorkerThread(f"nissa-kafka-{name}")
        self._producer: Any = None
        self._fault: tuple[str, str] | None = None  # name and text of the last error of the client
        self._ending = False
        self._requests = self._retries = self._sent_bytes = self._halved = 0

    def prepare(self, entries: Sequence[JournalFrame]) -> KafkaPortion:
        """Messages of the first of these frames."""
        return self._messages.portion(entries)

    # ---- sending, on the loop ----

    async def send(self, portion: KafkaPortion) -> tuple[int, int]:
        """Send until every message is answered; returns how many records were delivered, and how many were refused."""
        delivered = dead = 0
        while messages := await self._thread.run(_next, portion.messages):
            one, refused = await self._deliver(messages)
            if refused:
                await self._thread.run(self._set_aside, refused)
            delivered, dead = delivered + one, dead + sum(message.records for message, _ in refused)
        self._backoff.taken(delivered, dead)
        await self._thread.run(self.letters.expire, self._now_ms())
        return delivered, dead

    async def _deliver(self, messages: Sequence[KafkaMessage]) -> tuple[int, list[tuple[KafkaMessage, str]]]:
        delivered, attempts = 0, 0
        left, refused = [list(messages)], list[tuple[KafkaMessage, str]]()
        while left:
            group = left.pop()
            await self._backoff.ready()
            self._retries += attempts > 0
            attempts += 1
            try:
                done, failed = await self._own.run(self._produce, group)
            except (NissaError, self._library.KafkaException, ValueError) as error:  # settings that librdkafka refuses
                left.append(group)
                self._backoff.failed(str(error), blocked=True)
                continue
            except BaseException:  # raised again; the others must not wait for this probe
                self._backoff.canceled()
                raise
            delivered += done
            again = [one for one in failed if one[1] not in TOO_LARGE]
            large = [one for one in failed if one[1] in TOO_LARGE]
            if again:
                left.append([message for message, _, _ in again])
                _, name, text = again[-1]
                self._backoff.failed(f"{name}: {text}", blocked=name in BLOCKING)
            else:
                self._backoff.succeeded()
            if large:
                parts, alone = await self._thread.run(_halves, group, large)
                left += parts
                refused += alone
                self._halved += bool(parts)
        return delivered, refused

    def _produce(self, messages: Sequence[KafkaMessage]) -> tuple[int, list[tuple[KafkaMessage, str, str]]]:
        """Produce all and wait for all, on the sink's thread: (records delivered, failed ones with name and text)."""
        if self._producer is None:
            self._producer = self._library.Producer(self._settings())
        self._fault = None
        failed: list[tuple[KafkaMessage, str, str]] = []
        answered: set[int] = set()

        def note(place: int, error: Any) -> None:
            answered.add(place)
            if error is not None:
                failed.append((messages[place], error.name(), error.str()))

        for place, message in enumerate(messages):
            self._put(message, lambda error, _, place=place: note(place, error), note, place)
        while self._producer.flush(POLL_S) > 0 and not self._hopeless():
            pass
        failed += [(one, "_TIMED_OUT", "no answer") for place, one in enumerate(messages) if place not in answered]
        if any(name in ("_FATAL", "_TIMED_OUT") for _, name, _ in failed):
            self._producer = None
        failed = [(one, *self._reason(name, text)) for one, name, text in failed]
        self._requests += len(messages)
        lost = sum(message.records for message, _, _ in failed)
        return sum(message.records for message in messages) - lost, failed

    def _reason(self, name: str, text: str) -> tuple[str, str]:
        """Returns the last error of the client for a message that was not answered, else the error of the message."""
        return self._fault if self._fault is not None and name in UNANSWERED else (name, text)

    def _hopeless(self) -> bool:
        """True where waiting for answers is of no use."""
        return self._ending or (self._fault is not None and self._fault[0] in UNTRUSTED)

    def _note(self, error: Any) -> None:
        """Remember an error of the client, on the thread of the sink."""
        name = error.name()
        if name != "_ALL_BROKERS_DOWN" or self._fault is None:  # which says less than the error before it
            setting = f" (sinks.{self._name}.{UNTRUSTED[name]})" if name in UNTRUSTED else ""
            self._fault = name, " ".join(error.str().split())[:FAULT_CHARACTERS] + setting

    def _put(
        self, message: KafkaMessage, on_delivery: Callable[..., None], note: Callable[[int, Any], None], place: int
    ) -> None:
        value = message.value()
        if not value:
            note(place, None)
            return
        self._sent_bytes += len(value)
        while not self._hopeless():
            try:
                self._producer.produce(
                    message.topic, value, message.key, headers=list(message.headers), on_delivery=on_delivery
                )
            except BufferError:  # full: wait for answers
                self._producer.poll(POLL_S)
            except self._library.KafkaException as error:  # too large for the producer itself, or it is broken
                note(place, error.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def _settings(self) -> dict[str, Any]:
        """Settings of librdkafka. Raises: ConfigInvalid."""
        config, path = self._config, f"sinks.{self._name}"
        secure = config.tls_enabled or bool(config.tls.ca_file or config.tls.cert_file)
        found: dict[str, Any] = {
            "bootstrap.servers": ",".join(config.brokers),
            "client.id": "nissa",
            "enable.idempotence": True,
            "partitioner": "murmur2",  # as clients of Java do
            "compression.type": config.compression,
            "linger.ms": BATCH_MS,
            "message.timeout.ms": config.timeout_ms,
            "socket.timeout.ms": min(config.timeout_ms, 60_000),
            "queue.buffering.max.kbytes": QUEUE_KIB_MAX,
            "queue.buffering.max.messages": QUEUE_MESSAGES_MAX,
            "log_level": 0,
            "error_cb": self._note,
        }
        protocol = "SASL_" if config.basic_auth.username else ""
        found["security.protocol"] = protocol + ("SSL" if secure else "PLAINTEXT")
        if config.basic_auth.username:
            found["sasl.mechanism"] = config.sasl_mechanism
            found["sasl.username"] = config.basic_auth.username
            password = SecretFile(config.basic_auth.password_file, f"{path}.basic_auth.password_file").text
            found["sasl.password"] = password
        files = {"ssl.ca.location": config.tls.ca_file, "ssl.certificate.location": config.tls.cert_file}
        files["ssl.key.location"] = config.tls.key_file
        found |= {name: file for name, file in files.items() if file}
        if config.tls.insecure_skip_verify:
            found |= {"enable.ssl.certificate.verification": False, "ssl.endpoint.identification.algorithm": "none"}
        return found

    # ---- dead letters ----

    def _set_aside(self, refused: Sequence[tuple[KafkaMessage, str]]) -> None:
        letters: list[Refused] = []
        for message, reason in refused:
            if message.request is not None:
                letters += refused_samples(message.request.ordered(), reason)
            letters += [RefusedEvent(key, event, reason) for key, event in message.documents()]
        self.letters.add(letters, self._now_ms())

    async def replay(self, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Send dead letters again; returns how many were delivered, and how many are left."""
        delivered: list[int] = []
        refused: list[int] = []
        try:
            async with asyncio.timeout(REPLAY_MS_MAX / SECOND_MS):
                for letter in letters:
                    try:
                        message = self._message_of(letter)
                    except ValueError:
                        continue
                    _, failed = await self._deliver([message])
                    (refused if failed else delivered).append(letter.id)
        except TimeoutError:
            log.warning("dead letters replayed in part: the sink does not answer in time", sink=self._name)
        await self._thread.run(self.letters.settle, delivered, refused)
        return len(delivered), len(letters) - len(delivered)

    def _message_of(self, letter: DeadLetter) -> KafkaMessage:
        """Raises: ValueError for a letter that this sink does not send."""
        import numpy as np

        topic = self._config.samples_topic if letter.event is None else self._config.events_topic
        if not topic:
            raise ValueError("these are not sent")
        if letter.event is None:
            request = request_of(letter, self._messages.rules)
            return KafkaMessage(topic, b"\0\0", SAMPLES, request)
        events = FrameEvents(0, event_of(letter.event), np.zeros(1, np.int64))
        key = str(letter.event.get("source", "")).encode()
        return KafkaMessage(topic, key, PACKET, None, events, letter.key)

    def facts(self) -> Mapping[str, object]:
        """Facts for ``/api/status``."""
        return {
            "type": "kafka",
            "url": ",".join(self._config.brokers),
            "requests": self._requests,
            "retries": self._retries,
            "halvings": self._halved,
            "sent_bytes": self._sent_bytes,
            "dead_letters": self.letters.letters,
            "dead_letter_bytes": self.letters.bytes,
            "dead_letter_samples_dropped": self.letters.dropped_samples,
        }

    async def close(self) -> None:
        """End the producer; records that it still holds are sent again later."""
        self._ending = True
        self._own.end()


def _next(messages: Iterator[KafkaMessage]) -> list[KafkaMessage]:
    return list(islice(messages, MESSAGES_AT_A_TIME))


def _halves(
    group: Sequence[KafkaMessage], large: Sequence[tuple[KafkaMessage, str, str]]
) -> tuple[list[list[KafkaMessage]], list[tuple[KafkaMessage, str]]]:
    """Groups to send of messages that were too large, and those that are refused.

    A broker judges what the producer has put together, so a message is halved, or refused, only when it was alone.
    """
    messages = [message for message, _, _ in large]
    if len(group) > 1:
        middle = len(messages) // 2
        return [half for half in (messages[middle:], messages[:middle]) if half], []
    if messages[0].records > 1:
        return [messages[0].halves()], []
    _, name, text = large[0]
    return [], [(messages[0], f"the sink answers {name}: {text}")]
