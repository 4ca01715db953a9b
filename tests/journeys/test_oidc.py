"""Logins by a real OpenID provider: roles by groups, answers of other logins, keys that change, outages."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from journeys.oidc_provider import CLIENT_ID, authorized, installed, provider
from journeys.rig import Daemon, running

from oracle.ports import free_port

pytest.importorskip("authlib", reason="authlib is not installed: logins by OIDC are NOT tested")
pytestmark = pytest.mark.long

SECRET = "planted+client/secret:88%32"
GROUPS = {"ann": ["staff", "nissa-admins"], "bob": ["staff"], "eve": []}
PATIENCE_S = 60


class Place:
    """A daemon, the port of a provider, and the callback between them."""

    def __init__(self, daemon: Daemon, port: int, callback: str) -> None:
        self.daemon, self.port, self.callback = daemon, port, callback

    def provider(self) -> Any:
        """Start the provider."""
        return provider(self.port, SECRET, self.callback, GROUPS)

    def browser(self) -> httpx.Client:
        """A browser without cookies."""
        return httpx.Client(base_url=self.daemon.api_url, timeout=PATIENCE_S)

    def logged_in(self, browser: httpx.Client, user: str) -> httpx.Response:
        """The answer to the callback of a whole login."""
        first = browser.get("/api/v1/oidc/login")
        assert first.status_code == 302, first.text
        return browser.get(authorized(browser, first.headers["location"], user, self.callback))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A daemon that trusts the provider; the provider is not started."""
    installed()
    secret, api_port, port = tmp_path / "secret", free_port(), free_port()
    secret.write_text(SECRET)
    callback = f"http://127.0.0.1:{api_port}/api/v1/oidc/callback"
    prefix = "NISSA_API__ACCESS__"
    environment = {
        f"{prefix}ENABLED": "true",
        f"{prefix}OIDC__ISSUER": f"http://127.0.0.1:{port}",
        f"{prefix}OIDC__CLIENT_ID": CLIENT_ID,
        f"{prefix}OIDC__CLIENT_SECRET_FILE": str(secret),
        f"{prefix}OIDC__REDIRECT_URL": callback,
        f"{prefix}OIDC__SCOPES": '["openid","profile","groups"]',
        f"{prefix}OIDC__ADMIN_GROUPS": '["nissa-admins"]',
        f"{prefix}OIDC__VIEWER_GROUPS": '["staff"]',
        f"{prefix}OIDC__TIMEOUT": "30s",
    }
    with running(tmp_path / "data", "--api", f"127.0.0.1:{api_port}", environment=environment) as daemon:
        yield Place(daemon, port, callback)


def audit_of(daemon: Daemon) -> list[tuple[str, str, str]]:
    """User, way and outcome of all logins."""
    command = [sys.executable, "-m", "nissa.cli.main", "audit", "export", "--data-dir", str(daemon.directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["user"], one["via"], one["outcome"]) for one in entries if one["action"] == "session.login"]


def test_logins_by_groups(place: Place) -> None:
    """The highest role of the groups counts; who has none is refused; a session follows; keys may change."""
    with place.provider(), place.browser() as ann, place.browser() as eve:
        answer = place.logged_in(ann, "ann")
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        session = ann.get("/api/v1/session").json()["data"]
        assert (session["user"], session["role"], session["via"]) == ("oidc:ann", "admin", "session")
        cookies = answer.headers.get_list("set-cookie")
        assert any("nissa_session" in one and "HttpOnly" in one and "SameSite=strict" in one for one in cookies)
        users = ann.get("/api/v1/users").json()["data"]
        assert [(one["name"], one["role"]) for one in users] == [("oidc:ann", "admin")]
        csrf = {"X-CSRF-Token": session["csrf_token"]}
        change = {"user": "oidc:ann", "password": "correct horse battery"}
        assert ann.patch("/api/v1/users", data=change, headers=csrf).status_code == 400
        refused = place.logged_in(eve, "eve")
        assert (refused.status_code, "has a role" in refused.text) == (401, True)
        assert eve.get("/api/v1/session").json()["data"]["user"] is None
    with place.provider(), place.browser() as bob:  # has a new key
        if place.logged_in(bob, "bob").status_code == 401:  # the keys were read less than a second ago
            time.sleep(1)
            assert place.logged_in(bob, "bob").status_code == 302
        assert bob.get("/api/v1/session").json()["data"]["role"] == "viewer"
        assert bob.post("/api/v1/login", data={"user": "oidc:bob", "password": ""}).status_code == 400
        assert bob.post("/api/v1/login", data={"user": "oidc:bob", "password": "x"}).status_code == 401
    entries = [one for one in audit_of(place.daemon) if one[1] == "oidc"]
    assert entries[:2] == [
        ("oidc:ann", "oidc", "done"),
        ("", "oidc", "refused: no group in the claim groups has a role (api.access.oidc.viewer_groups)"),
    ]
    assert entries[-1] == ("oidc:bob", "oidc", "done")
    assert SECRET not in Path(place.daemon.log.name).read_text()


def test_answers_of_another_login(place: Place) -> None:
    """An answer counts in the browser that asked, once, and with its state: nobody is logged in as somebody else."""
    with place.provider(), place.browser() as ann, place.browser() as eve:
        first = ann.get("/api/v1/oidc/login")
        answer = authorized(ann, first.headers["location"], "ann", place.callback)
        assert eve.get(answer).status_code == 401  # no cookie of a login
        eve.get("/api/v1/oidc/login")
        assert eve.get(answer).status_code == 401  # the cookie of another login
        state = httpx.URL(answer).params["state"]
        assert ann.get(str(httpx.URL(answer).copy_set_param("state", "x" * len(state)))).status_code == 401
        assert ann.get(str(httpx.URL(answer).copy_set_param("code", "wrong"))).status_code == 401
        assert ann.get(answer).status_code == 302
        ann.cookies.set("nissa_oidc", first.cookies["nissa_oidc"], path="/")
        again = ann.get(answer)
        assert (again.status_code, "invalid_grant" in again.text) == (401, True)
        # Five failures of this address within a minute: it waits.
        assert [eve.get(answer).status_code for _ in range(6)][-1] == 503


def test_a_provider_that_is_away(place: Place) -> None:
    """Nobody waits for longer than the time limit; afterwards logins work as before."""
    with place.browser() as ann:
        answer = ann.get("/api/v1/oidc/login")
        assert (answer.status_code, "does not answer" in answer.text) == (503, True)
        with place.provider():
            first = ann.get("/api/v1/oidc/login")
            back = authorized(ann, first.headers["location"], "ann", place.callback)
        gone = ann.get(back)
        assert (gone.status_code, "does not answer" in gone.text) == (503, True)
        with place.provider():
            assert place.logged_in(ann, "ann").status_code == 302
