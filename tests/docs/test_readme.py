"""The README's promises, kept: its Python runs, in order, against a daemon that was just started."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
READY = re.compile(r"ready ingest=(\S+) api=(\S+) data=(\S+)")
NISSA = 'nissa() { LD_PRELOAD="$SANITIZERS" $COMMAND "$@"; }'
INGEST, API = "http://127.0.0.1:9470", "http://127.0.0.1:9471"


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in one language, in order."""
    return [
        match["text"] for match in BLOCK.finditer((ROOT / "README.md").read_text()) if match["language"] == language
    ]


class Daemon:
    """nissa-ingest on ./nissa-data of a directory; its addresses stand in for the README's."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-m", "nissa.cli.ingest", "--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0"]
        self._log = (directory / "daemon.log").open("wb")
        self.process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=self._log)
        line = self.process.stdout.readline().decode() if self.process.stdout else ""
        found = READY.match(line)
        if found is None:
            raise RuntimeError(f"not ready: {line!r} {(directory / 'daemon.log').read_text()}")
        self.ingest, self.api = found[1], found[2]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        code = self.process.wait(60)
        self._log.close()
        return code

    def here(self, text: str) -> str:
        """``text`` with the addresses of this daemon."""
        return text.replace(INGEST, self.ingest).replace(API, self.api)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory for the commands of the README."""
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def daemon(directory: Path) -> Iterator[Daemon]:
    """The daemon of the first page."""
    daemon = Daemon(directory)
    yield daemon
    if daemon.process.poll() is None:
        daemon.stop()


def run_blocks(texts: list[str], namespace: dict[str, Any]) -> None:
    """Run Python blocks one after the other in one namespace, as a reader would paste them."""
    for text in texts:
        exec(compile(text, "README.md", "exec"), namespace)


def test_python_blocks_run_in_order(
    directory: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A packet and an event are sent, read from the directory while the daemon runs, sealed, and read as Parquet."""
    pytest.importorskip("duckdb")
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    monkeypatch.chdir(directory)
    python = [daemon.here(text) for text in blocks("python")]
    files = next(index for index, text in enumerate(python) if 'data.files("raw")' in text)
    namespace: dict[str, Any] = {}
    run_blocks(python[:files], namespace)
    assert namespace["answer"].status in {200, 204}
    assert namespace["frame"].shape[0] == 1
    assert namespace["events"]["event_id"].to_pylist() == ["door.opened"]
    assert daemon.stop() == 0
    seal(directory)
    run_blocks(python[files:], namespace)
    assert namespace["receipt"].samples == 1
    printed = capsys.readouterr().out
    assert "room_temperature" in printed
    assert "{by=cat}" in printed


def seal(directory: Path) -> None:
    """Put into blocks what the daemon left in its journal."""
    import nissa

    with nissa.Engine(directory / "nissa-data") as engine:
        engine.flush()


@pytest.mark.needs_debian("curl")
def test_shell_blocks_run(tmp_path: Path) -> None:
    """The curl and nissa lines answer, against a fresh daemon."""
    daemon = Daemon(tmp_path)
    try:
        for text in blocks("bash"):
            if "make " in text:
                continue
            script = f"{NISSA}\n{daemon.here(text)}"
            result = subprocess.run(
                ["bash", "-euc", script],
                cwd=tmp_path,
                env=shell_environment(),
                capture_output=True,
                check=False,
                timeout=120,
            )
            assert result.returncode == 0, f"{text}\n{result.stderr.decode()}"
    finally:
        assert daemon.stop() == 0


def shell_environment() -> dict[str, str]:
    """As for any reader, with the nissa command of this build. Sanitizers are for it alone: curl may hang with them."""
    installed = Path(sys.executable).with_name("nissa")
    command = str(installed) if installed.exists() else f"{sys.executable} -m nissa.cli.main"
    return {**os.environ, "COMMAND": command, "SANITIZERS": os.environ.get("LD_PRELOAD", ""), "LD_PRELOAD": ""}


def test_the_first_page_names_the_default_ports() -> None:
    """The addresses in the README are the defaults of the settings."""
    from nissa.config.tree import Config

    text = (ROOT / "README.md").read_text()
    assert f"ingest=http://{Config().ingest.listen} api=http://{Config().api.listen} data=" in text
