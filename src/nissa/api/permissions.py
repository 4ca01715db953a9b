"""The one table of routes: the role each needs, its scope, and the name of the change it makes.

A route that is missing here is for admins alone; a test compares the table with the routes. HEAD counts as GET.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from nissa.access.roles import Principal, Role, Scope
from nissa.api.page_routes import PAGES


class Permission(msgspec.Struct, frozen=True):
    """role: the lowest that may. action: of the audit entry; empty where nothing changes."""

    role: Role
    scope: Scope = Scope.QUERY
    action: str = ""


ANYBODY: Final = Permission(Role.ANYBODY)
READ: Final = Permission(Role.VIEWER)
STREAM: Final = Permission(Role.VIEWER, Scope.STREAM)
UNLISTED: Final = Permission(Role.ADMIN, Scope.CONTROL, "unlisted")

_GET: Final = {"GET": READ}
_READ: Final = {"GET": READ, "POST": READ}


def _operate(action: str) -> Permission:
    return Permission(Role.OPERATOR, Scope.CONTROL, action)


def _administer(action: str) -> Permission:
    return Permission(Role.ADMIN, Scope.CONTROL, action)


_DELETION: Final = dict.fromkeys(("POST", "PUT"), _administer("series.delete"))
_RELOAD: Final = dict.fromkeys(("POST", "PUT"), _administer("configuration.reload"))

PERMISSIONS: Final[Mapping[str, Mapping[str, Permission]]] = {
    **{path: {"GET": ANYBODY} for path in ("/", *(f"/{name}" for name in PAGES), "/assets/{name}")},  # without data
    "/incidents/{number:int}": {"GET": ANYBODY},  # a redirect to the page
    "/-/healthy": {"GET": ANYBODY},
    "/-/ready": {"GET": ANYBODY},
    "/-/reload": _RELOAD,
    "/api/alerts/{fingerprint}/ack": {"POST": _operate("alert.acknowledge")},
    "/api/metrics/summary": _GET,
    "/api/status": _GET,
    "/api/v1/accounting": _GET,
    "/api/v1/admin/delete_series": _DELETION,
    "/api/v1/admin/tsdb/delete_series": _DELETION,
    "/api/v1/alertmanagers": _GET,
    "/api/v1/alerts": _GET,
    "/api/v1/alerts/history": _GET,
    "/api/v1/alerts/{fingerprint}/acknowledge": {"POST": _operate("alert.acknowledge")},
    "/api/v1/audit": {"GET": Permission(Role.ADMIN)},
    "/api/logs/ingest": {"POST": Permission(Role.OPERATOR, Scope.INGEST)},
    "/api/telemetry": {"POST": Permission(Role.OPERATOR, Scope.INGEST)},
    "/api/v1/bronze": _GET,
    "/api/v1/clock/confirm": {"POST": _operate("clock.confirm")},
    "/api/v1/events": _READ,
    "/api/v1/export": _READ,
    "/api/v1/format_query": _READ,
    "/api/events": {"POST": Permission(Role.OPERATOR, Scope.INGEST)},
    "/api/v1/incidents": {"GET": READ, "POST": _operate("incident.open")},
    "/api/v1/incidents/summary": _GET,
    "/api/v1/incidents/{number:int}": {"GET": READ, "POST": _operate("incident.change")},
    "/api/v1/incidents/{number:int}/acknowledge": {"POST": _operate("incident.acknowledge")},
    "/api/v1/incidents/{number:int}/comment": {"POST": _operate("incident.comment")},
    "/api/v1/incidents/{number:int}/merge": {"POST": _operate("incident.merge")},
    "/api/v1/incidents/{number:int}/postmortem": _GET,
    "/api/v1/incidents/{number:int}/reopen": {"POST": _operate("incident.reopen")},
    "/api/v1/incidents/{number:int}/resolve": {"POST": _operate("incident.resolve")},
    "/api/v1/label/{name}/values": _GET,
    "/api/v1/labels": _READ,
    "/api/v1/login": {"POST": Permission(Role.ANYBODY, Scope.CONTROL, "session.login")},
    "/api/v1/logout": {"POST": Permission(Role.ANYBODY, Scope.CONTROL, "session.logout")},
    "/api/v1/metadata": _GET,
    "/api/v1/mode": {"GET": READ, "POST": _operate("mode.force")},
    "/api/v1/oidc/callback": {"GET": ANYBODY},
    "/api/v1/oidc/login": {"GET": ANYBODY},
    "/api/v1/openapi.json": _GET,
    "/api/v1/parse_query": _READ,
    "/api/v1/performance/capacity": _GET,
    "/api/v1/performance/service": _GET,
    "/api/v1/performance/services": _GET,
    "/api/v1/pins": {"GET": READ, "POST": _operate("pin.add"), "DELETE": _operate("pin.remove")},
    "/api/v1/query": _READ,
    "/api/v1/query_drawing": _READ,
    "/api/v1/query_exemplars": _READ,
    "/api/v1/query_range": _READ,
    "/api/v1/read": {"POST": READ},
    "/api/v1/requests/{epoch}/{request_id:path}": _GET,
    "/api/v1/rules": _GET,
    "/api/v1/rules/backtest": {"POST": READ},
    "/api/v1/series": _READ,
    "/api/v1/session": {"GET": ANYBODY},
    "/api/v1/session/password": {"POST": Permission(Role.VIEWER, Scope.CONTROL, "session.password")},
    "/api/v1/sinks": _GET,
    "/api/v1/notifications/dead_letters": _GET,
    "/api/v1/notifications/dead_letters/drop": {"POST": _administer("dead_letters.drop")},
    "/api/v1/notifications/dead_letters/replay": {"POST": _operate("dead_letters.replay")},
    "/api/v1/sinks/{name}/dead_letters": _GET,
    "/api/v1/sinks/{name}/dead_letters/drop": {"POST": _administer("dead_letters.drop")},
    "/api/v1/sinks/{name}/dead_letters/replay": {"POST": _operate("dead_letters.replay")},
    "/api/v1/sinks/{name}/forget": {"POST": _administer("sink.forget")},
    "/api/v1/sinks/{name}/pause": {"POST": _operate("sink.pause")},
    "/api/v1/sinks/{name}/resume": {"POST": _operate("sink.resume")},
    "/api/v1/sinks/{name}/skip": {"POST": _administer("sink.skip")},
    "/api/v1/silver/janitor": {"POST": _administer("silver.janitor")},
    "/api/v1/silver/rollups": _GET,
    "/api/v1/silver/trends": _GET,
    "/api/v1/system_config/{key}": {"GET": READ, "POST": _administer("system_config.set")},
    "/api/v1/sla/corrections": {"POST": _administer("sla.correct")},
    "/api/v1/sla/definitions": {"GET": READ, "POST": _administer("sla.define")},
    "/api/v1/sla/definitions/{id}": {"DELETE": _administer("sla.end")},
    "/api/v1/sla/heartbeats": _GET,
    "/api/v1/sla/report": _GET,
    "/api/v1/sla/snapshots": _GET,
    "/api/v1/sla/snapshots/{id}/{day}": _GET,
    "/api/v1/sla/verification": _GET,
    "/api/v1/slos": _GET,
    "/api/v1/slos/{name}/snapshots": _GET,
    "/api/v1/status/active_queries": _GET,
    "/api/v1/status/buildinfo": _GET,
    "/api/v1/status/config": _GET,
    "/api/v1/status/flags": _GET,
    "/api/v1/status/runtimeinfo": _GET,
    "/api/v1/status/series_added": _GET,
    "/api/v1/status/tsdb": _GET,
    "/api/v1/storage/forecast": _GET,
    "/api/v1/targets": _GET,
    "/api/v1/tokens": {
        "GET": Permission(Role.ADMIN),
        "POST": _administer("token.add"),
        "DELETE": _administer("token.remove"),
    },
    "/api/v1/users": {
        "GET": Permission(Role.ADMIN),
        "POST": _administer("user.add"),
        "PATCH": _administer("user.change"),
        "DELETE": _administer("user.remove"),
    },
    "/api/v2/alerts": {"GET": READ, "POST": Permission(Role.OPERATOR, Scope.INGEST)},  # a Prometheus sends them
    "/api/v2/alerts/groups": _GET,
    "/api/v2/receivers": _GET,
    "/api/v2/silence/{id}": {"GET": READ, "DELETE": _operate("silence.end")},
    "/api/v2/silences": {"GET": READ, "POST": _operate("silence.set")},
    "/api/v2/status": _GET,
    "/federate": _GET,
    "/metrics": _GET,
    "/metrics/summary": _GET,
    "/status": {"GET": ANYBODY},  # 404 unless ``status_page.enabled``
}


def actions_of(principal: Principal) -> list[str]:
    """Names of the changes that a principal may make, as the audit log names them, in order."""
    found = {
        permission.action
        for methods in PERMISSIONS.values()
        for permission in methods.values()
        if permission.action and permission.role <= principal.role and permission.scope in principal.scopes
    }
    return sorted(found)


def permission_of(method: str, path: str | None) -> Permission:
    """The permission of a route. path: as the route is declared; None: no such route, which viewers may learn."""
    if path is None or method == "OPTIONS":
        return READ
    return PERMISSIONS.get(path, {}).get("GET" if method == "HEAD" else method, UNLISTED)
