"""Grouping of errors, and the ranking of metrics that moved."""

import numpy as np

from nissa.incidents.evidence import about_service, moves_most, recurring_errors


def event(text: str, time_ms: int, source: str = "api", **attributes: str) -> dict:
    """An error."""
    return {"description": text, "time_ms": time_ms, "source": source, "attributes": attributes}


def test_errors_that_differ_in_numbers_and_ids_are_one() -> None:
    """The most frequent first, each with its newest event."""
    events = [event(f"user {n} not found in shard 0x{n:x}", n) for n in range(5)]
    events += [event('cannot open "/a/b"', 9), event("cannot open '/c'", 7), event("disk full", 8)]
    found = recurring_errors(events, 2)
    assert [(one.text, one.count, one.first_ms, one.last_ms) for one in found] == [
        ("api: user # not found in shard #", 5, 0, 4),
        ("api: cannot open #", 2, 7, 9),
    ]
    assert found[0].last["time_ms"] == 4
    assert found[0].fingerprint != found[1].fingerprint
    (unnamed,) = recurring_errors([{**event("", 1), "event_id": "door.opened"}], 2)
    assert unnamed.text == "api: door.opened"


def test_errors_of_the_service_come_first() -> None:
    """By their source or an attribute; where none is of the service, all count."""
    events = [event("a", 1), event("b", 2, "db"), event("c", 3, "lb", service="db")]
    assert [one["description"] for one in about_service(events, "db")] == ["b", "c"]
    assert len(about_service(events, "web")) == len(about_service(events, "")) == 3


def test_metrics_are_ranked_by_how_unusual_they_are() -> None:
    """A step in a calm gauge counts, noise and trifles do not; of counters the rate; what is missing is left out."""
    steps = np.arange(40.0)
    noise = np.tile([9.0, 11.0], 20)
    rows = {
        "noise": noise + np.repeat([0.0, 0.5], 20),
        "calm": noise / 10 + np.repeat([0.0, 5.0], 20),
        "requests_total": steps * 10,
        "errors_total": np.concatenate([np.zeros(20), np.arange(20) * 3.0]),
        "gone": np.where(steps < 20, 1.0, np.nan),
        "flat": np.ones(40),
        "tiny": np.repeat([0.001, 0.002], 20),
        "slight": np.repeat([100.0, 105.0], 20),
        "rare_total": np.cumsum(np.repeat([0.001, 0.002], 20)),
    }
    values = np.array(list(rows.values()))
    found = moves_most(list(rows), values, np.ones(values.shape, bool), 9)
    assert [one.name for one in found] == ["errors_total", "rare_total", "calm"], "moves below the floors are left out"
    assert (found[0].change, found[2].change is not None and found[2].change > 4) == (None, True)
