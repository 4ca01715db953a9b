"""Requests by every role: the matrix of routes, methods and roles, CSRF, tokens, proxies, brute force."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nissa.access.roles import Role, Scope
from nissa.access.secret_tokens import csrf_token_of
from nissa.access.sessions import start_session
from nissa.access.tokens import ApiToken, add_token, remove_token
from nissa.access.users import add_user, change_user, login
from nissa.api.permissions import PERMISSIONS, permission_of
from nissa.config.access import Access, RatesByRole, RequestRates
from nissa.config.tree import Api
from nissa.database.database import Database
from nissa.query.api_counts import ApiCounts
from oracle.backend_twin import BackendTwin, regular

NOW_MS = 1_732_190_009_000  # of the clock of tests/api
PASSWORD = "correct horse battery"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ANY = RequestRates(0, 0, 0)
UNLIMITED = RatesByRole(ANY, ANY, ANY)


@pytest.fixture
def database(database: Database, more_facts: dict[str, Any]) -> Database:
    """The database of the API that is served next."""
    more_facts["database"] = lambda: database
    return database


@pytest.fixture
def client(serve, database) -> httpx.Client:
    """An API with access control."""
    return serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=Access(True), rate_limits=UNLIMITED))


def bearer(database: Database, role: str, *scopes: Scope, name: str = "") -> dict[str, str]:
    """Headers with a new token."""
    token = ApiToken(name or role, Role[role.upper()], scopes or tuple(Scope), NOW_MS, 0)
    return {"Authorization": f"Bearer {add_token(database, token)}"}


def session_of(database: Database, user: str) -> str:
    """The secret of a new session."""
    return start_session(database, user, NOW_MS, 60_000, 100)


def taken_by(method: str, filled: str) -> str | None:
    """The route with a parameter that takes this path by this method; None without one."""
    for path, methods in PERMISSIONS.items():
        pattern = "".join(
            ("[0-9]+" if part.endswith(":int}") else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", path)
        )
        if "{" in path and method in methods and re.fullmatch(pattern, filled):
            return path
    return None


@pytest.mark.long
def test_matrix(client, database):
    """Every route by every method and role: 401 without a user, 403 below its role, and else the route answers."""
    holders: dict[Role, dict[str, str]] = {Role.ANYBODY: {}}
    for name in ("viewer", "operator", "admin"):
        holders[Role[name.upper()]] = bearer(database, name)
    asked = 0
    for path in [*PERMISSIONS, "/no/such/path"]:
        filled = re.sub(r"\{[^}]+\}", "1", path)
        methods = set(PERMISSIONS.get(path, ()))
        methods |= {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
        for method in METHODS:
            needed = permission_of(method, path if method in methods else taken_by(method, filled)).role
            for role, headers in holders.items():
                if needed is Role.ADMIN and role is Role.ADMIN and "session" not in path and method != "PUT":
                    continue  # it would do it
                status = client.request(method, filled, headers=headers).status_code
                asked += 1
                if role is Role.ANYBODY and needed is not Role.ANYBODY:
                    assert status == 401, (method, path)
                elif role < needed:
                    assert status == 403, (method, path, role)
                else:
                    assert status not in (401, 403) or path == "/api/v1/login", (method, path, role)
    assert asked > 1_000


def test_health_needs_nobody_and_the_rest_a_token(serve, database, more_facts):
    """Without a user there is health and the question who one is; the refusal says how to log in, and is counted."""
    counts = more_facts["api_counts"] = ApiCounts()
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=Access(True)))
    assert client.get("/-/healthy").status_code == 200
    assert client.get("/api/v1/session").json()["data"]["user"] is None
    answer = client.get("/api/status")
    assert (answer.status_code, answer.json()["errorType"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert counts.refused == {401: 1, 403: 0, 429: 0}


@pytest.mark.parametrize("text", ["Bearer", "Bearer x", "Bearer " + "x" * 5_000, "Basic eDp4", "bearer nissa_\xff"])
def test_other_tokens_are_nobody(client, text):
    """A text that is no token is like none."""
    assert client.get("/api/status", headers={"Authorization": text.encode("latin-1")}).status_code == 401


def test_refusals_of_alertmanagers_api_are_texts(client, database, serve):
    """Below /api/v2 an error is a JSON text, with the headers of the same error elsewhere."""
    answer = client.get("/api/v2/alerts")
    assert (answer.status_code, type(answer.json())) == (401, str)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    viewer = bearer(database, "viewer")
    assert "needs the role operator" in client.post("/api/v2/silences", headers=viewer).json()
    assert "Host" in client.get("/api/v2/alerts", headers={"Host": "elsewhere.example"}).json()
    rates = RatesByRole(ANY, RequestRates(0, 1, 0), ANY)
    access = Access(True)
    narrow = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=access, rate_limits=rates))
    operator = bearer(database, "operator")
    narrow.get("/api/v2/alerts", headers=operator)
    answer = narrow.get("/api/v2/alerts", headers=operator)
    assert (answer.status_code, "too many requests" in answer.json()) == (429, True)
    assert answer.headers["retry-after"]


def test_scopes_of_a_token(client, database):
    """A token for queries changes nothing, whatever its role."""
    headers = bearer(database, "admin", Scope.QUERY)
    assert client.get("/api/v1/labels", headers=headers).status_code == 200
    assert client.post("/api/v1/pins", headers=headers).status_code == 403


def test_a_session_from_login_to_logout(client, database):
    """Login gives a cookie that scripts cannot read and a token that changes must carry; logout ends it."""
    add_user(database, "ann", PASSWORD, Role.OPERATOR, NOW_MS)
    answer = client.post("/api/v1/login", data={"user": "ann", "password": PASSWORD})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Max-Age=28800" in cookie
    shown = client.get("/api/v1/session").json()["data"]
    assert (shown["user"], shown["role"], shown["via"]) == ("ann", "operator", "session")
    pin = {"start": "1", "end": "2"}
    assert client.post("/api/v1/mode", data={"mode": "auto"}).status_code == 403
    wrong = {"X-CSRF-Token": "x"}
    assert client.post("/api/v1/mode", data={"mode": "auto"}, headers=wrong).status_code == 403
    right = {"X-CSRF-Token": shown["csrf_token"]}
    assert client.post("/api/v1/pins", data=pin, headers=right).status_code not in (401, 403)
    assert client.post("/api/v1/logout").status_code == 403
    assert client.get("/api/v1/labels").status_code == 200
    assert client.post("/api/v1/logout", headers=right).status_code == 200
    client.cookies.set("nissa_session", cookie.partition("=")[2].partition(";")[0])
    assert client.get("/api/v1/labels").status_code == 401


def test_a_password_in_the_address_opens_nothing(client, database):
    """Addresses are logged on the way: user and password count in the body only."""
    add_user(database, "ann", PASSWORD, Role.OPERATOR, NOW_MS)
    answer = client.post("/api/v1/login", params={"user": "ann", "password": PASSWORD})
    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
    assert client.post("/api/v1/login", params={"password": PASSWORD}, data={"user": "ann"}).status_code == 400


def test_a_planted_session_is_worth_nothing(client, database):
    """Login makes a new session and ends the one that the browser had before."""
    add_user(database, "eve", PASSWORD, Role.VIEWER, NOW_MS)
    add_user(database, "ann", PASSWORD, Role.ADMIN, NOW_MS)
    planted = session_of(database, "eve")
    answer = client.post(
        "/api/v1/login", data={"user": "ann", "password": PASSWORD}, headers={"Cookie": f"nissa_session={planted}"}
    )
    assert planted not in answer.headers["set-cookie"]
    client.cookies.clear()
    assert client.get("/api/status", headers={"Cookie": f"nissa_session={planted}"}).status_code == 401


def test_a_changed_user_loses_sessions_and_roles(client, database):
    """Sessions end with a change of the user, and with their time."""
    add_user(database, "ann", PASSWORD, Role.OPERATOR, NOW_MS)
    secret = session_of(database, "ann")
    change_user(database, "ann", role=Role.VIEWER)
    assert client.get("/api/status", headers={"Cookie": f"nissa_session={secret}"}).status_code == 401
    old = start_session(database, "ann", NOW_MS - 120_000, 60_000, 100)
    assert client.get("/api/status", headers={"Cookie": f"nissa_session={old}"}).status_code == 401
    assert csrf_token_of(old) not in old


def test_removed_and_expired_tokens(client, database):
    """A token ends when it is removed, at its next use after two seconds, and with its time."""
    expired = add_token(database, ApiToken("old", Role.ADMIN, tuple(Scope), 1, NOW_MS))
    assert client.get("/api/status", headers={"Authorization": f"Bearer {expired}"}).status_code == 401
    headers = bearer(database, "viewer")
    remove_token(database, "viewer")
    assert client.get("/api/status", headers=headers).status_code == 401


@pytest.mark.long
def test_brute_force_is_slowed_down(client, database):
    """After five failures a user name waits, also with the right password, and from that address alone."""
    add_user(database, "ann", PASSWORD, Role.VIEWER, NOW_MS)
    for _ in range(5):
        assert client.post("/api/v1/login", data={"user": "ann", "password": "x"}).status_code == 401
    answer = client.post("/api/v1/login", data={"user": "ann", "password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert client.post("/api/v1/login", data={"user": "bob", "password": "x"}).status_code == 401


def change_password(client: httpx.Client, secret: str, current: str, fresh: str) -> httpx.Response:
    """Change the password of the user of a session."""
    headers = {"Cookie": f"nissa_session={secret}", "X-CSRF-Token": csrf_token_of(secret)}
    form = {"password": current, "new_password": fresh}
    return client.post("/api/v1/session/password", data=form, headers=headers)


@pytest.mark.long
def test_one_changes_ones_own_password(client, database):
    """By the current one; all other sessions of the user end; the audit log has it, not the password."""
    for name in ("vera", "ann"):
        add_user(database, name, PASSWORD, Role.VIEWER, NOW_MS)
    own, other, of_ann = (session_of(database, name) for name in ("vera", "vera", "ann"))
    assert change_password(client, own, "x", "another password").status_code == 403
    assert change_password(client, own, PASSWORD, "short").status_code == 400
    assert change_password(client, own, PASSWORD, PASSWORD).status_code == 400
    assert change_password(client, own, PASSWORD, "").status_code == 400
    cookie = {"Cookie": f"nissa_session={own}"}
    form = {"password": PASSWORD, "new_password": "another password"}
    assert client.post("/api/v1/session/password", data=form, headers=cookie).status_code == 403  # no CSRF token
    assert client.post("/api/v1/session/password", data=form, headers=bearer(database, "admin")).status_code == 400
    assert login(database, "vera", PASSWORD)
    assert change_password(client, own, PASSWORD, "another password").status_code == 200
    assert [login(database, "vera", one) for one in (PASSWORD, "another password")] == [False, True]
    statuses = [
        client.get("/api/v1/labels", headers={"Cookie": f"nissa_session={one}"}).status_code
        for one in (own, other, of_ann)
    ]
    assert statuses == [200, 401, 200]
    log = client.get("/api/v1/audit", headers=bearer(database, "admin", name="reader")).json()["data"]["entries"]
    found = [(one["user"], one["target"], one["outcome"]) for one in log if one["action"] == "session.password"]
    assert found[0] == ("vera", "vera", "done")
    assert ("vera", "vera", "refused: 403") in found
    assert PASSWORD not in str(log)


@pytest.mark.long
def test_guesses_of_the_current_password_are_slowed_down(client, database):
    """As those of logins are, and with them."""
    add_user(database, "vera", PASSWORD, Role.VIEWER, NOW_MS)
    own = session_of(database, "vera")
    codes = [change_password(client, own, "x", "another password").status_code for _ in range(6)]
    assert codes == [403] * 5 + [429]
    assert client.post("/api/v1/login", data={"user": "vera", "password": PASSWORD}).status_code == 429
    assert login(database, "vera", PASSWORD)


@pytest.mark.long
def test_guesses_at_the_same_time_are_limited_too(client):
    """A waiting login counts those before it; one that is under way may slip through."""

    def guess(_: int) -> int:
        return client.post("/api/v1/login", data={"user": "ann", "password": "x"}).status_code

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(guess, range(12)))
    assert codes.count(401) in (5, 6)
    assert codes.count(429) == 12 - codes.count(401)


@pytest.mark.parametrize(
    ("proxies", "headers", "expected"),
    [
        (("127.0.0.0/8",), {"X-User": "ann"}, ("ann", "viewer")),
        (("127.0.0.1",), {"X-User": "ann", "X-Role": "Operator"}, ("ann", "operator")),
        (("127.0.0.1",), {"X-User": "ann", "X-Role": "root"}, (None, None)),
        (("127.0.0.1",), {}, (None, None)),
        (("10.0.0.0/8",), {"X-User": "ann", "X-Forwarded-For": "10.0.0.1"}, (None, None)),
    ],
)
def test_users_of_a_proxy(serve, database, proxies, headers, expected):
    """A trusted proxy names the user and the role; anybody else may write what they like."""
    access = Access(True, trusted_proxies=proxies, proxy_user_header="X-User", proxy_role_header="X-Role")
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=access))
    shown = client.get("/api/v1/session", headers=headers).json()["data"]
    assert (shown["user"], shown["role"]) == expected


def test_a_database_that_is_away(serve, more_facts):
    """Without a database a token cannot be checked: the answer is 503, as the client is not at fault."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=Access(True)))
    assert client.get("/api/status", headers={"Authorization": "Bearer nissa_x"}).status_code == 503
    assert client.get("/api/status").status_code == 401


def test_admins_manage_users_and_tokens(client, database):
    """Added users may log in, added tokens may query; secrets are shown once, and removal ends access."""
    admin = bearer(database, "admin")
    assert client.post("/api/v1/users", data={"user": "ann", "password": "short"}, headers=admin).status_code == 400
    user = {"user": "ann", "password": PASSWORD, "role": "operator"}
    assert client.post("/api/v1/users", data=user, headers=admin).json()["data"] == {"name": "ann", "role": "operator"}
    token = {"token": "ci", "scope": "query", "expires": "1d"}
    added = client.post("/api/v1/tokens", data=token, headers=admin).json()["data"]
    assert (added["scopes"], added["expires_ms"]) == (["query"], NOW_MS + 86_400_000)
    assert client.get("/api/v1/labels", headers={"Authorization": f"Bearer {added['secret']}"}).status_code == 200
    pages = [client.get(f"/api/v1/{what}", headers=admin).text for what in ("users", "tokens", "audit")]
    assert all("ann" in pages[number] or "ci" in pages[number] for number in range(3))
    for secret in (PASSWORD, added["secret"], "argon2", "digest"):
        assert secret not in "".join(pages)
    changed = client.patch("/api/v1/users", data={"user": "ann", "role": "viewer"}, headers=admin)
    assert changed.json()["data"] == {"name": "ann", "role": "viewer"}
    for wrong in ({"user": "ann"}, {"user": "ann", "role": "root"}, {"user": "bob", "role": "admin"}):
        assert client.patch("/api/v1/users", data=wrong, headers=admin).status_code == 400
    newest = client.get("/api/v1/audit?limit=4", headers=admin).json()["data"]["entries"]
    assert [(one["target"], one["outcome"]) for one in newest] == [
        ("bob", "refused: 400"),
        ("ann", "refused: 400"),
        ("ann", "refused: 400"),
        ("ann", "done"),
    ]
    assert newest[3]["before"] == {"role": "operator"}
    assert newest[3]["after"] == {"role": "viewer", "password_changed": False}
    for path, named in (("users", {"user": "ann"}), ("tokens", {"token": "ci"})):
        assert client.delete(f"/api/v1/{path}", params=named, headers=admin).status_code == 200
        assert client.delete(f"/api/v1/{path}", params=named, headers=admin).status_code == 400
    assert client.post("/api/v1/login", data=user).status_code == 401


def test_a_password_in_the_address_makes_no_user(client, database):
    """Passwords of new and changed users count in the body only, as those of logins."""
    admin = bearer(database, "admin")
    for method in ("POST", "PATCH"):
        answer = client.request(method, "/api/v1/users", params={"user": "a", "password": PASSWORD}, headers=admin)
        assert answer.status_code == 400, method
    assert client.get("/api/v1/users", headers=admin).json()["data"] == []


def test_the_last_admin_stays(client, database):
    """A change that would leave no admin is refused, and changes nothing; with a second admin it is made."""
    add_user(database, "ann", PASSWORD, Role.ADMIN, NOW_MS)
    ann = {"Cookie": f"nissa_session={(secret := session_of(database, 'ann'))}", "X-CSRF-Token": csrf_token_of(secret)}
    bearer(database, "admin", Scope.QUERY, name="reader")  # no admin: it changes nothing
    add_token(database, ApiToken("old", Role.ADMIN, tuple(Scope), 1, NOW_MS))  # has expired
    for method, named in (("DELETE", {"user": "ann"}), ("PATCH", {"user": "ann", "role": "operator"})):
        place = {"params": named} if method == "DELETE" else {"data": named}
        answer = client.request(method, "/api/v1/users", headers=ann, **place)
        assert (answer.status_code, "last admin" in answer.json()["error"]) == (400, True)
    assert client.get("/api/v1/users", headers=ann).json()["data"][0]["role"] == "admin"
    second = bearer(database, "admin", name="second")
    assert client.delete("/api/v1/users", params={"user": "ann"}, headers=second).status_code == 200
    answer = client.delete("/api/v1/tokens", params={"token": "second"}, headers=second)
    assert (answer.status_code, "last admin" in answer.json()["error"]) == (400, True)


def test_a_session_lists_what_it_may_change(client, database):
    """Pages hide the rest: a viewer may end its session, an operator act, an admin manage users."""

    def actions(*named: str | Scope) -> list[str]:
        headers = bearer(database, *named, name=f"{len(named)}{named[0]}")
        return client.get("/api/v1/session", headers=headers).json()["data"]["actions"]

    assert client.get("/api/v1/session").json()["data"]["actions"] == []
    assert actions("viewer") == ["session.login", "session.logout", "session.password"]
    assert {"pin.add", "silence.set"} <= set(actions("operator"))
    assert "user.add" not in actions("operator", Scope.CONTROL)
    assert {"pin.add", "user.add", "user.change", "token.remove"} <= set(actions("admin"))
    assert actions("admin", Scope.QUERY) == []
