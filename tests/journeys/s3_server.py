"""A real server with the S3 API: versitygw, built once out of its Go module. Tests skip where there is no Go."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from journeys.test_sinks import wait_for

from oracle.fetching import kept
from oracle.ports import free_port

MODULE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
BUILD_S = 200
BUCKET = "bucket"


def program() -> Path:
    """The server, built where it is not there. Skips where it cannot be."""
    if shutil.which("go") is None:
        pytest.skip("go is missing: S3 is NOT tested (Debian: golang)")
    with kept("go") as place:
        found = place / "versitygw"
        if not found.exists():
            command = ["go", "install", MODULE]
            environment = {**os.environ, "GOBIN": str(place)}
            try:
                subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=True)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"versitygw cannot be built: S3 is NOT tested: {str(error.stderr)[-300:]}")
        return found


class S3Server:
    """The server over one folder, on one port over restarts. folder: of the bucket; an object is a file there."""

    def __init__(self, directory: Path) -> None:
        self._root, self._log, self.port = directory / "root", directory / "log", free_port()
        self.folder = self._root / BUCKET
        self.folder.mkdir(parents=True)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which a client reaches it."""
        return {
            "AWS_ACCESS_KEY_ID": "user",
            "AWS_SECRET_ACCESS_KEY": "password",
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(program()), "--port", f"127.0.0.1:{self.port}", "posix", str(self._root)]
        environment = {"ROOT_ACCESS_KEY": "user", "ROOT_SECRET_KEY": "password", "HOME": str(self._root.parent)}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for(self._is_ready)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
