"""Failures of questions: answered, counted, and no harm to the next one."""

from oracle.backend_twin import BackendTwin, regular


class Broken(BackendTwin):
    """A backend that has lost its metadata."""

    def metadata(self):
        raise OSError(5, "the disk says no")


def test_a_failure_is_an_answer_and_is_counted(serve):
    """The kind of the error is answered and counted, its text is not given away; other requests go on."""
    client = serve(Broken([{"__name__": "up"}], regular(1, 1)))
    for _ in range(2):
        answer = client.get("/api/v1/metadata")
        assert (answer.status_code, answer.json()["error"]) == (500, "OSError")
    load = client.get("/api/status").json()["queries"]
    assert load["failed"] == {"OSError": 2}
    assert load["exports_running"] == 0
