"""nissa status and nissa top on a daemon that needs a user: by token, and by a login that ends with the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

from journeys.rig import running

PASSWORD = "correct horse battery"
ENVIRONMENT = {"NISSA_API__ACCESS__ENABLED": "true", "NISSA_TELEMETRY__INTERVAL": "200ms"}


def nissa(*arguments: str | Path, token: str = "") -> subprocess.CompletedProcess[str]:
    """One command, on a terminal of 100 columns."""
    environment = {**os.environ, "NISSA_TOKEN": token, "COLUMNS": "100"}
    command = [sys.executable, "-m", "nissa.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_the_state_in_the_terminal(tmp_path: Path) -> None:
    """Status says by its exit code how the daemon is; top draws a screen; the session of a login is ended."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(PASSWORD)
    wrong.write_text("not " + PASSWORD)
    with running(tmp_path / "data", environment=ENVIRONMENT) as daemon:
        place = ("--data-dir", daemon.directory)
        assert nissa("users", "add", "ann", "--password-file", right, *place).returncode == 0
        token = nissa("tokens", "add", "wall", "--scope", "query", *place).stdout.strip()
        api = ("--api", daemon.api_url)
        by_user = nissa("--user", "ann", "--password-file", right, "status", *api)
        assert (by_user.returncode, by_user.stderr) == (0, "")
        assert "Well" in by_user.stdout
        found = json.loads(nissa("status", *api, "--json", token=token).stdout)
        assert (found["well"], found["state"]) == (True, "ready")
        top = nissa("top", "--once", *api, token=token)
        assert "self/remote_write_1" in top.stdout or "Received" in top.stdout, top.stderr
        for refused in (
            nissa("status", *api),
            nissa("--user", "ann", "--password-file", wrong, "status", *api),
            nissa("status", *api, token="nissa_x"),
        ):
            assert (refused.returncode, "401" in refused.stderr) == (2, True)
            assert PASSWORD not in refused.stderr + refused.stdout
        audit = nissa("audit", "export", *place).stdout.splitlines()
        actions = [(one["action"], one["outcome"]) for one in map(json.loads, audit)]
        assert ("session.login", "done") in actions
        assert ("session.logout", "done") in actions
