"""Identity of alerts."""

from nissa.model.alert import label_fingerprint


def test_fingerprints_are_those_of_alertmanager() -> None:
    """Values that Alertmanager's API shows for the same labels; order does not matter."""
    assert label_fingerprint({}) == "cbf29ce484222325"
    one = label_fingerprint({"alertname": "a", "job": "b"})
    assert one == label_fingerprint({"job": "b", "alertname": "a"})
    assert one != label_fingerprint({"alertname": "aj", "ob": "b"})
