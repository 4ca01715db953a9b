"""The mode over HTTP: shown, forced by an operator, and what it refuses."""

from nissa.model.errors import BadQuery
from oracle.backend_twin import BackendTwin, regular


def test_a_mode_is_shown_and_forced(serve, more_facts):
    """The parameters reach the daemon; names that are none, and requests without one, are refused."""
    forced = []

    def force(name, reason):
        if name == "fast":
            raise BadQuery("no such mode")
        forced.append((name, reason))
        return {"mode": name}

    more_facts.update(mode=lambda: {"mode": "normal"}, force_mode=force)
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 3)))
    assert client.get("/api/v1/mode").json() == {"status": "success", "data": {"mode": "normal"}}
    answer = client.post("/api/v1/mode", data={"mode": "emergency", "reason": "a drill"})
    assert answer.json() == {"status": "success", "data": {"mode": "emergency"}}
    assert client.post("/api/v1/mode?mode=auto").status_code == 200
    assert forced == [("emergency", "a drill"), ("auto", "")]
    for form in ({}, {"mode": "fast"}, {"mode": "normal", "reason": "x" * 1_001}):
        assert client.post("/api/v1/mode", data=form).status_code == 400
    assert client.post("/api/v1/mode", data={"mode": "normal"}, headers={"Origin": "http://evil"}).status_code == 403
    assert len(forced) == 2


def test_a_directory_read_from_outside_has_no_modes(serve):
    """The answer says that it takes a daemon."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 3)))
    assert client.post("/api/v1/mode", data={"mode": "normal"}).status_code == 503


def test_a_mode_refuses_expensive_queries(serve, more_facts):
    """Exports get 503 with Retry-After, queries of too many samples name the setting; cheap ones are answered."""
    more_facts.update(mode=lambda: {"mode": "conservative"}, conserved_samples_max=lambda: 2)
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 3)))
    answer = client.get("/api/v1/export", params={"match[]": '{__name__!=""}'})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "exports are refused in conservative mode" in answer.json()["error"]
    question = {"query": "count_over_time(up[1m])", "time": "1732190003"}
    answer = client.get("/api/v1/query", params=question)
    assert answer.status_code == 422
    assert "over the limit of 2 (safeguards.conservative_mode.query_samples_max)" in answer.json()["error"]
    assert client.get("/api/v1/query", params={"query": "1 + 1"}).status_code == 200
