"""Pages of events from a directory or a daemon's API, and the stream that --follow makes of them.

    poll       asks for          shown
    12:00:01   11:59:51 … :01    all of them
    12:00:02   11:59:52 … :02    of each millisecond those behind the ones shown before

Events of a millisecond that come later stand behind those that are there (``query/events.py``), so a count for each
millisecond tells what is new, also among events that come a little late.
"""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

import nissa
from nissa.cli.api_token import token_headers
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.query.events import LIMIT_MAX, EventRequest, read_cursor, read_levels, shown_event
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN

LATE_MS = 10_000  # an event that comes later than this behind its own time is not seen by who follows
POLL_MS = 1_000
TIMEOUT_S = 60
ANSWER_BYTES_MAX = 256 * 1024 * 1024

Row = dict[str, Any]
WindowSelection = dict[str, list[str]]


class Asked(msgspec.Struct, frozen=True):
    """One question: the half-open interval, and how."""

    start_ms: int = TIME_MS_MIN
    end_ms: int = TIME_MS_MAX
    limit: int = LIMIT_MAX
    cursor: str = ""
    newest_first: bool = False


class AnswerPage(msgspec.Struct):
    """One page, as the API gives it."""

    events: list[Row]
    cursor: str | None
    complete: bool
    damaged: list[str] = []


class Pages(Protocol):
    """Source of pages. damaged: names of files left out so far."""

    damaged: set[str]

    def ask(self, asked: Asked) -> AnswerPage:
        """One page. Raises: BadQuery, Unavailable."""


class Directory:
    """A data directory, read anew for each first page."""

    def __init__(self, directory: Path, wanted: WindowSelection) -> None:
        self.damaged: set[str] = set()
        self._reader = nissa.open(directory)
        self._wanted = EventRequest(
            sources=frozenset(wanted["source"]), levels=read_levels(wanted["level"]), text="".join(wanted["q"])
        )

    def ask(self, asked: Asked) -> AnswerPage:
        """One page."""
        if not asked.cursor:
            self._reader.refresh()
        question = msgspec.structs.replace(
            self._wanted,
            start_ms=asked.start_ms,
            end_ms=asked.end_ms,
            limit=asked.limit,
            cursor=read_cursor(asked.cursor) if asked.cursor else None,
            newest_first=asked.newest_first,
        )
        page = self._reader.events_page(question, on_damage=self._note)
        cursor = None if page.cursor is None else str(page.cursor)
        return AnswerPage([shown_event(row) for row in page.events], cursor, page.complete)

    def _note(self, damage: Damaged) -> None:
        self.damaged.add(Path(damage.path).name)


class Daemon:
    """A daemon's API."""

    def __init__(self, url: str, wanted: WindowSelection) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BadQuery(f"expected http://HOST:PORT of a daemon's API, got {url!r}")
        self.damaged: set[str] = set()
        self._url = url
        self._address = (parts.hostname, parts.port or 80)
        self._wanted = [(name, text) for name, texts in wanted.items() for text in texts]

    def ask(self, asked: Asked) -> AnswerPage:
        """One page."""
        words = {"limit": asked.limit, "cursor": asked.cursor, "order": "newest-first" if asked.newest_first else ""}
        if asked.start_ms != TIME_MS_MIN:
            words["start"] = _seconds(asked.start_ms)
        if asked.end_ms != TIME_MS_MAX:
            words["end"] = _seconds(asked.end_ms - 1)
        status, content = self._get(urlencode([*self._wanted, *((name, text) for name, text in words.items() if text)]))
        if status == 200:
            answer = msgspec.convert(content["data"], AnswerPage)
            self.damaged.update(answer.damaged)
            return answer
        reason = f"{self._url} answers {status}: {content.get('error', '')}"
        raise BadQuery(reason) if status == 400 else Unavailable(reason)

    def _get(self, question: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"/api/v1/events?{question}", headers=token_headers())
            response = connection.getresponse()
            return response.status, json.loads(response.read(ANSWER_BYTES_MAX))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"no answer from {self._url}: {error}") from error
        finally:
            connection.close()


def all_events(pages: Pages, interval_ms: tuple[int, int]) -> Iterator[Row]:
    """Every event of the interval, oldest first."""
    asked = Asked(*interval_ms)
    while True:
        answer = pages.ask(asked)
        yield from answer.events
        if answer.complete or answer.cursor is None:
            return
        asked = msgspec.structs.replace(asked, cursor=answer.cursor)


def newest(pages: Pages, interval_ms: tuple[int, int], count: int) -> list[Row]:
    """Return the newest events, oldest first.

    pages: where to read. interval_ms: [start, end), Unix milliseconds. count: maximum number.
    """
    rows: list[Row] = []
    asked = Asked(*interval_ms, limit=count, newest_first=True)
    while True:
        answer = pages.ask(asked)
        rows += answer.events
        if answer.complete or answer.cursor is None or len(rows) >= count:
            return rows[::-1]
        asked = msgspec.structs.replace(asked, cursor=answer.cursor, limit=count - len(rows))


def following(pages: Pages, count: int, now_ms: Callable[[], int], rest: Callable[[int], None]) -> Iterator[Row]:
    """The newest ``count`` events, then each that comes, without end. rest: waits for so many milliseconds."""
    end_ms = now_ms() + 1
    start_ms = end_ms - LATE_MS
    first = newest(pages, (TIME_MS_MIN, end_ms), count)
    shown = Counter(row["time_ms"] for row in all_events(pages, (start_ms, end_ms)))
    yield from first
    while True:
        rest(POLL_MS)
        start_ms, end_ms = max(start_ms, end_ms - LATE_MS), max(end_ms, now_ms() + 1)
        shown = Counter({time_ms: number for time_ms, number in shown.items() if time_ms >= start_ms})
        seen: Counter[int] = Counter()
        for row in all_events(pages, (start_ms, end_ms)):
            seen[row["time_ms"]] += 1
            if seen[row["time_ms"]] > shown[row["time_ms"]]:
                yield row
        shown |= seen


def _seconds(time_ms: int) -> str:
    sign = "-" if time_ms < 0 else ""
    return f"{sign}{abs(time_ms) // 1000}.{abs(time_ms) % 1000:03d}"
