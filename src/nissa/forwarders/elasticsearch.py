"""The sink ``elasticsearch``: Elasticsearch 7 to 9, OpenSearch 1 to 3, or another server with their bulk API.

    portion ──► batch ──► deliver ──► each item: done │ again │ dead letter
                          (connections at a time)
                          413, 400 of a whole request: halves, down to single events

The data stream is made before the first batch, and again when the server says that it is gone. Ids follow from the
events, so an attempt that repeats one whose answer was lost changes nothing: its items are answered with 409.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import cramjam
import structlog

from nissa.config.sinks import ElasticsearchSink
from nissa.forwarders.backoff import Backoff
from nissa.forwarders.bulk_answers import FILTER, BulkOutcome, judge_bulk, judge_items
from nissa.forwarders.dead_letters import DeadLetter, DeadLetters, RefusedEvent
from nissa.forwarders.elasticsearch_setup import SetupFailed, StreamSetup
from nissa.forwarders.event_lines import BulkLines, document_line
from nissa.forwarders.event_portion import EventPortion, EventPortions
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.journal_events import JournalEvents
from nissa.forwarders.remote_write_answers import Verdict, retry_after_ms
from nissa.forwarders.sink_client import SinkAnswer, SinkClient, SinkUnreachable
from nissa.forwarders.worker_thread import WorkerThread
from nissa.journal.segment import JournalFrame
from nissa.model.units import KIB, SECOND_MS

REPLAY_MS_MAX: Final = 25 * SECOND_MS  # of one replay of dead letters, within the time limit of an API request
HALVINGS_MAX: Final = 400  # of one batch
ANSWER_BYTES_MIN: Final = 256 * KIB
ANSWER_BYTES_PER_EVENT: Final = 2 * KIB  # an item with its error
ANSWER_BYTES_PER_BYTE: Final = 2  # of the request: some errors have the value that is refused, escaped once more
GZIP_LEVEL: Final = 1

log = structlog.get_logger()


class ElasticsearchOutlet:
    """The part of a delivery that speaks the bulk API."""

    def __init__(
        self,
        name: str,
        config: ElasticsearchSink,
        events: JournalEvents,
        routes: EventRoutes,
        backoff: Backoff,
        letters: DeadLetters,
        thread: WorkerThread,
        now_ms: Callable[[], int],
        prefix: str,
    ) -> None:
        """events: the decoder, used on ``thread`` alone. routes: as this sink sees them.

        now_ms: the wall clock. prefix: of ids, which distinguishes data directories.
        """
        self._name, self._config, self.letters = name, config, letters
        self._backoff, self._thread, self._now_ms = backoff, thread, now_ms
        self._portions = EventPortions(config, events, routes, prefix)
        self._client = SinkClient(config, f"sinks.{name}")
        self._setup = StreamSetup(config, self._client, f"sinks.{name}")
        self._url = f"{config.url.rstrip('/')}/{config.stream}/_bulk?{FILTER}"
        self._requests = self._retries = self._sent_bytes = self._halved = 0

    def prepare(self, entries: Sequence[JournalFrame]) -> EventPortion:
        """The portion of these frames, whose batches are made as they are sent."""
        return self._portions.portion(entries)

    # ---- sending, on the loop ----

    async def send(self, portion: EventPortion) -> tuple[int, int]:
        """Send until everything is answered; returns how many events were delivered, and how many were refused."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send_batches(portion)) for _ in range(self._config.connections)]
        delivered, dead = (sum(task.result()[place] for task in tasks) for place in (0, 1))
        self._backoff.taken(delivered, dead)
        await self._thread.run(self.letters.expire, self._now_ms())
        return delivered, dead

    async def _send_batches(self, portion: EventPortion) -> tuple[int, int]:
        delivered = dead = 0
        while (batch := await self._thread.run(next, portion.batches, None)) is not None:
            one, refused = await self.deliver(batch)
            await self._thread.run(self._set_aside, refused)
            delivered, dead = delivered + one, dead + len(refused)
        return delivered, dead

    async def replay(self, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Send dead letters again, each by itself; returns how many were delivered, and how many are left."""
        delivered: list[int] = []
        refused: list[int] = []
        try:
            async with asyncio.timeout(REPLAY_MS_MAX / SECOND_MS):
                for letter in letters:
                    if letter.event is None:  # of a sink of samples that had this name before
                        continue
                    done, _ = await self.deliver(document_line(letter.key, letter.event))
                    (delivered if done else refused).append(letter.id)
        except TimeoutError:
            log.warning("dead letters replayed in part: the sink does not answer in time", sink=self._name)
        await self._thread.run(self.letters.settle, delivered, refused)
        return len(delivered), len(letters) - len(delivered)

    async def deliver(self, batch: BulkLines) -> tuple[int, list[RefusedEvent]]:
        """Send a batch until every event is answered; returns how many were delivered, and those refused."""
        delivered = halvings = attempts = 0
        left, refused = [batch], list[RefusedEvent]()
        while left:
            one = left.pop()
            self._retries += attempts > 0
            attempts += 1
            answer = await self._attempt(one)
            if answer is None:
                left.append(one)
            elif judge_bulk(answer) is Verdict.DELIVERED:
                outcome = self._outcome(answer, len(one))
                if outcome is None:
                    left.append(one)
                    continue
                delivered += outcome.done
                refused += _refused(one, outcome.dead)
                if len(outcome.again):
                    left.append(one.taken(outcome.again))
            elif len(one) > 1 and halvings < HALVINGS_MAX:
                halvings += 1
                middle = len(one) // 2
                left += [one.part(middle, len(one)), one.part(0, middle)]
            else:
                refused += _refused(one, [(row, str(answer)) for row in range(len(one))])
        self._halved += halvings
        return delivered, refused

    async def _attempt(self, batch: BulkLines) -> SinkAnswer | None:
        """Send one body; returns the answer where it is about the events, None where it is to be sent again."""
        if not await self._set_up():
            return None
        body, headers = await self._thread.run(self._body, batch)
        answer_bytes = max(ANSWER_BYTES_MIN, ANSWER_BYTES_PER_EVENT * len(batch)) + ANSWER_BYTES_PER_BYTE * batch.size
        await self._backoff.ready()
        self._requests += 1
        try:
            answer = await self._client.request("POST", self._url, body, headers, answer_bytes)
        except SinkUnreachable as error:
            self._failed(str(error), blocked=error.blocked)
            return None
        except BaseException:  # raised again; the others must not wait for this probe
            self._backoff.canceled()
            raise
        self._sent_bytes += len(body)
        verdict = judge_bulk(answer)
        if verdict in (Verdict.RETRY, Verdict.BLOCKED):
            self._failed(str(answer), answer, blocked=verdict is Verdict.BLOCKED)
            return None
        if verdict is Verdict.REFUSED:
            self._backoff.succeeded()
        return answer

    def _outcome(self, answer: SinkAnswer, count: int) -> BulkOutcome | None:
        """Outcomes of the items of a request; None where the answer does not say."""
        try:
            outcome = judge_items(answer, count)
        except ValueError as error:
            self._failed(f"{error} ({self._name} may be no bulk API)")
            return None
        if outcome.gone:
            self._setup.done = not self._config.setup
        if len(outcome.again):
            blocked = outcome.blocked or (outcome.gone and not self._config.setup)
            self._failed(outcome.reason, answer, blocked=blocked)
        else:
            self._backoff.succeeded()
        return outcome

    async def _set_up(self) -> bool:
        """Make the stream where it is not there; False where that failed."""
        if not self._setup.done:
            async with self._setup.lock:
                await self._make_stream()
        return self._setup.done

    async def _make_stream(self) -> None:
        if not self._setup.done:  # by somebody who waited for the lock too
            await self._backoff.ready()
            try:
                await self._setup.make()
            except SetupFailed as error:
                self._failed(str(error), error.answer, blocked=error.blocked)
            except SinkUnreachable as error:
                self._failed(str(error), blocked=error.blocked)
            except BaseException:  # raised again; the others must not wait for this probe
                self._backoff.canceled()
                raise
            else:
                self._backoff.canceled()  # the state is that of requests with events

    def _body(self, batch: BulkLines) -> tuple[bytes, dict[str, str]]:
        body, headers = batch.body(), {"Content-Type": "application/x-ndjson"}
        if self._config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = bytes(cramjam.gzip.compress(body, GZIP_LEVEL))
        return body, headers

    def _set_aside(self, refused: Sequence[RefusedEvent]) -> None:
        if refused:
            self.letters.add(refused, self._now_ms())

    def _failed(self, error: str, answer: SinkAnswer | None = None, *, blocked: bool = False) -> None:
        pause_ms = 0 if answer is None else retry_after_ms(answer.headers, self._now_ms())
        self._backoff.failed(error, retry_after_ms=pause_ms, blocked=blocked)

    def facts(self) -> Mapping[str, object]:
        """Facts for ``/api/status``."""
        return {
            "type": "elasticsearch",
            "url": self._config.url,
            "stream": self._config.stream,
            "server": self._setup.server or None,
            "retention": self._setup.retention or None,
            "requests": self._requests,
            "retries": self._retries,
            "halvings": self._halved,
            "sent_bytes": self._sent_bytes,
            "dead_letters": self.letters.letters,
            "dead_letter_bytes": self.letters.bytes,
            "dead_letter_samples_dropped": self.letters.dropped_samples,
        }

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def _refused(batch: BulkLines, dead: Sequence[tuple[int, str]]) -> list[RefusedEvent]:
    return [RefusedEvent(*batch.document(row), reason) for row, reason in dead]
