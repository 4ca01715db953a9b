"""The paths of the hot endpoint: what each is for and which methods it takes."""

from typing import Final

import msgspec


class Route(msgspec.Struct, frozen=True):
    """One path. label: how metrics name it; ingests: it takes frames; allow: its methods."""

    label: str
    allow: tuple[bytes, ...]
    ingests: bool = False


_READ: Final = (b"GET", b"HEAD")

WRITE: Final = Route("/api/v1/write", (b"POST",), ingests=True)
TELEMETRY: Final = Route("/api/v1/telemetry", (b"POST",), ingests=True)
METRICS: Final = Route("/metrics", _READ)
HEALTHY: Final = Route("/-/healthy", _READ)
READY: Final = Route("/-/ready", _READ)
OTHER: Final = Route("other", ())  # every path that is none of the above: metrics stay bounded

ROUTES: Final = (WRITE, TELEMETRY, METRICS, HEALTHY, READY)

_BY_PATH: Final = {route.label.encode(): route for route in ROUTES}


def find_route(target: bytes) -> Route:
    """The route of a request target, in origin form (``/metrics?x``) or absolute form (``http://host/metrics``)."""
    route = _BY_PATH.get(target)
    if route is not None:
        return route
    path = target.partition(b"?")[0].partition(b"#")[0]
    if not path.startswith(b"/"):
        scheme, _, rest = path.partition(b"://")
        if scheme.lower() not in (b"http", b"https"):
            return OTHER
        path = b"/" + rest.partition(b"/")[2]
    return _BY_PATH.get(path, OTHER)
