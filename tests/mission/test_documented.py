"""What the OpenAPI document says about parameters."""

import pytest

from nissa.mission.documented import documented


def test_parameters_are_described():
    """Each has a place, a schema and a sentence; an unknown one is a mistake in the route."""
    (one,) = documented("match[]")["parameters"]
    assert (one["name"], one["in"], one["schema"]["type"]) == ("match[]", "query", "array")
    assert one["description"]
    with pytest.raises(KeyError):
        documented("nothing")
