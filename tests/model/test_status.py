"""Status of a backend: what it has is shown, what it has not is left out."""

from nissa.model.status import QueueStatus, SeriesStatus, Status


def test_sections_that_are_missing_are_left_out():
    """A directory read from outside shows its mode, place, series and reason, and nothing of a running engine."""
    status = Status(mode="offline", data_dir="/data", series=SeriesStatus(3, 2))
    series = {"total": 3, "active": 2}
    assert status.facts() == {"mode": "offline", "data_dir": "/data", "reason": None, "series": series}
    assert status.quarantined() == (0, 0)


def test_sections_are_plain_values():
    """Sections become dictionaries, as JSON holds them."""
    quarantine = {"blocks": 2, "rows": 70}
    series, queue = SeriesStatus(1, 1, limit=10), QueueStatus(frames=4, bytes=99)
    status = Status(mode="ready", data_dir="", series=series, queue=queue, maintenance={"quarantine": quarantine})
    assert status.facts()["queue"] == {"frames": 4, "bytes": 99}
    assert status.facts()["series"] == {"total": 1, "active": 1, "limit": 10}
    assert status.quarantined() == (2, 70)
