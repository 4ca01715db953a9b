"""Status codes and bodies of failures."""

import orjson
import pytest

from nissa.api.envelope import failure, success
from nissa.model.errors import BadQuery, Damaged, QueryCanceled, QueryTimeout, TooLarge, Unavailable
from nissa.promql.limits import ExecutionFailed


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (BadQuery("no"), 400, "bad_data"),
        (TooLarge("samples", got=2, limit=1, setting="api.query_samples_max"), 422, "execution"),
        (ExecutionFailed("many-to-many"), 422, "execution"),
        (QueryCanceled("gone"), 499, "canceled"),
        (QueryTimeout("slow"), 503, "timeout"),
        (Unavailable("disk", 7), 503, "unavailable"),
        (Damaged("blocks/1", "crc"), 500, "internal"),
        (ValueError("secret"), 500, "internal"),
    ],
)
def test_each_error_has_its_code_and_kind(error, code, kind):
    """Nissa's own errors have a message; others have only their kind."""
    answer = failure(error)
    body = orjson.loads(answer.body)
    assert (answer.status_code, body["status"], body["errorType"]) == (code, "error", kind)
    assert "secret" not in body["error"]
    assert (code == 503) == ("retry-after" in answer.headers)


def test_warnings_stand_only_where_there_are_some():
    """A plain answer has status and data alone."""
    assert orjson.loads(success([1]).body) == {"status": "success", "data": [1]}
    assert orjson.loads(success([1], ["cut"]).body)["warnings"] == ["cut"]
