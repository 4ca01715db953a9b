"""The envelope of Prometheus' HTTP API, and its error types with their status codes.

    {"status":"success","data":…,"warnings":[…],"infos":[…]}    {"status":"error","errorType":"bad_data","error":"…"}

=================  ====  ========================================================
errorType          code  for
=================  ====  ========================================================
bad_data           400   BadQuery: the author of the query
unauthorized       401   Unauthorized: nobody that may log in
execution          422   TooLarge: a limit on what a query may take; ExecutionFailed: data that do not fit it
canceled           499   QueryCanceled: nobody reads it
timeout            503   QueryTimeout
unavailable        503   Unavailable, with Retry-After
forbidden          403   a change asked for by a page of another site
not_found          404   no such route; a request id without a dedup key
method_not_allowed 405   the route has other methods, named in Allow
internal           500   all else
=================  ====  ========================================================
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response

from nissa.model.errors import (
    BadQuery,
    Damaged,
    NissaError,
    QueryCanceled,
    QueryTimeout,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from nissa.promql.limits import ExecutionFailed

RETRY_AFTER_S = 1
TEXT_ERRORS_PREFIX = "/api/v2/"
TRUNCATED = "results truncated due to limit"
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
    if isinstance(error, Unauthorized):
        return refused(401, "unauthorized", str(error))
    if isinstance(error, TooLarge | ExecutionFailed):
        return refused(422, "execution", str(error))
    if isinstance(error, QueryCanceled):
        return refused(499, "canceled", str(error))
    if isinstance(error, QueryTimeout):
        return refused(503, "timeout", str(error), RETRY_AFTER_S)
    if isinstance(error, Unavailable):
        return refused(503, "unavailable", str(error), error.retry_after_s)
    return refused(500, "internal", str(error) if isinstance(error, NissaError) else type(error).__name__)


def refused(code: int, error_type: str, message: str, retry_after_s: int | None = None) -> Response:
    """Return an error answer in Prometheus' envelope.

    code: HTTP status. error_type: such as ``bad_data``. message: for the client. retry_after_s: seconds of
    ``Retry-After``.
    """
    response = _json(code, {"status": "error", "errorType": error_type, "error": message})
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def in_form_of(path: str, answer: Response) -> Response:
    """An error answer in the form that readers of ``path`` expect: Alertmanager's, a JSON text, below ``/api/v2``."""
    if not path.startswith(TEXT_ERRORS_PREFIX):
        return answer
    plain = Response(
        orjson.dumps(orjson.loads(answer.body)["error"]), answer.status_code, media_type="application/json"
    )
    for name in set(answer.headers) - set(plain.headers):
        plain.headers[name] = answer.headers[name]
    return plain


def _json(code: int, content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), code, media_type="application/json")
