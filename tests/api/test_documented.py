"""Parameters in the OpenAPI document."""

import pytest

from nissa.api.documented import documented, documented_form


def test_parameters_are_described():
    """Each has a place, a schema and a sentence; an unknown one is a mistake in the route."""
    (one,) = documented("match[]")["parameters"]
    assert (one["name"], one["in"], one["schema"]["type"]) == ("match[]", "query", "array")
    assert one["description"]
    with pytest.raises(KeyError):
        documented("nothing")


def test_forms_are_described():
    """The same parameters as fields of a form; those that are needed are named."""
    body = documented_form("query", "time", needed=("query",))["requestBody"]
    schema = body["content"]["application/x-www-form-urlencoded"]["schema"]
    assert (body["required"], schema["required"], set(schema["properties"])) == (True, ["query"], {"query", "time"})
    assert documented("query", "time", needed=("query",))["parameters"][0]["required"]
    assert documented_form("time")["requestBody"]["required"] is False
