"""Graphs of Explore in Debian's Chromium: lines, densities of very many lines, heatmaps of histograms."""

import re
import time
from collections.abc import Iterator

import pytest
from journeys.page_data import write_series
from journeys.rig import Daemon, running

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
SERIES = 1_000
PAINTED = """() => {
    const canvas = document.querySelector('canvas')
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
    return pixels.filter((channel, at) => at % 4 === 3 && channel === 255).length / (pixels.length / 4)
}"""


@pytest.fixture(scope="module")
def end_ms() -> int:
    """The time of the last samples. Graphs end there, so that they are the same however long the tests take."""
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, end_ms: int) -> Iterator[Daemon]:
    """A thousand series that rise side by side, and a histogram of three buckets."""
    with running(tmp_path_factory.mktemp("graphs") / "data") as started:
        times = [end_ms - 10_000 * ago for ago in range(20, -1, -1)]
        lines = [
            ({"__name__": "many", "line": f"{line:04}"}, [(at_ms, line + at) for at, at_ms in enumerate(times)])
            for line in range(SERIES)
        ]
        buckets = [
            ({"__name__": "took_seconds_bucket", "le": bound}, [(at_ms, at * rate) for at, at_ms in enumerate(times)])
            for bound, rate in (("0.1", 10), ("0.5", 30), ("+Inf", 31))
        ]
        write_series(started, lines + buckets)
        yield started


def test_very_many_lines_are_a_density(page, end_ms: int) -> None:
    """All are drawn as shades, the list holds the rows in view alone, and the line at the pointer has its name."""
    page.goto(f"/explore?q=many&span=300000&end={end_ms}")
    page.get_by_role("heading", name="1,000 series").wait_for()
    page.get_by_text("lines at one point").wait_for()
    page.get_by_role("img", name=re.compile("from 1 to [1-9]")).wait_for()
    page.wait_for_function(f"({PAINTED})() > 0.25")
    assert page.locator(".legend tbody tr").count() < 60

    page.get_by_label("Search series").fill('line="0777"')
    page.get_by_role("button", name="0777").click()
    page.locator("figcaption", has_text="0777").wait_for()
    page.get_by_label("Search series").fill("")
    page.get_by_role("columnheader", name="max").get_by_role("button").click()
    page.locator(".legend tbody tr", has_text="1.02 k").first.wait_for()

    page.locator(".u-over").hover()
    page.locator("figcaption strong").wait_for()


def test_few_lines_are_told_apart(page, end_ms: int) -> None:
    """A click on one shows it alone; with Ctrl it is hidden; its numbers stand beside it."""
    page.goto(f'/explore?q=many{{line%3D~"000[0-4]"}}&span=300000&end={end_ms}')
    page.get_by_role("heading", name="5 series").wait_for()
    page.locator(".legend tbody button").first.click()
    expect(page.locator(".legend .off")).to_have_count(4)
    page.locator(".legend tbody button").first.click()
    expect(page.locator(".legend .off")).to_have_count(0)
    page.locator(".legend tbody button").first.click(modifiers=["Control"])
    expect(page.locator(".legend .off")).to_have_count(1)


def test_a_histogram_is_a_heatmap(page, end_ms: int) -> None:
    """Its buckets are rows, with as many observations each as the rates say, and graphs beside it share the pointer."""
    page.goto(f"/explore?view=heatmap&q=took_seconds_bucket&q=many{{line%3D'0001'}}&span=180000&end={end_ms}")
    page.get_by_role("heading", name="3 buckets").wait_for()
    page.get_by_text("sum by (le) (rate(took_seconds_bucket[1m]))").wait_for()
    page.get_by_role("img", name="in one bucket").wait_for()
    page.get_by_role("heading", name="1 series").wait_for()
    page.locator(".u-over").first.hover()  # in its middle, once it has stopped to move
    page.get_by_text("over 0.1 up to 0.5").wait_for()
    expect(page.locator("figcaption strong").first).to_have_text("2")
    page.locator("figcaption", has_text="many{").wait_for()


def test_what_is_no_histogram_says_so(page) -> None:
    """A heatmap of series without bounds explains what it needs."""
    page.goto("/explore?view=heatmap&q=sum by (le) (many)")
    page.get_by_text("A heatmap needs a classic histogram").wait_for()
