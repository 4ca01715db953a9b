"""Sinks over HTTP: shown, paused, skipped, and their dead letters."""

import msgspec

from nissa.model.errors import BadQuery
from oracle.backend_twin import BackendTwin, regular


class Letter(msgspec.Struct):
    """A dead letter, as far as the API is concerned."""

    id: int


class Control:
    """Notes the requests of operators."""

    def __init__(self):
        self.asked = []

    def _note(self, *what):
        if what[1] != "s":
            raise BadQuery("there is no such sink")
        self.asked.append(what)

    async def pause(self, name):
        self._note("pause", name)

    async def resume(self, name):
        self._note("resume", name)

    async def skip(self, name):
        self._note("skip", name)
        return 7

    async def forget(self, name):
        self._note("forget", name)

    async def dead_letters(self, name, limit=None):
        self._note("dead_letters", name)
        return [Letter(5), Letter(6)][:limit]

    async def replay(self, name, ids):
        self._note("replay", name, ids)
        return 1, 2

    async def drop(self, name, ids):
        self._note("drop", name, ids)
        return 3


def backend():
    return BackendTwin([{"__name__": "up"}], regular(1, 3))


def test_operators_decide_about_sinks(serve, more_facts):
    """Each request reaches the daemon and is answered with what it did; unknown sinks and wrong numbers are refused."""
    control = Control()
    more_facts.update(sinks=control, status=lambda: {"sinks": {"s": {"state": "up"}}})
    client = serve(backend())
    assert client.get("/api/v1/sinks").json()["data"] == {"s": {"state": "up"}}
    expected = {
        "pause": {"paused": True},
        "resume": {"paused": False},
        "skip": {"lost_frames": 7},
        "forget": {"forgotten": True},
        "dead_letters/replay": {"delivered": 1, "left": 2},
        "dead_letters/drop": {"dropped": 3},
    }
    for path, data in expected.items():
        assert client.post(f"/api/v1/sinks/s/{path}").json() == {"status": "success", "data": data}
        assert client.post(f"/api/v1/sinks/t/{path}").status_code == 400
        foreign = client.post(f"/api/v1/sinks/s/{path}", headers={"Origin": "http://evil"})
        assert foreign.status_code == 403
    assert client.get("/api/v1/sinks/s/dead_letters").json()["data"] == [{"id": 5}, {"id": 6}]
    assert client.get("/api/v1/sinks/s/dead_letters?limit=1").json()["data"] == [{"id": 5}]
    assert client.get("/api/v1/sinks/s/dead_letters?limit=x").status_code == 400
    assert client.get("/api/v1/sinks/t/dead_letters").status_code == 400
    client.post("/api/v1/sinks/s/dead_letters/drop", data={"letter": ["4", "5"]})
    assert client.post("/api/v1/sinks/s/dead_letters/drop", data={"letter": "x"}).status_code == 400
    asked = [what for what in control.asked if what[0] in ("replay", "drop")]
    assert asked == [("replay", "s", None), ("drop", "s", None), ("drop", "s", {4, 5})]


def test_without_sinks_there_is_nothing_to_decide(serve):
    """The answer says so."""
    client = serve(backend())
    assert client.get("/api/v1/sinks").json()["data"] == {}
    assert client.post("/api/v1/sinks/s/skip").status_code == 400
    assert client.get("/api/v1/sinks/s/dead_letters").status_code == 400
