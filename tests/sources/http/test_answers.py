"""Answers to senders by outcome, over real sockets."""

import json
from http import HTTPStatus

import pytest
from sources.http.edge_rig import V2_HEADERS, Rig, telemetry, write

from nissa.model.errors import InvariantBroken, Malformed, TooLarge, Unavailable, UnsupportedMedia
from nissa.model.receipt import Example, Receipt
from nissa.sources.http.answers import Answers
from nissa.sources.http.routes import TELEMETRY, WRITE


def test_refused_samples_are_named(rig: Rig) -> None:
    """Refusals are 400 with counts per reason, the setting to change, and the numbers written all the same."""
    rig.intake.outcome = Receipt(lsn=1, samples=5, refused={"too_old": 2, "series_limit": 1, "name_missing": 4})
    response = rig.exchange(write(headers=V2_HEADERS))
    assert response.status == 400
    assert response.written == ["5", "0", "0"]
    assert response.body.decode().splitlines() == [
        "refused 7, kept 5 samples, 0 histograms, 0 exemplars",
        "name_missing: 4",
        "series_limit: 1 (setting: series.active_max)",
        "too_old: 2 (setting: acceptance.past)",
    ]


def test_remote_write_1_is_told_no_counts(rig: Rig) -> None:
    """An answer to 1.0 has none of the headers by which 2.0 counts: not when it is kept, refused, or at fault."""
    for outcome in (Receipt(samples=5), Receipt(refused={"too_old": 2}), Malformed("varint", 1)):
        rig.intake.outcome = outcome
        assert rig.exchange(write()).written == [None, None, None]
    unread = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    assert rig.exchange(write(headers=unread)).written == [None, None, None]


@pytest.mark.parametrize(
    ("ts_ms", "hint"),
    [
        (1_758_000_000, "seconds"),
        (1_758_000_000_000_000, "microseconds"),
        (1_758_000_000_000_000_000, "nanoseconds"),
        (1_758_000_000_000, ""),
        (-1, ""),
    ],
)
def test_refusals_show_an_example(rig: Rig, ts_ms: int, hint: str) -> None:
    """The first record of each reason is named, with its time, and with the unit that the time seems to have."""
    example = Example('up{a="b"}', ts_ms, 17)
    rig.intake.outcome = Receipt(refused={"too_old": 2}, examples={"too_old": example})
    line = rig.exchange(write()).body.decode().splitlines()[1]
    assert f'too_old: 2 (setting: acceptance.past); the first: up{{a="b"}} at {ts_ms} ms' in line
    assert (f"looks like {hint}" in line) if hint else ("looks like" not in line)
    told = json.loads(rig.exchange(telemetry("nissa.v2.SampleColumns")).body)
    assert told["examples"]["too_old"] == {"series": 'up{a="b"}', "ts_ms": ts_ms, "offset": 17}
    assert ("too_old" in told["hints"]) == bool(hint)


@pytest.mark.parametrize(("samples", "status"), [(3, 200), (0, 400)])
def test_refused_telemetry_is_json(rig: Rig, samples: int, status: int) -> None:
    """Telemetry that was kept in part is 200 with the counts; 400 where nothing was kept."""
    rig.intake.outcome = Receipt(samples=samples, refused={"too_new": 1})
    response = rig.exchange(telemetry("nissa.v2.SampleColumns"))
    assert response.status == status
    told = json.loads(response.body)
    assert (told["samples"], told["refused"]) == (samples, {"too_new": 1})
    assert told["settings"] == {"too_new": "acceptance.future; events: acceptance.event_future"}


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
    first = answers.outcome(Receipt(samples=2_000), WRITE, second=True)
    assert answers.outcome(Receipt(lsn=9, samples=2_000), WRITE, second=True) is first
    for route in (WRITE, TELEMETRY):
        assert b"-Written" not in answers.outcome(Receipt(samples=2_000), route, second=False).keep
    for samples in range(3_000):
        assert answers.outcome(Receipt(samples=samples), WRITE, second=True).status == 204
    assert len(answers._receipts) <= 1_024


def test_line_breaks_cannot_be_smuggled_into_headers() -> None:
    """Headers contain only text of Nissa's own; text of senders is in bodies only."""
    answer = Answers("fsync").error(UnsupportedMedia("a\r\nSet-Cookie: x"), second=True)
    assert b"Set-Cookie" not in answer.keep.partition(b"\r\n\r\n")[0]


def test_pushes() -> None:
    """The status of a success is as asked; refusals are named with the setting."""
    answers = Answers("fsync")
    assert answers.pushed(Receipt(lsn=1, samples=2), HTTPStatus.ACCEPTED).status == 202
    refused = answers.pushed(Receipt(refused={"series_limit": 2}), HTTPStatus.OK)
    assert refused.status == 400
    assert b"series.active_max" in refused.keep
    assert answers.pushed(Unavailable("no disk"), HTTPStatus.OK).status == 503
