"""The refusal of a request while it arrives."""

from http import HTTPStatus

from nissa.sources.http.fault import RequestError


def test_it_says_what_to_answer() -> None:
    """A refusal carries the status and the words of its answer."""
    error = RequestError(HTTPStatus.EXPECTATION_FAILED, "no such thing")
    assert (error.status, error.text, str(error)) == (417, "no such thing", "no such thing")
