"""Programs of Thanos, where there is one: sidecars beside Nissas, and a query over them.

Debian has no Thanos. It is built from a copy of the Go module (``go mod download github.com/thanos-io/thanos@v0.40.1``)
by ``go build -tags slicelabels ./cmd/thanos``: 7 minutes of processor time, 137 MB. Without the tag its gRPC panics.
``go install`` refuses it, as its go.mod replaces modules.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from journeys.rig import connect
from journeys.test_prometheus import free_port
from journeys.test_sinks import wait_for

PROGRAM = "thanos"


class Thanos:
    """A process with an HTTP and a gRPC port."""

    def __init__(self, directory: Path, component: str, *arguments: str) -> None:
        if shutil.which(PROGRAM) is None:
            pytest.skip("thanos is missing: its sidecar, query and receive are NOT tested (how to build it: this file)")
        directory.mkdir(parents=True)
        self.url, self.grpc = f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        addresses = [f"--http-address={self.url.removeprefix('http://')}", f"--grpc-address={self.grpc}"]
        with (directory / "log").open("ab") as log:
            command = [PROGRAM, component, *addresses, *arguments]
            self._process = subprocess.Popen(command, stderr=log, stdout=log, cwd=directory)
        self._log = directory / "log"

    def wait_ready(self) -> None:
        """Wait until it serves."""
        wait_for(lambda: self._process.poll() is not None or self.get("/-/ready") is not None)
        assert self._process.poll() is None, self._log.read_text()[-3_000:]

    def get(self, path: str) -> bytes | None:
        """The body of a GET; None unless it is answered with 200."""
        with contextlib.suppress(OSError), contextlib.closing(connect(self.url)) as link:
            link.request("GET", path)
            answer = link.getresponse()
            body = answer.read()
            return body if answer.status == 200 else None
        return None

    def query(self, expression: str, **parameters: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        body = self.get("/api/v1/query?" + urlencode({"query": expression, **parameters}))
        assert body is not None, self._log.read_text()[-3_000:]
        answer = json.loads(body)
        assert not answer.get("warnings"), answer
        return list(answer["data"]["result"])

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def sidecars_and_query(directory: Path, apis: Sequence[str], replica_label: str) -> Iterator[Thanos]:
    """A sidecar for the API of each Nissa, and a query over all that takes a label for that of replicas."""
    started: list[Thanos] = []
    try:
        for number, api in enumerate(apis):
            started.append(Thanos(directory / f"sidecar-{number}", "sidecar", f"--prometheus.url={api}"))
        for sidecar in started:
            sidecar.wait_ready()
        endpoints = [f"--endpoint={sidecar.grpc}" for sidecar in started]
        query = Thanos(directory / "query", "query", f"--query.replica-label={replica_label}", *endpoints)
        started.append(query)
        query.wait_ready()
        wait_for(lambda: len(_stores(query)) == len(apis))
        yield query
    finally:
        for one in started:
            one.kill()


def _stores(query: Thanos) -> list[dict[str, Any]]:
    """Sidecars that the query knows, and that answer."""
    found = json.loads(query.get("/api/v1/stores") or b"{}").get("data", {})
    return [one for one in found.get("sidecar", ()) if not one["lastError"]]
