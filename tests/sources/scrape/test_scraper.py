"""One target: frames with its labels, staleness markers, report samples, and its health."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nissa._fast.exposition_series import ExpositionSeries
from nissa.config.scrape_configs import PROTOCOLS_ASKED, Milliseconds, ScrapeConfig, Size
from nissa.model.context import Context, decode_context
from nissa.model.errors import TooLarge, Unavailable
from nissa.model.frame import Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.relabel import Relabelling, RelabelRule
from nissa.model.text_faults import LineFault
from nissa.sources.inlet import Inlet
from nissa.sources.scrape.answers import AnswerReader
from nissa.sources.scrape.fetch import Client, open_session
from nissa.sources.scrape.followed import Followed, FollowedMemory
from nissa.sources.scrape.reports import Reports
from nissa.sources.scrape.scraper import Scraper, Shared
from nissa.sources.scrape.targets import Group, targets_of
from oracle.intake import Intake
from oracle.scrape_target import OPENMETRICS, TEXT, Target, scrape_target

SERIES = ExpositionSeries(bytes(range(32)))
NOW_MS = 1_758_000_000_000
UP = ("up", "samples", "stored", "added")


def entry_of(**settings: Any) -> ScrapeConfig:
    """An entry of 30 s and 5 s."""
    defaults = {"scrape_interval": Milliseconds(30_000), "scrape_timeout": Milliseconds(5_000)}
    return ScrapeConfig(job_name="app", **{"scrape_protocols": PROTOCOLS_ASKED, **defaults, **settings})


async def at_once() -> None:
    """Wait for no other answers."""


def scraping(
    target: Target, scenario: Callable[[Scraper], Awaitable[None]], intake: Intake | None = None, **settings: Any
) -> list[Frame]:
    """Run a scenario with the scraper of a target. Returns: the frames that came, reports last."""
    intake = intake or Intake()
    entry = entry_of(**settings)

    async def run() -> None:
        inlet = Inlet(intake, Source.SCRAPE, lambda: NOW_MS)
        async with open_session() as session:
            reports = Reports(inlet)
            reports.gather = at_once  # type: ignore[method-assign] # no report is sent before the end
            memory = FollowedMemory(1 << 20)
            shared = Shared(inlet, AnswerReader(SERIES, 1 << 20), reports, lambda: Followed(SERIES, memory))
            found = targets_of(entry, Relabelling(entry.relabel_configs), [Group((target.address,), {"dc": "ams"})])
            (one,) = found.targets.values()
            await scenario(Scraper(one, entry, Client(session, entry, ""), shared))
            await reports.flush()

    asyncio.run(run())
    return intake.frames


def reported(frame: Frame) -> list[dict[str, float]]:
    """Values of each report, but for the duration."""
    lines = [line.rsplit(" ", 2) for line in frame.body.decode().splitlines()]
    values = [float(value) for _, value, _ in lines]
    return [
        dict(zip(UP, (up, *rest), strict=True))
        for up, _, *rest in (values[at : at + 5] for at in range(0, len(values), 5))
    ]


def context_of(frame: Frame) -> Context:
    return decode_context(frame.context)


def test_an_answer_becomes_a_frame() -> None:
    """The body goes on as it came, with the target's labels, the time of the scrape and how to read it."""

    async def scenario(scraper: Scraper) -> None:
        await scraper.scrape(NOW_MS)
        assert (scraper.health.state, scraper.health.error, scraper.health.scrapes) == ("up", "", 1)

    with scrape_target() as target:
        target.zipped = True
        frame, report = scraping(target, scenario, sample_limit=10, honor_timestamps=False)
        sent = target.requests[0][1]
    context = context_of(frame)
    assert (frame.encoding, frame.source) == (Encoding.GZIP, Source.SCRAPE)
    assert context.labels == {"dc": "ams", "instance": target.address, "job": "app"}
    assert (context.conflict, context.url) == ("rename", f"http://{target.address}/metrics")
    assert context.parameters == {
        "timestamp": str(NOW_MS),
        "honor_timestamps": "false",
        "rules": '{"sample_limit":10}',
    }
    assert reported(report) == [{"up": 1, "samples": 1, "stored": 1, "added": 1}]
    assert sent["Accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,")
    assert sent["X-Prometheus-Scrape-Timeout-Seconds"] == "5"


def test_series_that_go_away() -> None:
    """Series get staleness markers when an answer lacks them, when scraping fails, and when the target is removed."""

    async def scenario(scraper: Scraper) -> None:
        await scraper.scrape(NOW_MS)
        target.pages["/metrics"] = (200, {"Content-Type": OPENMETRICS}, b'a{x="2"} 1\n# EOF\n')
        await scraper.scrape(NOW_MS + 1)
        target.pages["/metrics"] = (500, {}, b"")
        await scraper.scrape(NOW_MS + 2)
        assert (scraper.health.state, scraper.health.failures) == ("down", 1)
        await scraper.scrape(NOW_MS + 3)
        target.pages["/metrics"] = b"b 1\n"
        await scraper.scrape(NOW_MS + 4)
        await scraper.end()

    with scrape_target() as target:
        target.pages["/metrics"] = b'a{x="1"} 1\na{x="2"} 1 \n'
        frames = scraping(target, scenario, honor_labels=True)
    stale = [frame for frame in frames if context_of(frame).parameters.get("stale") == "true"]
    assert [frame.body for frame in stale[:3]] == [b'a{x="1"} 0\n', b'a{x="2"} 0\n', b"b 0\n"]
    assert [context_of(frame).parameters["timestamp"] for frame in stale[:3]] == [
        str(at) for at in (NOW_MS + 1, NOW_MS + 2, NOW_MS)
    ]
    assert {context_of(frame).conflict for frame in stale[:3]} == {"keep"}
    assert stale[3].body.count(b"\n") == 5  # those of reports
    assert context_of(frames[1]).parameters["content_type"] == OPENMETRICS
    assert [(one["up"], one["added"]) for one in reported(frames[-1])] == [(1, 2), (1, 0), (0, 0), (0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("page", "settings", "error"),
    [
        (
            (200, {"Content-Type": "text/html"}, b"<html>"),
            {},
            "the target answers with content type 'text/html': expected",
        ),
        ((200, {}, b"a 1"), {}, "the target answers with no content type: expected text/plain"),
        ((200, {"Content-Type": TEXT}, b"<html>\n"), {}, "the target answers no metrics: 1 samples refused: line 1: "),
        ((200, {"Content-Type": TEXT}, b"a 1\n" * 100), {"body_size_limit": Size(99)}, "over the limit of 99"),
        ((401, {}, b""), {}, "the target answers HTTP status 401 Unauthorized"),
    ],
)
def test_answers_that_cannot_be_read(page: Any, settings: dict[str, Any], error: str) -> None:
    """The target counts as down, and its health says why."""

    async def scenario(scraper: Scraper) -> None:
        await scraper.scrape(NOW_MS)
        assert scraper.health.state == "down"
        assert error in scraper.health.error

    fault = LineFault(1, 0, "record_malformed", "a line ends before its value", text="<html>")
    intake = Intake(Receipt(refused={"record_malformed": 1}, lines=(fault,))) if b"<html>\n" in page else None
    with scrape_target() as target:
        target.pages["/metrics"] = page
        frames = scraping(target, scenario, intake, **settings)
    assert reported(frames[-1])[0]["up"] == 0


def test_fallback_protocol() -> None:
    """A target without a content type is read where the settings say how."""

    async def scenario(scraper: Scraper) -> None:
        await scraper.scrape(NOW_MS)
        assert scraper.health.state == "up"

    with scrape_target() as target:
        target.pages["/metrics"] = (200, {}, b"a 1\n# EOF\n")
        frame, _ = scraping(target, scenario, fallback_scrape_protocol="OpenMetricsText1.0.0")
    assert context_of(frame).parameters["content_type"].startswith("application/openmetrics-text")


def test_what_the_engine_says() -> None:
    """A limit fails a scrape, refused lines do not, and a full disk is no fault of the target, and not reported."""
    fault = LineFault(2, 4, "too_old", ts_ms=1, text="a 1 1")
    intake = Intake(
        TooLarge("samples of a scrape", got=2, limit=1, setting="sample_limit"),
        Receipt(samples=1, refused={"too_old": 1, "relabel_dropped": 1}, lines=(fault,)),
        Unavailable("disk"),
    )
    states = []

    async def scenario(scraper: Scraper) -> None:
        for at in range(3):
            await scraper.scrape(NOW_MS + at)
            states.append((scraper.health.state, scraper.health.error))

    with scrape_target() as target:
        target.pages["/metrics"] = b"a 1\nb 1\na 1 1\n"
        rule = RelabelRule(source_labels=("__name__",), regex="b", action="drop")
        frames = scraping(target, scenario, intake, metric_relabel_configs=(rule,))
    assert states == [
        ("down", "samples of a scrape: 2 is over the limit of 1 (sample_limit)"),
        ("up", "1 samples refused: line 2: too_old"),
        ("unknown", "unavailable: disk; retry after 1 s"),
    ]
    assert [tuple(one.values()) for one in reported(frames[-1])] == [(0, 3, 0, 0), (1, 3, 2, 2)]


def test_ticks() -> None:
    """A target is asked in its interval, at a place in it that follows from its name, until the task is cancelled."""

    async def scenario(scraper: Scraper) -> None:
        task = asyncio.create_task(scraper.run())
        async with asyncio.timeout(60):
            while scraper.health.scrapes < 3:  # noqa: ASYNC110 - the scraper has no event
                await asyncio.sleep(0.01)
        task.cancel()

    with scrape_target() as target:
        frames = scraping(target, scenario, scrape_interval=Milliseconds(50), scrape_timeout=Milliseconds(50))
    assert len([frame for frame in frames if b"up_since" in frame.body]) >= 3
