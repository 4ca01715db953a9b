"""Debian's Chromium for the journeys through the pages: one browser per module, a new context per test.

Everything waits up to ``PATIENCE_MS`` for what must come: where several browsers share two processors, the first answer
of a page can take many seconds. Playwright alone waits for 30 s, and an ``expect`` for 5 s.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as library:
        started = library.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=2 * PATIENCE_MS)
        yield started
        started.close()


@pytest.fixture
def new_context(browser, daemon) -> Iterator[Callable[..., Any]]:
    """Makes contexts for the pages of the daemon; they are closed with the test."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        context = browser.new_context(base_url=daemon.api_url, viewport={"width": 1440, "height": 900}, **options)
        context.set_default_timeout(PATIENCE_MS)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context) -> Iterator[Any]:
    """A page whose errors and warnings in the console fail the test, violations of the security policy included."""
    opened = new_context().new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    assert complaints == []


# What a browser says of a request that failed, and of the live stream where the network is cut before it stands.
UNREACHABLE = ("Failed to load resource", "WebSocket connection to ")


def is_complaint(said: Any) -> bool:
    """True of what a console says about the page itself; an answer with an error code is shown on the page."""
    return said.type in ("error", "warning") and not said.text.startswith(UNREACHABLE)
