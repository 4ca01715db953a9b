"""Answers of the bulk API: the outcome of each item."""

import json

import pytest

from nissa.forwarders.bulk_answers import error_text, judge_bulk, judge_items
from nissa.forwarders.remote_write_answers import Verdict
from nissa.forwarders.sink_client import SinkAnswer


def answer(*statuses: int, whole: bool = True) -> SinkAnswer:
    """An answer with status 200 for these items."""
    items = [
        {"create": {"status": one, **({"error": {"type": "t", "reason": f"r{one}"}} if one > 299 else {})}}
        for one in statuses
    ]
    return SinkAnswer(200, {}, json.dumps({"errors": True, "items": items}).encode(), whole)


def test_each_item_is_judged() -> None:
    """409 is done; 429 and 5xx go again; other 4xx are refused with the reason."""
    found = judge_items(answer(201, 409, 429, 503, 400, 200, 422), 7)
    assert (found.done, found.again.tolist(), found.gone, found.blocked) == (3, [2, 3], False, False)
    assert [row for row, _ in found.dead] == [4, 6]
    assert found.dead[0][1] == "the sink answers status 400 for an event: t: r400"
    assert found.reason.endswith("status 429 for an event: t: r429")


def test_an_answer_without_errors_is_not_parsed() -> None:
    """Such an answer needs a good status for each item, and no further items."""
    content = b'{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":200}}]}'
    assert judge_items(SinkAnswer(200, {}, content), 2).done == 2
    with pytest.raises(ValueError, match="tells of 2 items, the request had 3"):
        judge_items(SinkAnswer(200, {}, content), 3)
    wrong = content.replace(b"200", b"400")
    assert [row for row, _ in judge_items(SinkAnswer(200, {}, wrong), 2).dead] == [1]


def test_a_stream_that_is_gone_and_missing_permission_are_told() -> None:
    """Such items are not refused: they go again."""
    assert judge_items(answer(404, 201), 2).gone
    blocked = judge_items(answer(403, 201), 2)
    assert (blocked.blocked, blocked.again.tolist(), blocked.dead) == (True, [0], [])


@pytest.mark.parametrize(
    "one",
    [
        answer(201),
        answer(201, 201, whole=False),
        SinkAnswer(200, {}, b"<html>welcome"),
        SinkAnswer(200, {}, b'{"errors":false}'),
        SinkAnswer(200, {}, b'{"items":[{"create":{}},{"create":{}}]}'),
        SinkAnswer(200, {}, b'{"items":[{"create":{"status":1%s}},{"create":{"status":201}}]}' % (b"0" * 18)),
        SinkAnswer(200, {}, b'{"items":[{"create":{"status":-1}},{"create":{"status":201}}]}'),
        SinkAnswer(200, {}, b'{"items":[{"create":{"status":400,"error":' + b"[" * 100_000),
    ],
)
def test_an_answer_that_does_not_tell_is_none(one: SinkAnswer) -> None:
    """Status 200 alone says nothing: the items are sent again."""
    with pytest.raises(ValueError, match="the answer"):
        judge_items(one, 2)


def test_statuses_of_requests() -> None:
    """Statuses are judged as for remote write; 413 is about the data."""
    found = [judge_bulk(SinkAnswer(status, {})) for status in (200, 429, 503, 401, 302, 413, 400)]
    assert [one.name for one in found] == ["DELIVERED", "RETRY", "RETRY", "BLOCKED", "BLOCKED", "REFUSED", "REFUSED"]
    assert found[0] is Verdict.DELIVERED


def test_errors_are_shown_on_one_line() -> None:
    """Errors that are plain text, or empty, are shown on one line too."""
    assert error_text({"type": "t", "reason": "a\nb", "x": 1}) == "t: a b"
    assert (error_text("word"), error_text(None)) == ("word", "")
    cause = {"reason": "why", "caused_by": {"type": "t", "reason": "deeper", "caused_by": {"reason": "not shown"}}}
    assert error_text({"type": "t", "reason": "failed", "caused_by": cause}) == "t: failed: why: deeper"
    assert error_text({"reason": "failed: why", "caused_by": {"reason": "why"}}) == "failed: why"
