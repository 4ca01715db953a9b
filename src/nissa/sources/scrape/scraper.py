"""Scrapes one target at its interval and sends its answers to the intake.

    tick ──► ask ──► answer ──► series as before?  ──► frame: the body as it came, labels of the target as its context
              │                       └─► markers for series that are gone: a frame of lines without values
                 (answers of the same moment go together)
              └─► no answer, or none that can be read: markers for all of its series
    and always: up, scrape_duration_seconds, …  (reports.py)

A hash spreads the scrapes of targets over slots of the interval. Intervals follow the monotonic clock of the loop;
samples have the time of the wall clock. A scrape is skipped while the last one is still running.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from nissa.codec.exposition import CONTENT_TYPE, HONOR_TIMESTAMPS, RELABEL_DROPPED, STALE, TIMESTAMP, is_openmetrics
from nissa.codec.scrape_rules import RULES, ScrapeRules
from nissa.config.scrape_configs import PROTOCOLS, ScrapeConfig
from nissa.model.context import Conflict, Context
from nissa.model.errors import NissaError, SourceFailed, Unavailable
from nissa.model.frame import Codec
from nissa.model.receipt import Receipt
from nissa.model.secrets import hide_in_urls
from nissa.model.units import SECOND_MS
from nissa.sources.inlet import Inlet
from nissa.sources.scrape.answers import AnswerReader, Seen
from nissa.sources.scrape.fetch import Client, TargetAnswer
from nissa.sources.scrape.followed import Followed
from nissa.sources.scrape.reports import Reports, report_series
from nissa.sources.scrape.targets import ScrapeTarget

TOLERANCE_MS: Final = 2  # a tick that is late by less counts as in time: equal distances compress well
FAULTS_SHOWN: Final = 3  # lines at fault that the health of a target names

log = structlog.get_logger()


class Health(msgspec.Struct):
    """State of one target. error: of its last scrape, also one of single lines. last_ms: wall clock, when it began."""

    state: str = "unknown"
    error: str = ""
    last_ms: int = 0
    duration_s: float = 0.0
    scrapes: int = 0
    failures: int = 0


class Shared(msgspec.Struct, frozen=True):
    """All that scrapers have in common."""

    inlet: Inlet
    answers: AnswerReader
    reports: Reports
    followed: Callable[[], Followed]


class Scraper:
    """The task of one target. Everything runs on the loop."""

    def __init__(self, target: ScrapeTarget, entry: ScrapeConfig, client: Client, shared: Shared) -> None:
        self.health = Health()
        self._shared = shared
        self._followed = shared.followed()
        self._series = report_series(target.labels)
        self.configure(target, entry, client)

    def configure(self, target: ScrapeTarget, entry: ScrapeConfig, client: Client) -> None:
        """Ask with these settings from the next scrape on. target: of the same key, interval and time-out."""
        self.target = target
        self._entry = entry
        self._client = client
        self._rules = rules_of(entry).encode()
        self._conflict: Conflict = "keep" if entry.honor_labels else "rename"
        self._headers = _headers(entry, target)

    async def run(self) -> None:
        """Scrape until cancelled."""
        loop = asyncio.get_running_loop()
        interval_ms = self.target.interval_ms
        now_ms = self._shared.inlet.now_ms()
        due_ms = now_ms + (self.target.offset_ms() - now_ms) % interval_ms
        due_s = loop.time() + (due_ms - now_ms) / SECOND_MS
        while True:
            await asyncio.sleep(due_s - loop.time())
            now_ms = self._shared.inlet.now_ms()
            ts_ms = due_ms if abs(now_ms - due_ms) <= TOLERANCE_MS else now_ms
            try:
                await self.scrape(ts_ms)
            except Exception as error:  # the edge: a fault of ours with one answer must not end the target's task
                log.exception("unexpected failure of a scrape", url=self.target.url)
                self._note("unknown", f"{type(error).__name__}: {error}", ts_ms, loop.time() - due_s)
            passed = max(int((loop.time() - due_s) * SECOND_MS) // interval_ms, 0) + 1
            due_s += passed * interval_ms / SECOND_MS
            due_ms = ts_ms + passed * interval_ms

    async def scrape(self, ts_ms: int) -> None:
        """Ask once; every sample without a time of its own is of ``ts_ms``."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        seen, stored, new, error, gone, ended_s = Seen(), 0, 0, "", b"", 0.0
        try:
            answer, content_type = await self._ask()
            openmetrics = is_openmetrics(content_type)
            seen = await self._shared.answers.look_through(answer, openmetrics, self._entry, self._followed)
            ended_s = loop.time()
            await self._shared.reports.gather()
            receipt = await self._send(answer, seen.plain, content_type if openmetrics else "", ts_ms)
            if not seen.samples and receipt.lines:
                raise SourceFailed(f"the target answers no metrics: {_line_faults(receipt)}")
            stored = seen.samples - receipt.refused.get(RELABEL_DROPPED, 0)
            error, up = _line_faults(receipt), 1
            if seen.series is not None:
                gone, new = self._followed.follow(seen.series)
        except Unavailable as problem:  # of Nissa itself: the target is not to blame, and nothing can be stored
            self._note("unknown", str(problem), ts_ms, loop.time() - began_s)
            return
        except NissaError as problem:
            gone, up, error = self._followed.clear(), 0, str(problem)
        duration_s = round((ended_s or loop.time()) - began_s, 3)  # the loop's clock counts milliseconds
        self._note("up" if up else "down", error, ts_ms, duration_s)
        if gone:
            await self._mark_stale(gone, ts_ms)
        values = (up, duration_s, seen.samples, stored, min(new, stored))
        self._shared.reports.add(self._series, values, ts_ms)

    async def end(self) -> None:
        """Markers for all series of a target that is asked no more."""
        now_ms = self._shared.inlet.now_ms()
        gone = self._followed.clear()
        if gone:
            await self._mark_stale(gone, now_ms)
        if self.health.scrapes:
            await self._shared.reports.end(self._series, now_ms)

    async def _ask(self) -> tuple[TargetAnswer, str]:
        """The answer, and the content type it is read by."""
        entry = self._entry
        if self.target.error:
            raise SourceFailed(self.target.error)
        limit = self._shared.answers.bytes_max
        limit = min(limit, entry.body_size_limit) if entry.body_size_limit else limit
        answer = await self._client.get(self.target.url, self._headers, self.target.timeout_ms / SECOND_MS, limit)
        return answer, _content_type(answer.content_type, entry.fallback_scrape_protocol)

    async def _send(self, answer: TargetAnswer, plain: bytes | None, content_type: str, ts_ms: int) -> Receipt:
        context = self._context(ts_ms, {CONTENT_TYPE: content_type} if content_type else {})
        return await self._shared.inlet.send(
            Codec.EXPOSITION, answer.body, encoding=answer.encoding, context=context, plain=plain
        )

    async def _mark_stale(self, lines: bytes, ts_ms: int) -> None:
        try:
            await self._shared.inlet.send(Codec.EXPOSITION, lines, context=self._context(ts_ms, {STALE: "true"}))
        except NissaError as error:
            log.warning("staleness markers were not stored", url=self.target.url, error=str(error))

    def _context(self, ts_ms: int, parameters: dict[str, str]) -> bytes:
        parameters |= {TIMESTAMP: str(ts_ms)}
        if not self._entry.honor_timestamps:
            parameters[HONOR_TIMESTAMPS] = "false"
        if self._rules:
            parameters[RULES] = self._rules
        return Context(
            labels=self.target.labels, conflict=self._conflict, url=hide_in_urls(self.target.url), parameters=parameters
        ).encode()

    def _note(self, state: str, error: str, ts_ms: int, duration_s: float) -> None:
        health, target = self.health, self.target
        if state != health.state and (state, health.state) != ("up", "unknown"):
            told = log.info if state == "up" else log.warning
            told("a target is " + state, job=target.job, url=target.url, error=error or None)
        health.state, health.error, health.last_ms, health.duration_s = state, error, ts_ms, duration_s
        health.scrapes += 1
        health.failures += state != "up"


def rules_of(entry: ScrapeConfig) -> ScrapeRules:
    """The rules of an entry that concern single series, which its frames carry."""
    return ScrapeRules(
        entry.metric_relabel_configs,
        entry.sample_limit,
        entry.label_limit,
        entry.label_name_length_limit,
        entry.label_value_length_limit,
    )


def _headers(entry: ScrapeConfig, target: ScrapeTarget) -> dict[str, str]:
    accepted = [PROTOCOLS[name] for name in entry.scrape_protocols if PROTOCOLS[name]]
    accept = ",".join(f"{one};q=0.{len(accepted) + 1 - place}" for place, one in enumerate(accepted))
    return {
        "Accept": f"{accept},*/*;q=0.1",
        "Accept-Encoding": "gzip" if entry.enable_compression else "identity",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout_ms / SECOND_MS:g}",
    }


def _content_type(given: str, fallback: str) -> str:
    """The content type to read an answer by. Raises: SourceFailed where it is none of metrics."""
    plain = given.partition(";")[0].strip().lower()
    if is_openmetrics(given) or plain == "text/plain":
        return given
    if fallback:
        return PROTOCOLS[fallback] or PROTOCOLS["PrometheusText0.0.4"]
    got = f"content type {plain[:80]!r}" if plain else "no content type"
    raise SourceFailed(
        f"the target answers with {got}: expected text/plain or application/openmetrics-text"
        " (fallback_scrape_protocol reads other ones)"
    )


def _line_faults(receipt: Receipt) -> str:
    """Lines that were refused, in a sentence; empty for none. Samples that rules dropped are no fault."""
    count = sum(number for reason, number in receipt.refused.items() if reason != RELABEL_DROPPED)
    if not count:
        return ""
    named = "; ".join(
        f"line {fault.line}: {f'{fault.reason}: {fault.words}'.removesuffix(': ')}"
        for fault in receipt.lines[:FAULTS_SHOWN]
    )
    return f"{count} samples refused" + (f": {named}" if named else "")
