"""Screenshots of every page at three widths in both themes, and their layout compared with the committed one.

Pixels depend on fonts and on what a daemon measures, so places are compared instead: of the frame, titles and panels,
where each begins and how wide it is, and their order. ``build/screenshots`` gets the pictures, and the places found as
``layouts.json``; a layout that is meant to be new is copied from there over ``layouts.json`` beside this file.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, running

pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
KNOWN = Path(__file__).with_name("layouts.json")
SIZES = {360: 800, 1280: 900, 2560: 1440}
SETTLE_S = 20  # for a layout that differs; one that is as expected takes no time
TOLERANCE_SHARE = 0.02  # of the width of the window: digits and fonts move edges a little
PAGES = {  # with a heading that is there once everything has been asked
    "overview": ("/", "Journal"),
    "explore": ("/explore?q=vector(1)", "1 series"),
    "metrics": ("/series", "series added"),
    "events": ("/events?level=critical", "0 events"),
    "alerts": ("/alerts", "0 firing"),
    "rules": ("/alerts?tab=rules", "quiet"),
    "rule-test": ("/alerts?tab=test", "Test rules"),
    "incidents": ("/incidents", "0 under way"),
    "objectives": ("/slos", "0 objectives"),
    "agreements": ("/sla", "Agreements"),
    "performance": ("/performance", "0 services"),
    "flow": ("/flow", "Circuit breakers"),
    "storage": ("/storage", "Forecast"),
    "settings": ("/settings", "Settings in force"),
    "access": ("/settings?tab=access", "API tokens"),
    "audit": ("/settings?tab=audit", "Changes"),
}
PLACES = """[...document.querySelectorAll('header.side, main.page, h1, .panel')].flatMap(one => {
    const {left, width} = (one.localName === 'h1' ? one.parentElement : one).getBoundingClientRect()
    const name = one.getAttribute('aria-label') ?? one.className ?? ''
    return width > 1 ? [[one.localName + ' ' + name, Math.round(left), Math.round(width)]] : []
})"""
SINCE = r"(?<= added) .*|\s+$"  # series are counted since a time
Place = list[Any]  # name, left edge and width in pixels


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that measures itself, with rules and objectives that never fire."""
    directory = tmp_path_factory.mktemp("layout")
    (directory / "rules.yaml").write_text("groups: [{name: quiet, rules: [{alert: Never, expr: vector(1) > 2}]}]")
    environment = {"NISSA_TELEMETRY__INTERVAL": "1s", "NISSA_RULES__FILES": f'["{directory}/rules.yaml"]'}
    with running(directory / "data", environment=environment) as started:
        yield started


def places(page: Any) -> list[Place]:
    """Frame, title and panels of a page, in their order; numbers in their names stand for any number."""
    found = [
        [re.sub(SINCE, "", re.sub(r"[\d.,]+", "#", name)), left, width] for name, left, width in page.evaluate(PLACES)
    ]
    return [place for at, place in enumerate(found) if place not in found[:at]]


@pytest.mark.parametrize("name", PAGES)
def test_the_layout_is_as_it_was(page, name: str) -> None:
    """Nothing is missing, and nothing has moved by more than the tolerance, in any width and either theme."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    known = json.loads(KNOWN.read_text())
    path, heading = PAGES[name]
    page.goto(path)
    page.get_by_role("heading", name=heading).first.wait_for()
    page.wait_for_load_state("networkidle")
    found: dict[str, list[Place]] = {}
    wrong: list[str] = []
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        expected = known.get(name, {}).get(str(width), [])
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            found[f"{width} {theme}"] = settled(page, expected, width)
            wrong += [f"{width} {theme}: {fault}" for fault in faults(found[f"{width} {theme}"], expected, width)]
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{theme}.png")
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
    keep(name, {key.partition(" ")[0]: value for key, value in found.items() if key.endswith("light")})
    assert wrong == []


def settled(page: Any, expected: list[Place], width: int) -> list[Place]:
    """Places once they are as expected: answers come and drawings are resized after the page has its new size."""
    ends = time.monotonic() + SETTLE_S
    while True:
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        own = places(page)
        if not faults(own, expected, width) or time.monotonic() > ends:
            return own
        page.wait_for_timeout(200)


def faults(own: list[Place], expected: list[Place], width: int) -> list[str]:
    """What is missing, new, or moved by more than the tolerance."""
    if [place[0] for place in own] != [place[0] for place in expected]:
        return [f"{[place[0] for place in own]}, before {[place[0] for place in expected]}"]
    tolerance = TOLERANCE_SHARE * width
    found = []
    for (what, left, wide), (_, left_before, wide_before) in zip(own, expected, strict=True):
        if abs(left - left_before) > tolerance:
            found.append(f"{what} begins at {left}, before at {left_before}")
        if abs(wide - wide_before) > tolerance:
            found.append(f"{what} is {wide} wide, before {wide_before}")
    return found


def keep(name: str, layout: dict[str, list[Place]]) -> None:
    """Write down what was found, beside the pictures."""
    path = SCREENSHOTS / "layouts.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    lines = [f" {json.dumps(one)}: {json.dumps(layout)}" for one, layout in sorted({**found, name: layout}.items())]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
