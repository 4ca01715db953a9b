"""Debian's Chromium for the journeys through the pages: one browser per module, a new context per test."""

from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as library:
        started = library.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture
def page(browser, daemon) -> Iterator[Any]:
    """A page whose errors and warnings in the console fail the test, violations of the security policy included."""
    context = browser.new_context(base_url=daemon.api_url, viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    assert complaints == []
    context.close()


def is_complaint(said: Any) -> bool:
    """True of what a console says about the page itself; an answer with an error code is shown on the page."""
    return said.type in ("error", "warning") and not said.text.startswith("Failed to load resource")
