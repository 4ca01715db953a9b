"""The place of a message in its stream. Pulling itself is proven in tests/journeys/test_nats.py."""

import pytest

from nissa.sources.jetstream_pull import delivery_of


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.telemetry.nissa.3.1700.12.1758000000000000000.5",
        "$JS.ACK.domain.account.telemetry.nissa.3.1700.12.1758000000000000000.5",
        "$JS.ACK.domain.account.telemetry.nissa.3.1700.12.1758000000000000000.5.token",
    ],
)
def test_both_forms(reply: str) -> None:
    """Reply subjects are read with a domain and an account, and without."""
    assert delivery_of(reply) == (3, 1700)
