"""The log of refused lines: some of them with their text, the rest as a number."""

from structlog.testing import capture_logs

from nissa.sources.refused_lines import INTERVAL_S, LINES_MAX, RefusedLines


def test_lines_are_logged_up_to_a_number_in_an_interval() -> None:
    """Ten lines show their text; the next interval says how many were not shown."""
    refused = RefusedLines("sources.graphite")
    with capture_logs() as entries:
        for number in range(3):
            refused.note([("record_malformed", f"line {number}-{at}") for at in range(6)], 100, float(number))
        assert len(entries) == LINES_MAX
        assert entries[0]["line"] == "line 0-0"
        assert entries[0]["reason"] == "record_malformed"
        refused.note([("too_old", "x")], 1, INTERVAL_S)
    assert [entry.get("lines", entry.get("line")) for entry in entries[LINES_MAX:]] == [300 - LINES_MAX, "x"]
