"""nissa doctor on running daemons: a sound one, and one with open ports, a sink that is down and refused samples."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from journeys.rig import Daemon, Ledger, connect, post, running


def findings(daemon: Daemon, code: int) -> dict[str, str]:
    """Subject -> finding, without what is of this machine."""
    command = [sys.executable, "-m", "nissa.cli.main", "doctor", "--api", daemon.api_url, "--json"]
    command += ["--data-dir", str(daemon.directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    machine = {"clock", "limits", "disk", "directory", "swap"}
    rest = {one["subject"]: one["finding"] for one in found if one["subject"] not in machine}
    assert done.returncode == (1 if found else 0)
    assert bool(rest) == bool(code)
    return rest


@pytest.mark.long
def test_findings_are_those_of_the_daemon(tmp_path: Path) -> None:
    """None of a fresh one; of the other one each fault."""
    with running(tmp_path / "sound") as daemon:
        findings(daemon, 0)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)
    sink = f"type: remote_write, url: 'http://127.0.0.1:9/api/v1/write', bearer_token_file: {tmp_path}/secret"
    (tmp_path / "nissa.yaml").write_text(
        f"storage: {{durability: os}}\nsinks: {{away: {{{sink}}}}}\nseries: {{active_max: 40}}\n"
        "ladder: {tiers: [{interval: 1m, retention: 36500d}]}\napi: {queries_memory_size_max: 1024GiB}\n"
    )
    directory = tmp_path / "open"
    with running(
        directory, "--config", str(tmp_path / "nissa.yaml"), "--ingest", "0.0.0.0:0", environment={}
    ) as daemon:
        directory.chmod(0o755)
        (directory / "catalogue.sqlite").chmod(0o644)
        ledger, late = Ledger(3), Ledger(4)
        late.base_ms -= 86_400_000
        port = daemon.ingest_url.rpartition(":")[2]
        link = connect(f"http://127.0.0.1:{port}")
        for sent in (ledger, late, ledger, ledger):
            post(link, sent.body(sent.claim()))
        while "sinks.away" not in (found := findings(daemon, 1)):
            continue
    assert found["refused too_old"].startswith("20 of ")
    assert found["storage.durability"].endswith("(os)")
    assert "can send" in found["ingest.listen"]
    assert found["permissions"].startswith("everybody may read ")
    assert "active" in found["series"]
    assert found["sinks.away.bearer_token_file"] == f"everybody may read {tmp_path}/secret"
    assert "are used, the machine has" in found["memory"]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Tokens in addresses of settings, of a reload that failed, and of the command itself."""
    settings = tmp_path / "nissa.yaml"
    sink = "sinks: {away: {type: remote_write, url: 'http://127.0.0.1:9/api?token=hunter2'}}\n"
    settings.write_text(sink)
    with running(tmp_path / "data", "--config", str(settings), environment={}) as daemon:
        settings.write_text(sink.replace("127.0.0.1:9", "127.0.0.1:none"))
        daemon.process.send_signal(signal.SIGHUP)
        while b"none" not in urllib.request.urlopen(f"{daemon.api_url}/api/status").read().partition(b'"reload"')[2]:
            continue
        found = findings(daemon, 1)
        assert "token=<secret>" in found["settings"]
        assert "hunter2" not in str(found)
        with urllib.request.urlopen(f"{daemon.api_url}/api/status") as answer:
            assert b"hunter2" not in answer.read()
        address = daemon.api_url.replace("://", "://me:hunter2@")
        command = [sys.executable, "-m", "nissa.cli.main", "doctor", "--api", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "has a user or password" in done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_another_program_at_the_port_is_told(tmp_path: Path) -> None:
    """A server of files that has such a file."""
    (tmp_path / "api").mkdir()
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    for content in ("no JSON", '{"status": "ok"}'):
        (tmp_path / "api" / "status").write_text(content)
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = server.stdout.readline().split()[5]
            line = [sys.executable, "-m", "nissa.cli.main", "doctor", "--api", f"http://127.0.0.1:{port}"]
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            server.kill()
        assert (done.returncode, done.stderr) == (1, "")
        assert "another program has the port" in done.stdout
