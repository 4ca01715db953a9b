"""Figures of a daemon, from what its sources received."""

from nissa.cli.daemon_figures import Figures


def test_samples_and_events_apart() -> None:
    """By the codec of the source; without metrics of Nissa itself both are unknown."""
    rates = {"http/remote_write_1": 10.0, "otlp_grpc/otlp_logs": 2.0, "nats/nissa_alert": 1.0, "http/nissa_packet": 4.0}
    figures = Figures({}, received_per_second=rates)
    assert (figures.samples_per_second, figures.events_per_second) == (14.0, 3.0)
    assert (Figures({}).samples_per_second, Figures({}).events_per_second) == (None, None)
