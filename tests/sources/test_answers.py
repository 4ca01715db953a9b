"""What outcomes say to senders, over real sockets."""

import json

import pytest
from sources.edge_rig import V2_HEADERS, Rig, telemetry, write

from nissa.model.errors import InvariantBroken, Malformed, TooLarge, Unavailable, UnsupportedMedia
from nissa.model.receipt import Receipt
from nissa.sources.answers import Answers
from nissa.sources.routes import TELEMETRY, WRITE


def test_refused_samples_are_named(rig: Rig) -> None:
    """Refusals are 400 with counts per reason, the setting to change, and what was written all the same."""
    rig.intake.outcome = Receipt(lsn=1, samples=5, refused={"too_old": 2, "series_limit": 1, "name_missing": 4})
    response = rig.exchange(write(headers=V2_HEADERS))
    assert response.status == 400
    assert response.written == ["5", "0", "0"]
    assert response.body.decode().splitlines() == [
        "refused 7, kept 5 samples, 0 histograms, 0 exemplars",
        "name_missing: 4",
        "series_limit: 1 (setting: series.active_max)",
        "too_old: 2 (setting: acceptance.past_ms)",
    ]


@pytest.mark.parametrize(("samples", "status"), [(3, 200), (0, 400)])
def test_refused_telemetry_is_json(rig: Rig, samples: int, status: int) -> None:
    """Telemetry that was kept in part is 200 with the counts; 400 where nothing was kept."""
    rig.intake.outcome = Receipt(samples=samples, refused={"too_new": 1})
    response = rig.exchange(telemetry("nissa.v2.SampleColumns"))
    assert response.status == status
    told = json.loads(response.body)
    assert (told["samples"], told["refused"]) == (samples, {"too_new": 1})
    assert told["settings"] == {"too_new": "acceptance.future_ms"}


@pytest.mark.parametrize(
    ("outcome", "status", "text"),
    [
        (Malformed("varint of 11 bytes", 17), 400, "varint of 11 bytes at byte 17"),
        (TooLarge("snappy body", got=9, limit=8, setting="ingest.x"), 413, "9 is over the limit of 8 (ingest.x)"),
        (Unavailable("disk full", 7), 503, "disk full"),
        (InvariantBroken("lost count"), 500, "lost count"),
    ],
)
def test_errors(rig: Rig, outcome: Exception, status: int, text: str) -> None:
    """Errors say who is to blame in their status, what happened in their text, and that nothing was written."""
    rig.intake.outcome = outcome
    response = rig.exchange(write(headers=V2_HEADERS))
    assert (response.status, response.written) == (status, ["0", "0", "0"])
    assert text in response.body.decode()
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)
    assert response.headers["x-nissa-durability"] == "fsync"


def test_receipts_are_made_once() -> None:
    """Equal receipts share their bytes, and strange ones cannot fill memory."""
    answers = Answers("fsync")
    first = answers.outcome(Receipt(samples=2_000), WRITE)
    assert answers.outcome(Receipt(lsn=9, samples=2_000), WRITE) is first
    assert b"-Written" not in answers.outcome(Receipt(samples=2_000), TELEMETRY).keep
    for samples in range(3_000):
        assert answers.outcome(Receipt(samples=samples), WRITE).status == 204
    assert len(answers._receipts) <= 1_024


def test_line_breaks_cannot_be_smuggled_into_headers() -> None:
    """What goes into a header is Nissa's own; what a sender wrote stands in bodies only."""
    answer = Answers("fsync").error(UnsupportedMedia("a\r\nSet-Cookie: x"), WRITE)
    assert b"Set-Cookie" not in answer.keep.partition(b"\r\n\r\n")[0]
