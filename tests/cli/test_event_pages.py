"""Pages of events from a directory and from a daemon, and following them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import pytest

from nissa.cli import event_pages
from nissa.cli.event_pages import AnswerPage, Asked, Daemon, all_events, following, newest
from nissa.model.errors import BadQuery, Unavailable
from nissa.query.events import EventRequest, read_cursor, read_page
from nissa.store.event_runs import EventSnapshot
from oracle.events import event_batch, event_row

WANTED: dict[str, list[str]] = {"source": ["s0"], "level": [], "q": ["a b"]}


class Arriving:
    """Events in memory: what arrives, arrives between two questions."""

    def __init__(self, tmp_path, times: list[int]) -> None:
        self.damaged: set[str] = set()
        self._directory = tmp_path
        self._times: list[int] = []
        self.arrive(*times)

    def arrive(self, *times: int) -> None:
        self._times += times

    def ask(self, asked: Asked) -> AnswerPage:
        batch = event_batch([event_row(at, number) for number, at in enumerate(self._times)])
        question = EventRequest(
            start_ms=asked.start_ms,
            end_ms=asked.end_ms,
            limit=min(asked.limit, 2),
            cursor=read_cursor(asked.cursor) if asked.cursor else None,
            newest_first=asked.newest_first,
        )
        page = read_page(EventSnapshot(self._directory, (), (batch,)), question)
        return AnswerPage(page.events, str(page.cursor) if page.cursor else None, page.complete)


def numbers(rows: object) -> list[str]:
    """Packet ids of rows: numbers of the events in their order of arrival."""
    return [row["packet_id"] for row in rows]


def test_all_and_the_newest(tmp_path):
    """All events come oldest first, over as many pages as needed; the newest are the last ones."""
    pages = Arriving(tmp_path, [5, 1, 3, 4, 2])
    assert numbers(all_events(pages, (2, 5))) == ["p4", "p2", "p3"]
    assert numbers(newest(pages, (0, 9), 3)) == ["p2", "p3", "p0"]
    assert numbers(newest(pages, (0, 5), 9)) == ["p1", "p4", "p2", "p3"]
    assert newest(pages, (50, 60), 9) == []


def test_who_follows_sees_each_event_once(tmp_path, monkeypatch):
    """Also late events, and events of a millisecond that was shown before; but none from long before."""
    monkeypatch.setattr(event_pages, "LATE_MS", 100)
    pages, clock = Arriving(tmp_path, [900, 950, 1000, 1000]), [1000]
    comes = [[], [1010, 1000], [960, 1020, 10], [9_999, 1040], [1020]]

    def rest(rest_ms: int) -> None:
        clock[0] += 20
        pages.arrive(*comes.pop(0))

    followed = following(pages, 2, lambda: clock[0], rest)
    assert numbers(islice(followed, 8)) == ["p2", "p3", "p5", "p4", "p6", "p7", "p10", "p11"]
    assert comes == []


class Told(BaseHTTPRequestHandler):
    """A daemon with prepared answers."""

    answers: list[tuple[int, object]] = []
    questions: list[dict[str, list[str]]] = []

    def do_GET(self) -> None:
        self.questions.append(parse_qs(urlsplit(self.path).query))
        status, content = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    def log_message(self, *arguments: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of such a daemon."""
    server = HTTPServer(("127.0.0.1", 0), Told)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    Told.questions.clear()


def test_a_daemon_is_asked_for_what_is_wanted(url):
    """Conditions, range, cursor and order become parameters; its answer names damaged files."""
    daemon = Daemon(url, WANTED)
    row = {"time_ms": 1, "level": "info"}
    page = {"events": [row], "cursor": "1.1", "complete": False, "damaged": ["events-1.parquet"]}
    Told.answers = [(200, {"status": "success", "data": page})] * 2
    assert daemon.ask(Asked(1_500, 2_500, 7, "1.0", newest_first=True)).events == [row]
    assert daemon.ask(Asked()).cursor == "1.1"
    assert Told.questions == [
        {
            "source": ["s0"],
            "q": ["a b"],
            "limit": ["7"],
            "cursor": ["1.0"],
            "order": ["newest-first"],
            "start": ["1.500"],
            "end": ["2.499"],
        },
        {"source": ["s0"], "q": ["a b"], "limit": ["10000"]},
    ]
    assert daemon.damaged == {"events-1.parquet"}


def test_a_daemon_that_cannot_answer(url):
    """A bad question is the operator's, all else the outside's."""
    daemon = Daemon(url, WANTED)
    Told.answers = [(400, {"error": "bad level"}), (503, {"error": "busy"}), (200, b"<html>")]
    with pytest.raises(BadQuery, match="answers 400: bad level"):
        daemon.ask(Asked())
    with pytest.raises(Unavailable, match="answers 503: busy"):
        daemon.ask(Asked())
    with pytest.raises(Unavailable, match="no answer"):
        daemon.ask(Asked())
    with pytest.raises(BadQuery, match="expected http"):
        Daemon("localhost:9471", WANTED)
