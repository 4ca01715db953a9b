"""Deletion over HTTP: in Prometheus' form, on this machine alone, and only where a daemon keeps the data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from nissa.api.admin_routes import is_admitted
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular
from oracle.engine import NOW_MS, ONE, Rig

PATHS = ("/api/v1/admin/delete_series", "/api/v1/admin/tsdb/delete_series")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine with two series of three samples, a second apart."""
    rig = Rig(tmp_path / "data")
    rig.keep([(name, NOW_MS + 1_000 * turn, ONE) for name in ("up", "down") for turn in range(3)])
    yield rig
    rig.engine.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_series_are_deleted_with_204(serve, rig, path, method):
    """Selectors are united, both ends are inside, parameters come as a query string; deleted series are not listed."""
    client = serve(rig.engine)
    second = str((NOW_MS + 1_000) / 1_000)
    answer = client.request(method, path, params={"match[]": ["up", "none"], "start": second, "end": second})
    assert (answer.status_code, answer.content) == (204, b"")
    del rig.rows["up", NOW_MS + 1_000]
    rig.check_rows()
    assert client.post(path, data={"match[]": "up"}).status_code == 204
    listed = client.get("/api/v1/series", params={"match[]": '{__name__!=""}', "start": "0"}).json()["data"]
    assert [labels["__name__"] for labels in listed] == ["down"]
    assert client.get("/api/status").json()["deletions"]["tombstones"] == 2


@pytest.mark.parametrize(
    "form", [{}, {"match[]": "{"}, {"match[]": '{job=""}'}, {"match[]": "up", "start": "20", "end": "10"}]
)
def test_what_cannot_be_deleted_is_refused(serve, rig, form):
    """Without a selector that means something, or with a range that ends before it begins, nothing changes."""
    answer = serve(rig.engine).post(PATHS[0], data=form)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
    rig.check_rows()


def test_nobody_deletes_where_no_daemon_is(serve):
    """A directory read from outside is not changed over HTTP; no other method deletes."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 3)))
    assert client.post(PATHS[0], data={"match[]": "up"}).status_code == 503
    answer = client.delete(PATHS[0])
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, PUT, OPTIONS")


def test_other_machines_are_refused_unless_told_otherwise(serve, rig, monkeypatch):
    """The address of the other end decides."""
    monkeypatch.setattr("nissa.api.admin_routes.is_admitted", lambda _: False)
    answer = serve(rig.engine).post(PATHS[0], data={"match[]": "up"})
    assert (answer.status_code, answer.json()["errorType"]) == (403, "forbidden")
    rig.check_rows()
    assert serve(rig.engine, Api(remote_deletion=True)).post(PATHS[0], data={"match[]": "up"}).status_code == 204


@pytest.mark.parametrize(
    ("client", "local"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (("::ffff:192.0.2.7", 1), False),
        (("192.0.2.7", 1), False),
        (("2001:db8::1", 1), False),
        (("somebody", 1), False),
        (None, False),
    ],
)
def test_this_machine_is_known_by_its_loopback_addresses(client, local):
    """Also as IPv4 written as IPv6; a client without an address is not this machine."""
    assert is_admitted(Request({"type": "http", "client": client})) == local
