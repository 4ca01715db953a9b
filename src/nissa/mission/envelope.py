"""The envelope of Prometheus' HTTP API, and which status code says what.

    {"status":"success","data":…,"warnings":[…]}          {"status":"error","errorType":"bad_data","error":"…"}

=================  ====  =============================================
errorType          code  for
=================  ====  =============================================
bad_data           400   BadQuery: the author of the query
execution          422   TooLarge: a limit on what a query may take
timeout            503   QueryTimeout
unavailable        503   Unavailable, with Retry-After
forbidden          403   a change asked for by a page of another site
not_found          404   no such route; a request that is not remembered
not_acceptable     406   a method the route has not (as code 405)
internal           500   all else
=================  ====  =============================================
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from nissa.model.errors import BadQuery, Damaged, NissaError, QueryTimeout, TooLarge, Unavailable

RETRY_AFTER_S = 1
DAMAGED_MAX = 100  # files named in one answer


def success(data: Any, warnings: list[str] | None = None) -> Response:
    """An answer. warnings: what the reader should know about it, such as that a limit cut it."""
    content: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        content["warnings"] = warnings
    return _json(200, content)


def missing_data(damages: Mapping[str, Damaged]) -> list[str]:
    """Warnings that name what an answer lacks. damages: by path."""
    named = sorted((Path(path).name, damage.what) for path, damage in damages.items())
    told = [f"data is missing: {name}: {what}" for name, what in named[:DAMAGED_MAX]]
    return told + ([f"data is missing: {len(named) - len(told)} more files"] if len(named) > len(told) else [])


def failure(error: Exception) -> Response:
    """The answer to a query that failed. Says nothing about errors that are not of our making but their kind."""
    if isinstance(error, BadQuery):
        return refused(400, "bad_data", str(error))
    if isinstance(error, TooLarge):
        return refused(422, "execution", str(error))
    if isinstance(error, QueryTimeout):
        return refused(503, "timeout", str(error), RETRY_AFTER_S)
    if isinstance(error, Unavailable):
        return refused(503, "unavailable", str(error), error.retry_after_s)
    return refused(500, "internal", str(error) if isinstance(error, NissaError) else type(error).__name__)


def refused(code: int, error_type: str, message: str, retry_after_s: int | None = None) -> Response:
    """An error answer of this code and kind."""
    response = _json(code, {"status": "error", "errorType": error_type, "error": message})
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _json(code: int, content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), code, media_type="application/json")
