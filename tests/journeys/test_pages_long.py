"""Pages that stay open: a stream with very many messages, a network that is cut, dead letters, keys, first paint."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from journeys.conftest import PATIENCE_MS
from journeys.page_data import write_series
from journeys.rig import Daemon, running

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
MESSAGES = 17_000  # a day of the stream, one each 5 s
HEAP_BYTES_MORE_MAX = 3_000_000
NODES_MORE_MAX = 200
OBJECTIVES = """
slos:
  - name: page_objective
    target_percentage: 99.9
    measurement_window: 30d
    ratio: {bad: nissa_ingest_refused_total, total: nissa_ingest_received_total}
"""


class Receiver:
    """A server of remote write that refuses every body until ``takes`` is set, and counts those it took."""

    def __init__(self) -> None:
        receiver = self
        self.takes = threading.Event()
        self.taken = 0

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.taken += receiver.takes.is_set()
                self.send_response(204 if receiver.takes.is_set() else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The address that bodies are posted to."""
        return f"http://127.0.0.1:{self.server.server_port}/api/v1/write"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server that refuses at first."""
    started = Receiver()
    yield started
    started.server.shutdown()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Daemon]:
    """A daemon with a sink that refuses two series, and an objective."""
    directory = tmp_path_factory.mktemp("long")
    (directory / "slo.yaml").write_text(OBJECTIVES)
    environment = {
        "NISSA_TELEMETRY__INTERVAL": "0",
        "NISSA_SLO__FILES": f'["{directory}/slo.yaml"]',
    }
    (directory / "nissa.yaml").write_text(f"sinks: {{second: {{type: remote_write, url: '{receiver.url}'}}}}")
    with running(directory / "data", "--config", str(directory / "nissa.yaml"), environment=environment) as started:
        at_ms = time.time_ns() // 1_000_000
        write_series(started, [({"__name__": name}, [(at_ms, 1.0)]) for name in ("refused_there", "refused_too")])
        yield started


def test_dead_letters_are_sent_again(page, receiver) -> None:
    """A record that a sink has refused is listed with the reason, sent again by a click, and gone once it was taken."""
    page.goto("/")
    page.get_by_text("refuses samples").first.wait_for()
    page.goto("/flow")
    letters = page.get_by_role("region", name="Dead letters")
    letter = letters.get_by_role("row").filter(has_text="refused_there")
    letters.get_by_role("row").filter(has_text="refused_too").wait_for()  # it stays for the second click
    letter.get_by_role("button", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    receiver.takes.set()
    letter.get_by_role("button", name="Send again").click()
    letter.wait_for(state="detached")
    letters.get_by_role("button", name="Send all again").click()
    letters.wait_for(state="detached")
    assert receiver.taken >= 1


def test_a_network_that_is_cut_comes_back(page) -> None:
    """The page stays, says since when it is stale, and goes on by itself."""
    page.goto("/")
    page.get_by_role("heading", name="Journal").wait_for()
    page.context.set_offline(True)
    page.get_by_text("This page is stale since").wait_for()
    page.get_by_text("the daemon cannot be reached").first.wait_for()
    page.get_by_role("heading", name="Journal").wait_for()
    page.context.set_offline(False)
    page.get_by_text("This page is stale since").wait_for(state="detached")


def test_an_objective_has_its_past(page) -> None:
    """A click on an objective shows budget and burn over time, under an address of its own."""
    page.goto("/slos")
    page.get_by_role("button", name="page_objective").click()
    detail = page.get_by_role("region", name="page_objective")
    expect(detail.locator(".panel")).to_have_count(2)
    assert page.url.endswith("/slos?name=page_objective")
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_have_count(0)


def test_keys_reach_everything(page) -> None:
    """Tab skips the navigation, ``/`` goes to the search, ``g`` and a letter to a page, ``?`` explains."""
    page.goto("/")
    page.get_by_role("heading", name="Journal").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "page"
    for letter, title in (
        ("m", "Metrics"),
        ("a", "Alerts"),
        ("s", "Sources and sinks"),
        ("c", "Settings"),
        ("b", "Objectives"),
    ):
        go_to(page, letter, title)
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.get_by_role("heading", level=1, name="Metrics").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("refused")
    page.get_by_role("button", name="refused_there").wait_for()
    page.wait_for_url("**text=refused")


def go_to(page: Any, letter: str, title: str) -> None:
    """``g`` and the letter, until the page is there: over a second and a half they are no chord."""
    heading = page.get_by_role("heading", level=1, name=title)
    ends = time.monotonic() + PATIENCE_MS / 1_000
    while time.monotonic() < ends:
        page.keyboard.press("g")
        page.keyboard.press(letter)
        with contextlib.suppress(playwright.TimeoutError):
            heading.wait_for(timeout=5_000)
            return
    raise AssertionError(f"g {letter} does not lead to {title}")


def test_who_wants_no_motion_gets_none(page) -> None:
    """Nothing moves by a transition or an animation while the system asks for reduced motion."""
    page.emulate_media(reduced_motion="reduce")
    for path in ("/", "/storage", "/alerts"):
        page.goto(path)
        page.locator("h1, h2").first.wait_for()
        moving = """[...document.querySelectorAll('*')].filter(one => {
            const {animationName, transitionDuration} = getComputedStyle(one)
            return animationName !== 'none' || transitionDuration.split(', ').some(text => parseFloat(text) > 0)
        }).map(one => one.outerHTML.slice(0, 80))"""
        assert page.evaluate(moving) == []


def used(page: Any) -> tuple[int, int]:
    """Bytes of the heap and nodes of documents, after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return heap, nodes


def test_a_page_that_stays_open_does_not_grow(page) -> None:
    """As many messages of the stream as come in a day leave heap and document as they were after a few."""
    sockets: list[Any] = []
    page.route_web_socket("**/ws/stream", lambda opened: sockets.insert(0, opened))
    page.goto("/")
    page.get_by_role("heading", name="Journal").wait_for()
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while not sockets and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    message = '{"type":"alerts","id":"1","alerts":[]}'

    def flood(count: int) -> None:
        for place in range(count):
            sockets[0].send(message)
            if place % 2_000 == 1_999:
                page.wait_for_timeout(300)
        page.wait_for_timeout(1_500)

    flood(1_000)
    heap_before, nodes_before = used(page)
    flood(MESSAGES)
    ends = time.monotonic() + PATIENCE_MS / 1_000
    while True:  # messages that have not been worked off yet are in the heap
        heap_after, nodes_after = used(page)
        grown = (heap_after - heap_before, nodes_after - nodes_before)
        if (grown[0] < HEAP_BYTES_MORE_MAX and grown[1] < NODES_MORE_MAX) or time.monotonic() > ends:
            break
        page.wait_for_timeout(1_000)
    assert grown[0] < HEAP_BYTES_MORE_MAX
    assert grown[1] < NODES_MORE_MAX


def test_the_first_paint_is_measured(page, record_property) -> None:
    """The first content is painted from what comes with the first load: no page and no editor is loaded for it."""
    page.goto("/")
    page.get_by_role("heading", name="Journal").wait_for()
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    painted = page.wait_for_function(paint).json_value()
    record_property("first_contentful_paint_ms", round(painted))
    scripts = page.evaluate(
        "performance.getEntriesByType('resource').map(one => one.name).filter(name => name.endsWith('.js'))"
    )
    assert painted > 0
    assert not [name for name in scripts if "editor" in name or "explore" in name]
