"""Reports on scrapes: series of each target, collected to frames."""

import asyncio

from nissa.model.context import decode_context
from nissa.model.errors import Unavailable
from nissa.model.frame import Codec, Source
from nissa.sources.inlet import Inlet
from nissa.sources.scrape.reports import Reports, report_series
from oracle import exposition
from oracle.intake import Intake

LABELS = {"instance": "web-1:9100", "job": 'a "b" \\ c\n', "my.label": "ü"}


def test_reports_are_joined() -> None:
    """Reports of some targets are one frame, whose lines have the labels, values and times that were given."""
    intake = Intake()

    async def scenario() -> None:
        reports = Reports(Inlet(intake, Source.SCRAPE, lambda: 7))
        reports.add(report_series(LABELS), (1, 0.012, 500, 400, 3), 1_000)
        reports.add(report_series({}), (0, 5.0, 0, 0, 0), 2_000)
        await asyncio.sleep(0.4)
        await reports.flush()

    asyncio.run(scenario())
    (frame,) = intake.frames
    assert (frame.codec, frame.source, frame.context) == (Codec.EXPOSITION, Source.SCRAPE, b"")
    rows = exposition.expect(frame.body, False, 0, 0, 1 << 60).rows
    assert [(dict(labels)["__name__"], ts_ms, value) for labels, ts_ms, value in rows] == [
        ("up", 1_000, 1.0),
        ("scrape_duration_seconds", 1_000, 0.012),
        ("scrape_samples_scraped", 1_000, 500.0),
        ("scrape_samples_post_metric_relabeling", 1_000, 400.0),
        ("scrape_series_added", 1_000, 3.0),
        ("up", 2_000, 0.0),
        ("scrape_duration_seconds", 2_000, 5.0),
        ("scrape_samples_scraped", 2_000, 0.0),
        ("scrape_samples_post_metric_relabeling", 2_000, 0.0),
        ("scrape_series_added", 2_000, 0.0),
    ]
    assert dict(rows[0][0]) == {"__name__": "up", **LABELS}


def test_the_end_of_a_target() -> None:
    """Its series get markers, and a frame that is not stored is no fault of the source."""
    intake = Intake(Unavailable("disk"))

    async def scenario() -> None:
        reports = Reports(Inlet(intake, Source.SCRAPE, lambda: 7))
        await reports.end(report_series(LABELS), 5)
        await reports.flush()

    asyncio.run(scenario())
    (frame,) = intake.frames
    assert decode_context(frame.context).parameters == {"stale": "true"}
    assert len(exposition.expect(frame.body, False, 0, 0, 10).rows) == 5
