"""Access control of a running daemon: the first token, users by command, requests by token, and no secret in a log."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from journeys.rig import Daemon

JSON = {"Content-Type": "application/json"}
PASSWORD = "planted-password-8472"
BUS_SECRET = "planted-bus-secret-5521"
ENVIRONMENT = {
    "NISSA_API__ACCESS__ENABLED": "true",
    "NISSA_SOURCES__OONA__URL": f"redis://ann:{BUS_SECRET}@127.0.0.1:1/0",
}


def nissa(*arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command."""
    environment = {**os.environ, "NISSA_TOKEN": token}
    command = [sys.executable, "-m", "nissa.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def everything_shown(daemon: Daemon, token: str) -> str:
    """Answers of all routes about the daemon, and of failing requests that contain secrets, sent by an admin."""
    paths = ["/api/status", "/api/metrics/summary"]
    paths += [f"/api/v1/{name}" for name in ("audit", "users", "tokens", "sinks", "session", "alerts", "targets")]
    paths += [f"/api/v1/status/{name}" for name in ("config", "flags", "runtimeinfo", "active_queries")]
    shown = []
    for method, path, body in [
        *(("GET", path, None) for path in paths),
        ("POST", "/api/v1/login", f"user=ann&password={PASSWORD}"),
        ("POST", "/api/v1/login", f"user=ann&password={PASSWORD}x"),
        ("POST", "/api/v1/login", f"user={PASSWORD[:4]}&password=%ff"),
        ("GET", "/api/v1/query?query=sum(", None),
    ]:
        link = http.client.HTTPConnection(urlsplit(daemon.api_url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}
        link.request(method, path, body, headers)
        answer = link.getresponse()
        assert answer.status in (200, 400, 401), path
        shown.append(answer.read().decode())
        link.close()
    return "\n".join(shown)


def test_from_the_first_start_to_the_audit_log(tmp_path: Path) -> None:
    """The first start prints an admin token; users and tokens are added beside the daemon; every change is in the
    audit log; what was planted as a secret is in no log, status or error."""
    daemon = Daemon(tmp_path / "data", environment=ENVIRONMENT)
    try:
        assert daemon.process.stdout is not None
        line = next(one.decode() for one in daemon.process.stdout if b"admin token" in one)
        found = re.search(r"nissa_[A-Za-z0-9_-]{43}", line)
        assert found is not None
        first = found[0]
        place = ("--data-dir", str(tmp_path / "data"))
        password = tmp_path / "password"
        password.write_text(PASSWORD + "\n")
        told = [nissa("users", "add", "ann", "--role", "operator", "--password-file", str(password), *place)]
        told.append(nissa("tokens", "add", "ci", "--role", "operator", *place))
        token = told[-1].stdout.strip()
        file = tmp_path / "token"
        file.write_text(token)
        told.append(nissa("--token-file", str(file), "mode", "conservative", "--api", daemon.api_url))
        told.append(nissa("mode", "auto", "--api", daemon.api_url, token=first))
        assert [(one.returncode, one.stderr) for one in told] == [(0, "")] * 4
        refused = nissa("mode", "--api", daemon.api_url, token=token + "x")
        assert (refused.returncode, "401" in refused.stderr) == (1, True)
        assert daemon.request("GET", "/api/status")[0] == 401
        daemon.process.send_signal(signal.SIGHUP)
        pages = everything_shown(daemon, first)
        assert "ann" in nissa("users", "list", *place).stdout
        assert "first-start" in nissa("tokens", "list", *place).stdout
    finally:
        assert daemon.stop() == 0
    assert nissa("audit", "verify", *place).stdout.startswith("ok: ")
    exported = nissa("audit", "export", *place).stdout
    assert [name in exported for name in ("user.add", "token.add", "SIGHUP")] == [True] * 3
    assert nissa("audit", "prune", "--before", "now-1d", *place).stdout == "0 entries removed\n"
    assert not nissa("audit", "prune", "--before", "now+1d", *place).stdout.startswith("0 ")
    assert nissa("audit", "verify", *place).stdout.startswith("ok: 1 entries behind ")
    log = Path(daemon.log.name).read_text()
    for secret in (PASSWORD, token, first, BUS_SECRET):
        assert secret not in pages + log + exported + refused.stderr + "".join(one.stderr for one in told)


def test_no_credential_is_shown(tmp_path: Path) -> None:
    """Credentials of sinks, receivers, the OpenID provider, the database and senders are in no log, status, error or
    audit, also where their servers do not answer."""
    planted = {name: f"planted-{name}-7731" for name in ("sink", "bearer", "hook", "slack", "oidc", "database")}
    for name in ("sink", "bearer", "oidc"):
        (tmp_path / name).write_text(planted[name])
    routing = {
        "route": {"receiver": "a", "group_wait": "1ms"},
        "receivers": [
            {
                "name": "a",
                "webhook_configs": [{"url": f"http://127.0.0.1:9/{planted['hook']}"}],
                "slack_configs": [{"api_url": f"http://127.0.0.1:9/{planted['slack']}", "channel": "#a"}],
            }
        ],
    }
    (tmp_path / "am.yml").write_text(json.dumps(routing))
    sink = {"type": "remote_write", "url": "http://127.0.0.1:9/write"}
    basic = {"username": "ann", "password_file": str(tmp_path / "sink")}
    sinks = {"one": {**sink, "basic_auth": basic}, "two": {**sink, "bearer_token_file": str(tmp_path / "bearer")}}
    oidc = {
        "issuer": "http://127.0.0.1:9",
        "client_id": "nissa",
        "client_secret_file": str(tmp_path / "oidc"),
        "redirect_url": "http://127.0.0.1/api/v1/oidc/callback",
        "admin_groups": ["a"],
    }
    settings = {
        "sinks": sinks,
        "api": {"access": {"enabled": True, "oidc": oidc}},
        "ingest": {"tokens_required": True},
        "alerting": {"config_file": str(tmp_path / "am.yml")},
    }
    (tmp_path / "nissa.yaml").write_text(json.dumps(settings))
    daemon = Daemon(tmp_path / "data", "--config", str(tmp_path / "nissa.yaml"))
    try:
        assert daemon.process.stdout is not None
        line = next(one.decode() for one in daemon.process.stdout if b"admin token" in one)
        first = line.split("admin token ")[1].split()[0]
        place = ("--data-dir", str(tmp_path / "data"))
        sender = nissa("tokens", "add", "s", "--role", "operator", "--scope", "ingest", *place).stdout.strip()
        while sent(daemon, sender) != 204:
            time.sleep(0.1)
        alert = b'[{"labels":{"alertname":"Hot"}}]'
        link = http.client.HTTPConnection(urlsplit(daemon.api_url).netloc, timeout=60)
        link.request("POST", "/api/v2/alerts", alert, {"Authorization": f"Bearer {sender}"} | JSON)
        assert link.getresponse().status == 200
        link.close()
        while b"127.0.0.1:9" not in Path(daemon.log.name).read_bytes():
            time.sleep(0.1)  # until something has failed
        login = daemon.request("GET", "/api/v1/oidc/login")
        assert login[0] == 503
        pages = everything_shown(daemon, first) + login[1].decode()
        assert sent(daemon, sender + "x") == 401
    finally:
        daemon.stop()
    url = f"postgresql://ann:{planted['database']}@127.0.0.1:9/x"
    command = [sys.executable, "-m", "nissa.cli.main", "users", "list", *place]
    environment = {**os.environ, "NISSA_DATABASE__URL": url}
    away = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert away.returncode != 0
    shown = pages + Path(daemon.log.name).read_text() + away.stdout + away.stderr
    shown += nissa("audit", "export", *place).stdout
    for name, secret in {**planted, "sender": sender, "first": first}.items():
        assert secret not in shown, name


def test_other_machines_need_access_control(tmp_path: Path) -> None:
    """A daemon whose API other machines would reach does not start without access control, and names the setting."""
    command = [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(tmp_path), "--api", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "api.access.enabled: api.listen is 0.0.0.0:0, which other machines reach" in done.stderr


def sent(daemon: Daemon, token: str = "") -> int:
    """Status of a frame."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    link = http.client.HTTPConnection(urlsplit(daemon.ingest_url).netloc, timeout=60)
    link.request("POST", "/write", b"up value=1 \n", headers)
    status = link.getresponse().status
    link.close()
    return status


def test_senders_need_a_token(tmp_path: Path) -> None:
    """A frame without a token of the scope ingest is refused before its body; health and metrics need none."""
    daemon = Daemon(tmp_path / "data", environment={"NISSA_INGEST__TOKENS_REQUIRED": "true"})
    place = ("--data-dir", str(tmp_path / "data"))
    try:
        tokens = [
            nissa("tokens", "add", scope, "--scope", scope, *place).stdout.strip() for scope in ("query", "ingest")
        ]
        while sent(daemon, tokens[1]) == 401:  # it counts within two seconds
            pass
        assert [sent(daemon, tokens[1]), sent(daemon), sent(daemon, tokens[0]), sent(daemon, "x")] == [
            204,
            401,
            401,
            401,
        ]
        link = http.client.HTTPConnection(urlsplit(daemon.ingest_url).netloc, timeout=60)
        link.putrequest("POST", "/api/v1/write")
        link.putheader("Content-Length", "1000000")
        link.endheaders()  # no body
        assert link.getresponse().status == 401
        link.close()
        assert nissa("tokens", "remove", "ingest", *place).returncode == 0
        while sent(daemon, tokens[1]) != 401:
            pass
    finally:
        assert daemon.stop() == 0
