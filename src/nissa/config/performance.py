"""Settings of the performance pages: which histograms are requests, and which limits are watched."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count


class RequestHistogram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A classic histogram of durations. histogram: its name without ``_bucket``. route_labels: those that name a route.

    errors: matchers of the requests that failed, as between the braces of a selector.
    """

    histogram: str
    route_labels: tuple[str, ...] = ("method", "route")
    errors: str = 'status=~"5.."'


class CapacityLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit that must not be reached. query: an expression of one series. falls: the limit lies below the values."""

    name: str
    query: str
    limit: float
    service: str = ""
    falls: bool = False


HISTOGRAMS = (
    RequestHistogram("http_request_duration_seconds"),
    RequestHistogram(
        "http_server_request_duration_seconds",
        ("http_request_method", "http_route"),
        'http_response_status_code=~"5.."',
    ),
)


class PerformanceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """service_labels: the first that a series has names its service. routes_max: of services, in one answer.

    requests_min: in both windows, before a share of errors is said to have moved.
    """

    requests: tuple[RequestHistogram, ...] = HISTOGRAMS
    service_labels: tuple[str, ...] = ("service", "service_name", "job")
    limits: tuple[CapacityLimit, ...] = ()
    routes_max: Annotated[int, count(1, 1_000_000)] = 10_000
    requests_min: Annotated[int, count(1, 1_000_000)] = 50
