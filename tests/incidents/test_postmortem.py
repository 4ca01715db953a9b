"""The post-mortem."""

from nissa.incidents.incident_store import LinkedAlert
from nissa.incidents.lifecycle import Entry, Escalation, IncidentReport, acknowledging, opened, resolving
from nissa.incidents.postmortem import written_postmortem

DAY_MS = 86_400_000


def test_facts_are_filled_in_and_texts_of_senders_have_no_effect() -> None:
    """Timeline, alerts, graphs as bars, errors and moves; Markdown and HTML in texts are escaped."""
    one = opened(IncidentReport("k", "<b>slow</b> *api*", "api", started_ms=DAY_MS), DAY_MS + 60_000, Escalation())
    one, acknowledged = acknowledging(DAY_MS + 120_000, "ann")(one)
    one, resolved = resolving(DAY_MS + 360_000, "ann", "line\n# two")(one)
    entries = [Entry(DAY_MS + 60_000, "opened"), acknowledged, resolved]
    line = {"labels": {"job": "api"}, "points": [[at, float(at % 8)] for at in range(96)]}
    evidence = {
        "graphs": [{"expression": "rate(x[5m])", "last_day": [line], "week_before": []}],
        "errors": [
            {"count": 3, "last_ms": DAY_MS, "text": "db: #", "last": {"source": "db", "description": "gone at 503"}}
        ],
        "moves": [{"name": "depth", "before": 1.0, "after": 3.0, "change": 2.0}],
    }
    text = written_postmortem(one, entries, [LinkedAlert("f", DAY_MS, 0, {"alertname": "A"}, {})], evidence, 0)
    assert text.startswith("# Incident 0: \\<b\\>slow\\</b\\> \\*api\\*\n")
    assert "| Trouble lasted | 6.0 minutes |" in text
    assert "1970-01-02 00:02:00 UTC, 1.0 minutes after it was opened" in text
    assert "**resolved** by ann: line \\# two" in text
    assert "- 3 times, last at 1970-01-02 00:00:00 UTC: db: gone at 503" in text
    assert "- depth: 1 to 3 (+200%)" in text
    assert any(char in text for char in "▁█")
    assert "## Root cause" in text
    assert "## Alerts" not in written_postmortem(one, entries, [], {}, 0)


def test_trouble_that_goes_on_is_counted_until_now() -> None:
    """And says so."""
    one = opened(IncidentReport("k", "t", started_ms=DAY_MS), DAY_MS, Escalation())
    assert "| Trouble lasted | 2.0 minutes, until now |" in written_postmortem(one, [], [], {}, DAY_MS + 120_000)


def test_backticks_do_not_end_code() -> None:
    """An expression may have raw strings; labels stay on their line of the block."""
    one = opened(IncidentReport("k", "t"), DAY_MS, Escalation())
    line = {"labels": {"path": "/a\r```\r# b"}, "points": [[0, 1.0]]}
    evidence = {"graphs": [{"expression": 'x{a=~`b``c`,\nd="e"}', "last_day": [line], "week_before": []}]}
    text = written_postmortem(one, [], [], evidence, 0)
    assert '``` x{a=~`b``c`, d="e"} ```, last 24 hours' in text
    assert "1 to 1 path=/a ``` # b\n```\n" in text
    evidence["graphs"][0]["expression"] = "rate(x[5m])"
    assert "`rate(x[5m])`, last" in written_postmortem(one, [], [], evidence, 0)
