"""The sink ``remote_write``: Prometheus, or any store that takes remote write 2.0 or 1.0.

    portion ──► wave ──► lane: one request after the other ──► deliver ──► delivered
                         lane  (connections of them)            │ 400: halve, down to single samples
                                                                └─────► dead letters

2.0 is sent until the sink has shown that it does not take it; then 1.0, also after a restart. What a sink refuses is
sent again in halves until only what it refuses by itself is left, within ``HALVINGS_MAX`` of a request.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from nissa.config.sinks import RemoteWriteSink
from nissa.forwarders.backoff import Backoff
from nissa.forwarders.dead_letters import DeadLetter, DeadLetters
from nissa.forwarders.journal_columns import JournalColumns
from nissa.forwarders.portion import PORTION_SAMPLES_MAX, Portion, PortionMaker, SinkRequest
from nissa.forwarders.remote_write_answers import Verdict, judge, retry_after_ms
from nissa.forwarders.sample_letters import refused_samples, request_of
from nissa.forwarders.sink_client import SinkAnswer, SinkClient, SinkUnreachable
from nissa.forwarders.sink_labels import SinkLabels, SinkRules
from nissa.forwarders.worker_thread import WorkerThread
from nissa.journal.segment import JournalFrame
from nissa.model.secrets import hide_in_urls
from nissa.model.units import SECOND_MS

REPLAY_MS_MAX: Final = 25 * SECOND_MS  # of one replay of dead letters, within the time limit of an API request
HALVINGS_MAX: Final = 400  # of one request; about 14 find one bad sample of 10,000
HEADERS: Final = {
    "1.0": {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    },
    "2.0": {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}

log = structlog.get_logger()


class FallBacks(Protocol):
    """Remembers that a sink takes 1.0 only."""

    def fallen_back(self, name: str, url: str) -> bool:
        """True if this address takes 1.0 only."""

    def fall_back(self, name: str, url: str) -> None:
        """Remember that this address takes 1.0 only. Raises: Unavailable."""


class RemoteWriteOutlet:
    """The part of a delivery that speaks remote write."""

    def __init__(
        self,
        name: str,
        config: RemoteWriteSink,
        columns: JournalColumns,
        backoff: Backoff,
        fall_backs: FallBacks,
        letters: DeadLetters,
        thread: WorkerThread,
        now_ms: Callable[[], int],
    ) -> None:
        """columns: the decoder, used on ``thread`` alone. now_ms: the wall clock."""
        self._name, self._config, self._columns = name, config, columns
        self._backoff, self._fall_backs, self.letters = backoff, fall_backs, letters
        self._thread, self._now_ms = thread, now_ms
        self._rules = SinkRules(config)
        self._labels: SinkLabels | None = None
        self._client = SinkClient(config, f"sinks.{name}")
        auto = "1.0" if fall_backs.fallen_back(name, config.url) else "2.0"
        self.version = auto if config.protocol == "auto" else config.protocol
        self._requests = self._retries = self._sent_bytes = self._halved = 0

    # ---- preparing, on the worker thread ----

    def prepare(self, entries: Sequence[JournalFrame]) -> Portion:
        """Requests of the first of these frames."""
        waves: list[Sequence[Sequence[SinkRequest]]] = []
        samples = filtered = frames = 0
        maker: PortionMaker | None = None
        for entry in entries:
            if samples >= PORTION_SAMPLES_MAX:
                break
            frames += 1
            found = self._columns.decode(entry)
            if found is None:
                continue
            samples += len(found)
            if self._labels is None or self._labels.index is not found.index or maker is None:
                filtered += _finish(maker, waves)
                if self._labels is None or self._labels.index is not found.index:
                    self._labels = SinkLabels(found.index, self._rules, self._config.connections)
                maker = self._maker(self._labels)
            maker.add(found, unchanged=self._rules.none)
        filtered += _finish(maker, waves)
        return Portion(entries[frames - 1].lsn, frames, entries[0].frame.received_ms, samples, filtered, waves)

    def _maker(self, labels: SinkLabels) -> PortionMaker:
        return PortionMaker(labels, self.version, self._config.connections, self._config.batch_samples_max)

    # ---- sending, on the loop ----

    async def send(self, portion: Portion) -> tuple[int, int]:
        """Send until everything is answered; returns how many samples were delivered, and how many were refused."""
        delivered = dead = 0
        for lanes in portion.waves:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send_lane(lane)) for lane in lanes]
            for one, other in (task.result() for task in tasks):
                delivered, dead = delivered + one, dead + other
        self._backoff.taken(delivered, dead)
        await self._thread.run(self.letters.expire, self._now_ms())
        return delivered, dead

    async def _send_lane(self, requests: Sequence[SinkRequest]) -> tuple[int, int]:
        delivered = dead = 0
        for request in requests:
            one, other = await self.deliver(request)
            delivered, dead = delivered + one, dead + other
        return delivered, dead

    async def replay(self, letters: Sequence[DeadLetter]) -> tuple[int, int]:
        """Send dead letters again, each by itself; returns how many were delivered, and how many are left."""
        delivered: list[int] = []
        refused: list[int] = []
        try:
            async with asyncio.timeout(REPLAY_MS_MAX / SECOND_MS):
                for letter in letters:
                    try:
                        request = request_of(letter, self._rules)
                    except ValueError:
                        continue
                    answer = await self._attempt(request)
                    (delivered if answer is None else refused).append(letter.id)
        except TimeoutError:
            log.warning("dead letters replayed in part: the sink does not answer in time", sink=self._name)
        await self._thread.run(self.letters.settle, delivered, refused)
        return len(delivered), len(letters) - len(delivered)

    async def deliver(self, request: SinkRequest) -> tuple[int, int]:
        """Send one request until it is answered; returns how many samples were delivered, and how many were refused."""
        delivered = halvings = 0
        left, refused = [request], []
        while left:
            one = left.pop()
            refusal = await self._attempt(one)
            if refusal is None:
                delivered += len(one)
            elif len(one) > 1 and halvings < HALVINGS_MAX:
                halvings += 1
                left += reversed(await self._thread.run(one.halves))
            else:
                refused.append((one, str(refusal)))
        self._halved += halvings
        if refused:
            await self._thread.run(self._set_aside, refused)
        return delivered, sum(len(one) for one, _ in refused)

    async def _attempt(self, request: SinkRequest) -> SinkAnswer | None:
        """Send one body until it is delivered; returns the answer where it is refused."""
        first = True
        while True:
            version = self.version
            body = await self._thread.run(request.body, version)
            if not body:
                return None
            await self._backoff.ready()
            self._requests += 1
            self._retries += not first
            first = False
            try:
                answer = await self._client.post(body, HEADERS[version])
            except SinkUnreachable as error:
                self._backoff.failed(str(error), blocked=error.blocked)
                continue
            except BaseException:  # raised again; the others must not wait for this probe
                self._backoff.canceled()
                raise
            self._sent_bytes += len(body)
            verdict = judge(answer, version)
            if verdict is Verdict.FALL_BACK:
                await self._fall_back(answer)
            elif verdict in (Verdict.RETRY, Verdict.BLOCKED):
                pause_ms = retry_after_ms(answer.headers, self._now_ms())
                self._backoff.failed(str(answer), retry_after_ms=pause_ms, blocked=verdict is Verdict.BLOCKED)
            else:
                self._backoff.succeeded()
                return None if verdict is Verdict.DELIVERED else answer

    async def _fall_back(self, answer: SinkAnswer) -> None:
        if self._config.protocol != "auto":
            setting = f"sinks.{self._name}.protocol"
            self._backoff.failed(f"the sink does not take remote write 2.0 ({setting}); {answer}", blocked=True)
            return
        self._backoff.succeeded()
        if self.version != "1.0":
            self.version = "1.0"
            log.info("sink takes remote write 1.0 only", sink=self._name, status=answer.status)
            await self._thread.run(self._fall_backs.fall_back, self._name, self._config.url)

    def _set_aside(self, refused: Sequence[tuple[SinkRequest, str]]) -> None:
        """Write refused samples to the dead letters, one for each series of a request."""
        letters = [letter for request, reason in refused for letter in refused_samples(request.ordered(), reason)]
        self.letters.add(letters, self._now_ms())

    def facts(self) -> Mapping[str, object]:
        """Facts for ``/api/status``."""
        return {
            "type": "remote_write",
            "url": hide_in_urls(self._config.url),
            "protocol": self.version,
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


def _finish(maker: PortionMaker | None, waves: list[Sequence[Sequence[SinkRequest]]]) -> int:
    """Take the requests of a maker; returns how many samples the rules left out."""
    if maker is None:
        return 0
    found, filtered = maker.waves()
    waves += found
    return filtered
