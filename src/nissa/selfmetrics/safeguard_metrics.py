"""Metrics of the safeguards."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _breaker(name: str, kind: Kind, help: str, path: str, aliases: tuple[str, ...] = ()) -> Metric:
    labels = ("breaker",)
    return Metric(name=name, kind=kind, help=help, origin="breaker", path=path, labels=labels, aliases=aliases)


def _status(
    name: str, kind: Kind, help: str, path: str, labels: tuple[str, ...] = (), scale: float = 1.0, unit: str = ""
) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=path, labels=labels, scale=scale, unit=unit)


SAFEGUARDS: Final = (
    _breaker(
        "nissa_breaker_state",
        "gauge",
        "State of a circuit breaker: 0 closed, 1 open, 2 half-open. Open, what it protects is not used.",
        "gauge",
        ("nissa.breaker.state",),
    ),
    _breaker("nissa_breaker_opened_total", "counter", "Times a circuit breaker has opened since start.", "opened"),
    _breaker(
        "nissa_breaker_failures_total",
        "counter",
        "Failures reported to a circuit breaker since start; bad input is none.",
        "failures",
    ),
    _breaker(
        "nissa_breaker_refused_total",
        "counter",
        "Calls that a circuit breaker refused since start because it was open or its probes were under way.",
        "refused",
    ),
    Metric(
        name="nissa_shed_frames_total",
        kind="counter",
        help="Frames refused at the ingest port since start, by source, priority and reason.",
        origin="shed",
        path="safeguards.shed",
        labels=("source", "priority", "reason"),
    ),
    _status(
        "nissa_mode",
        "gauge",
        "Mode under load: 0 normal, 1 conservative, 2 emergency.",
        "safeguards.mode.gauge",
    ),
    _status(
        "nissa_mode_changes_total",
        "counter",
        "Changes of the mode under load since start, by trigger; clear: a mode was left.",
        "safeguards.mode.changes",
        ("trigger",),
    ),
    _status(
        "nissa_load_ratio",
        "gauge",
        "Load that the mode follows: cpu and memory of what the process may use, queue of its limit, errors of frames.",
        "safeguards.mode.load_percent",
        ("load",),
        0.01,
        "ratio",
    ),
)
