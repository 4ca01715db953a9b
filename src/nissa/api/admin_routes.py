"""The route that deletes series by selector and range, in the form of Prometheus' admin API.

A deletion cannot be undone, so only requests from the same machine are allowed, unless ``api.remote_deletion`` is
set.
"""

import ipaddress

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.access.roles import Via
from nissa.api.access_control import principal_of
from nissa.api.audit_trail import note_change
from nissa.api.documented import documented, documented_form
from nissa.api.envelope import refused
from nissa.api.parameters import Parameters
from nissa.api.state import api_state_of
from nissa.model.errors import Unavailable
from nissa.query.limits import Allowance

router = APIRouter()
_NAMES = ("match[]", "start", "end", "since")
_FORM = documented_form(*_NAMES, needed=("match[]",))
_QUERY = documented(*_NAMES, needed=("match[]",))


@router.post("/api/v1/admin/delete_series", status_code=204, openapi_extra=_FORM)
@router.put("/api/v1/admin/delete_series", status_code=204, openapi_extra=_QUERY)
@router.post("/api/v1/admin/tsdb/delete_series", status_code=204, openapi_extra=_FORM)
@router.put("/api/v1/admin/tsdb/delete_series", status_code=204, openapi_extra=_QUERY)
async def delete_series(request: Request) -> Response:
    """Delete samples received until now of the selected series, in a time range or altogether."""
    api_state = api_state_of(request)
    admin = api_state.backend.admin
    if not api_state.limits.remote_deletion and not is_admitted(request):
        return refused(403, "forbidden", "deletion is for this machine alone (api.remote_deletion)")

    def work(parameters: Parameters, allowance: Allowance) -> Response:
        if admin is None:
            raise Unavailable("this data directory is only read here; the request needs the daemon that writes it")
        deleted = {name: parameters.texts(name) for name in _NAMES if parameters.texts(name)}
        note_change(request, target=" ".join(parameters.texts("match[]"))[:200], after={"deleted": deleted})
        admin.delete_series(parameters.selectors(needed=True), parameters.interval_ms(), allowance.check)
        return Response(status_code=204)

    return await api_state.answer(request, work)


def is_admitted(request: Request) -> bool:
    """True if access control has admitted the request, or the other end of the connection is on this machine."""
    if principal_of(request).via not in (Via.LOOPBACK, Via.NOTHING):
        return True
    try:
        address = ipaddress.ip_address("" if request.client is None else request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
