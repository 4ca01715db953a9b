"""docs/switching: every command of every page runs, in order, against the real servers that are left behind."""

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.rig import running

from oracle.ports import free_port

PAGES = Path(__file__).parents[2] / "docs" / "switching"
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.ya?ml)\n")
TIMEOUT_S = 120
# Port on the page -> program with its arguments; DATA and PORT stand for what the test chooses.
LISTEN = "--web.listen-address=127.0.0.1:PORT"
PROMETHEUS = "--config.file=first.yml --storage.tsdb.path=DATA --web.enable-lifecycle --web.enable-admin-api"
ALERTMANAGER = "--config.file=alertmanager.yml --storage.path=DATA --cluster.listen-address="
SERVERS = {
    "prometheus.md": {9090: f"prometheus {LISTEN} {PROMETHEUS}"},
    "victoriametrics.md": {8428: "victoria-metrics -httpListenAddr=127.0.0.1:PORT -storageDataPath=DATA"},
    "pushgateway.md": {9091: f"prometheus-pushgateway {LISTEN}"},
    "alertmanager.md": {9093: f"prometheus-alertmanager {LISTEN} {ALERTMANAGER}"},
    "statsd.md": {},
}
SETTINGS = {
    "alertmanager.md": {"NISSA_ALERTING__CONFIG_FILE": "alertmanager.yml"},
    "statsd.md": {"NISSA_SOURCES__STATSD__LISTEN": "127.0.0.1:8125", "NISSA_SOURCES__STATSD__FLUSH_INTERVAL": "300ms"},
}


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of the blocks of a page."""
    return [(match["language"], match["text"]) for match in BLOCK.finditer((PAGES / page).read_text())]


@contextlib.contextmanager
def servers(page: str, directory: Path, ports: dict[int, int]) -> Iterator[None]:
    """The servers of a page, answering."""
    with contextlib.ExitStack() as stack:
        for port, line in SERVERS[page].items():
            program = line.split()[0]
            if shutil.which(program) is None:
                if os.environ.get("CI"):
                    pytest.fail(f"{program} is missing in CI")
                pytest.skip(f"{program} is missing: docs/switching/{page} is NOT tested")
            command = line.replace("DATA", str(directory / "server")).replace("PORT", str(ports[port])).split()
            log = stack.enter_context((directory / "server.log").open("wb"))
            process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
            stack.callback(process.wait, 30)
            stack.callback(process.kill)  # not SIGTERM: one that still has samples to send waits a minute
            while True:
                assert process.poll() is None, (directory / "server.log").read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports[port]), 1):
                    break
                time.sleep(0.05)
        yield


@pytest.mark.long
@pytest.mark.parametrize("page", sorted(SERVERS))
def test_every_command_of_the_page_runs(page: str, tmp_path: Path) -> None:
    """Files are written as the page shows them; then shell and Python, block by block, exit with 0."""
    ports = {port: free_port() for port in (*SERVERS[page], 8125, 9095)}
    found = blocks(page)

    def here(text: str) -> str:
        for port, own in ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}").replace(
                f"127.0.0.1 {port}", f"127.0.0.1 {own}"
            )
        return text

    for language, text in found:
        if language == "yaml" and (name := NAMED.match(text)):
            (tmp_path / name[1]).write_text(here(text))
    (tmp_path / "first.yml").write_text("")
    settings = {name: here(value) for name, value in SETTINGS.get(page, {}).items()}
    if "NISSA_ALERTING__CONFIG_FILE" in settings:
        settings["NISSA_ALERTING__CONFIG_FILE"] = str(tmp_path / "alertmanager.yml")
    with servers(page, tmp_path, ports), running(tmp_path / "nissa-data", environment=settings) as daemon:
        addresses = {"http://127.0.0.1:9470": daemon.ingest_url, "http://127.0.0.1:9471": daemon.api_url}
        addresses |= {name.removeprefix("http://"): url.removeprefix("http://") for name, url in addresses.items()}

        def there(text: str) -> str:
            for name, url in addresses.items():
                text = text.replace(name, url)
            return here(text.replace("/var/lib/prometheus/metrics2", str(tmp_path / "server")))

        for path in tmp_path.glob("*.y*ml"):
            path.write_text(there(path.read_text()))
        if page == "prometheus.md":
            shutil.copy(tmp_path / "prometheus.yml", tmp_path / "first.yml")
        command = f'nissa() {{ {shlex.quote(sys.executable)} -m nissa.cli.main "$@"; }}\nset -eu\n'
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        for language, text in found:
            if language not in ("sh", "python"):
                continue
            program = ["bash", "-c", command + there(text)] if language == "sh" else [sys.executable, "-c", there(text)]
            done = subprocess.run(
                program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
            assert done.returncode == 0, f"{there(text)}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        assert daemon.stop() == 0
