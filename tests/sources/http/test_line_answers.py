"""Answers to senders of lines, as the clients of InfluxDB read them."""

import json

from nissa.model.receipt import Receipt
from nissa.model.text_faults import LineFault
from nissa.sources.http.line_answers import refused_body, refused_lines

FAULTS = (
    LineFault(2, 10, "record_malformed", "a value is not a number", None, "cpu x=y"),
    LineFault(3, 18, "too_old", "", 5, "cpu x=1 5"),
    LineFault(4, 28, "series_limit"),
    LineFault(5, 29, "series_limit"),
)


def test_lines_are_named() -> None:
    """Each line with its number, its text and its fault; the message names the first three and the counts."""
    receipt = Receipt(samples=7, refused={"record_malformed": 1, "too_old": 1, "series_limit": 2}, lines=FAULTS)
    body = json.loads(refused_lines(receipt, {"too_old": "acceptance.past"}))
    assert body["code"] == "invalid"
    assert body["error"] == body["message"]
    assert body["message"] == (
        "partial write: 7 written, 4 refused (record_malformed 1, series_limit 2, too_old 1); line 2: "
        "record_malformed: a value is not a number; line 3: too_old: its time is 5 ms (setting: acceptance.past); "
        "line 4: series_limit"
    )
    assert [each["line_number"] for each in body["data"]] == [2, 3, 4, 5]
    assert body["data"][0] == {
        "line_number": 2,
        "original_line": "cpu x=y",
        "error_message": "record_malformed: a value is not a number",
    }


def test_faults_in_words() -> None:
    """Faults that concern no line have the same fields, without data."""
    for status, code in (
        (400, "invalid"),
        (401, "unauthorized"),
        (413, "request too large"),
        (503, "unavailable"),
        (500, "internal error"),
    ):
        assert json.loads(refused_body(status, "why")) == {"code": code, "message": "why", "error": "why"}  # type: ignore[arg-type]
