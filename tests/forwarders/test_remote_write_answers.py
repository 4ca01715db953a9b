"""Meanings of answers to requests of remote write."""

import pytest

from nissa.forwarders.remote_write_answers import WRITTEN, Verdict, judge, retry_after_ms
from nissa.forwarders.sink_client import SinkAnswer
from nissa.model.units import DAY_MS

NOW_MS = 1_445_412_420_000  # Wed, 21 Oct 2015 07:27:00 GMT


@pytest.mark.parametrize(
    ("status", "verdict_1", "verdict_2"),
    [
        (200, Verdict.DELIVERED, Verdict.FALL_BACK),
        (204, Verdict.DELIVERED, Verdict.FALL_BACK),
        (301, Verdict.BLOCKED, Verdict.BLOCKED),
        (308, Verdict.BLOCKED, Verdict.BLOCKED),
        (400, Verdict.REFUSED, Verdict.REFUSED),
        (401, Verdict.BLOCKED, Verdict.BLOCKED),
        (403, Verdict.BLOCKED, Verdict.BLOCKED),
        (404, Verdict.BLOCKED, Verdict.BLOCKED),
        (413, Verdict.REFUSED, Verdict.REFUSED),
        (415, Verdict.REFUSED, Verdict.FALL_BACK),
        (422, Verdict.REFUSED, Verdict.REFUSED),
        (429, Verdict.RETRY, Verdict.RETRY),
        (500, Verdict.RETRY, Verdict.RETRY),
        (503, Verdict.RETRY, Verdict.RETRY),
        (999, Verdict.RETRY, Verdict.RETRY),
    ],
)
def test_statuses(status: int, verdict_1: Verdict, verdict_2: Verdict) -> None:
    """Success, falling back, retrying, and the two kinds of refusal."""
    answer = SinkAnswer(status, {})
    assert (judge(answer, "1.0"), judge(answer, "2.0")) == (verdict_1, verdict_2)


def test_a_sink_of_2_0_says_what_it_wrote() -> None:
    """An answer of success with the header counts as delivered."""
    assert judge(SinkAnswer(204, {WRITTEN: "5"}), "2.0") is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [
        ("", 0),
        ("3", 3_000),
        ("0.5", 500),
        ("-1", 0),
        ("1000000000", DAY_MS),
        ("inf", DAY_MS),
        ("NaN", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60_000),
        ("Wed, 21 Oct 2015 07:26:00 GMT", 0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 0),
    ],
)
def test_retry_after(text: str, pause_ms: int) -> None:
    """Seconds or a date; what cannot be read asks for nothing, and the absurd is bounded."""
    assert retry_after_ms({"retry-after": text}, NOW_MS) == pause_ms
