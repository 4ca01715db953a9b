"""The paths of the ingest port: purpose and allowed methods of each.

    /metrics                 exactly a path            its route
    /metrics/job/a/b/c       below a route's path      PUSH, whatever the grouping key
    //metrics/               a path but for slashes    OTHER; ``canonical`` names the path, for a redirect
    /anything                no path                   OTHER

All paths answer OPTIONS with their methods; paths for GET also answer HEAD.
"""

from typing import Final

import msgspec


class Route(msgspec.Struct, frozen=True):
    """One path.

    label: how metrics name it; allow: its methods; ingests: it takes frames; lines: its answers name lines of the body;
    otlp: of OpenTelemetry's protocol; logs: its logs.
    """

    label: str
    allow: tuple[bytes, ...]
    ingests: bool = False
    lines: bool = False
    otlp: bool = False
    logs: bool = False


_READ: Final = (b"GET", b"HEAD", b"OPTIONS")
_SEND: Final = (b"POST", b"OPTIONS")

WRITE: Final = Route("/api/v1/write", _SEND, ingests=True)
TELEMETRY: Final = Route("/api/v1/telemetry", _SEND, ingests=True)
INFLUX_1: Final = Route("/write", _SEND, ingests=True, lines=True)
INFLUX_2: Final = Route("/api/v2/write", _SEND, ingests=True, lines=True)
INFLUX_3: Final = Route("/api/v3/write_lp", _SEND, ingests=True, lines=True)
IMPORT: Final = Route("/api/v1/import", _SEND, ingests=True, lines=True)
OTLP_METRICS: Final = Route("/v1/metrics", _SEND, ingests=True, otlp=True)
OTLP_METRICS_PROMETHEUS: Final = Route("/api/v1/otlp/v1/metrics", _SEND, ingests=True, otlp=True)
OTLP_LOGS: Final = Route("/v1/logs", _SEND, ingests=True, otlp=True, logs=True)
OTLP_LOGS_PROMETHEUS: Final = Route("/api/v1/otlp/v1/logs", _SEND, ingests=True, otlp=True, logs=True)
PUSH: Final = Route("/metrics/job", (b"PUT", b"POST", b"DELETE", b"OPTIONS"), ingests=True)
PING: Final = Route("/ping", _READ)
METRICS: Final = Route("/metrics", _READ)
HEALTHY: Final = Route("/-/healthy", _READ)
READY: Final = Route("/-/ready", _READ)
OTHER: Final = Route("other", ())  # every path that is none of the above: metrics stay bounded

OTLP: Final = (OTLP_METRICS, OTLP_METRICS_PROMETHEUS, OTLP_LOGS, OTLP_LOGS_PROMETHEUS)
_LINES: Final = (INFLUX_1, INFLUX_2, INFLUX_3, IMPORT)
ROUTES: Final = (WRITE, TELEMETRY, *_LINES, *OTLP, PUSH, PING, METRICS, HEALTHY, READY)

_PUSH_STARTS: Final = (b"/metrics/job/", b"/metrics/job@base64/")
_BY_PATH: Final = {route.label.encode(): route for route in ROUTES}


def find_route(target: bytes) -> Route:
    """The route of a request target, in origin form (``/metrics?x``) or absolute form (``http://host/metrics``)."""
    route = _BY_PATH.get(target)
    if route is not None:
        return route
    path = _path_of(target)[0]
    return PUSH if path.startswith(_PUSH_STARTS) else _BY_PATH.get(path, OTHER)


def path_of(target: bytes) -> str:
    """The path of a request target as text, its escapes as they are."""
    return _path_of(target)[0].decode("latin-1")


def query_of(target: bytes) -> bytes:
    """The query of a request target, without its question mark."""
    return _path_of(target)[1][1:]


def canonical(target: bytes) -> bytes | None:
    """The target with the slashes of a route's path, where it differs from one by doubled or trailing slashes only."""
    path, query = _path_of(target)
    cleaned = b"/" + b"/".join(part for part in path.split(b"/") if part)
    return cleaned + query if cleaned in _BY_PATH else None


def _path_of(target: bytes) -> tuple[bytes, bytes]:
    """Path and query (with its ``?``) of a target; the path is empty where the target has none."""
    path, mark, query = target.partition(b"#")[0].partition(b"?")
    if not path.startswith(b"/"):
        scheme, _, rest = path.partition(b"://")
        if scheme.lower() not in (b"http", b"https"):
            return b"", b""
        path = b"/" + rest.partition(b"/")[2]
    return path, mark + query
