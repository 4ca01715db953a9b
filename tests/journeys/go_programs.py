"""Programs in Go that Debian does not have, where they are: Thanos beside Nissas and over them, and Cortex.

Each is built from a copy of its Go module, as ``go install`` refuses a go.mod that replaces modules, and put into a
folder of PATH. Without the tag ``slicelabels`` the gRPC of Thanos panics, and Cortex is released with it. That takes 3
to 7 minutes of processor time each, so no test does it: without the program they skip, and say so. ``MODULES`` has
the versions that were tested:

    go mod download -json MODULE@VERSION                           # prints the folder, Dir
    cp -r DIR build && chmod -R u+w build && cd build
    go build -tags slicelabels -o thanos ./cmd/thanos              # or -o cortex ./cmd/cortex
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
from journeys.test_sinks import wait_for

from oracle.ports import free_port

MODULES = {"thanos": "github.com/thanos-io/thanos@v0.40.1", "cortex": "github.com/cortexproject/cortex@v1.21.1"}
UNTESTED = {"thanos": "its sidecar, query and receive are", "cortex": "its tracker of HA pairs is"}


class Server:
    """A process with an HTTP and a gRPC port."""

    def __init__(self, directory: Path, command: Sequence[str], url: str, grpc: str, prefix: str = "") -> None:
        """prefix: the path before ``/api/v1`` of queries."""
        program = command[0]
        if shutil.which(program) is None:
            where = f"{MODULES[program]}, how to build it: {Path(__file__).name}"
            pytest.skip(f"{program} is missing: {UNTESTED[program]} NOT tested ({where})")
        directory.mkdir(parents=True)
        self.url, self.grpc, self._prefix = url, grpc, prefix
        self._log = directory / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=log, cwd=directory)

    def wait_ready(self, path: str = "/-/ready") -> None:
        """Wait until it serves."""
        wait_for(lambda: self._process.poll() is not None or self.get(path) is not None)
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
        body = self.get(f"{self._prefix}/api/v1/query?" + urlencode({"query": expression, **parameters}))
        assert body is not None, self._log.read_text()[-3_000:]
        answer = json.loads(body)
        assert not answer.get("warnings"), answer
        return list(answer["data"]["result"])

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()


def thanos(directory: Path, component: str, *arguments: str) -> Server:
    """A component of Thanos."""
    http, grpc = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = ["thanos", component, f"--http-address={http}", f"--grpc-address={grpc}", *arguments]
    return Server(directory, command, f"http://{http}", grpc)


@contextlib.contextmanager
def sidecars_and_query(directory: Path, apis: Sequence[str], replica_label: str) -> Iterator[Server]:
    """A sidecar for the API of each Nissa, and a query over all that takes a label for that of replicas."""
    started: list[Server] = []
    try:
        for number, api in enumerate(apis):
            started.append(thanos(directory / f"sidecar-{number}", "sidecar", f"--prometheus.url={api}"))
        for sidecar in started:
            sidecar.wait_ready()
        endpoints = [f"--endpoint={sidecar.grpc}" for sidecar in started]
        query = thanos(directory / "query", "query", f"--query.replica-label={replica_label}", *endpoints)
        started.append(query)
        query.wait_ready()
        wait_for(lambda: len(_stores(query)) == len(apis))
        yield query
    finally:
        for one in started:
            one.kill()


def _stores(query: Server) -> list[dict[str, Any]]:
    """Sidecars that the query knows, and that answer."""
    found = json.loads(query.get("/api/v1/stores") or b"{}").get("data", {})
    return [one for one in found.get("sidecar", ()) if not one["lastError"]]


@contextlib.contextmanager
def cortex(directory: Path, failover_s: int, *arguments: str) -> Iterator[Server]:
    """Cortex in one process, with its tracker of HA pairs, which takes another replica after ``failover_s``."""
    ports = [free_port() for _ in range(3)]
    command = [
        "cortex",
        "-target=distributor,ingester,store-gateway,querier,query-frontend",
        "-auth.enabled=false",
        "-server.http-listen-address=127.0.0.1",
        f"-server.http-listen-port={ports[0]}",
        "-server.grpc-listen-address=127.0.0.1",
        f"-server.grpc-listen-port={ports[1]}",
        *(
            "-ring.store=inmemory",
            "-distributor.replication-factor=1",
            f"-querier.store-gateway-addresses=127.0.0.1:{ports[1]}",
        ),
        *("-ingester.lifecycler.addr=127.0.0.1", "-ingester.min-ready-duration=0s", "-ingester.final-sleep=0s"),
        *("-memberlist.bind-addr=127.0.0.1", f"-memberlist.bind-port={ports[2]}"),
        "-blocks-storage.backend=filesystem",
        "-blocks-storage.filesystem.dir=blocks",
        "-blocks-storage.tsdb.dir=tsdb",
        "-blocks-storage.bucket-store.sync-dir=sync",
        "-distributor.ha-tracker.enable=true",
        "-distributor.ha-tracker.enable-for-all-users=true",
        "-distributor.ha-tracker.store=memberlist",
        "-distributor.ha-tracker.update-timeout=1s",
        "-distributor.ha-tracker.update-timeout-jitter-max=0s",
        f"-distributor.ha-tracker.failover-timeout={failover_s}s",
        *arguments,
    ]
    server = Server(directory, command, f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", "/prometheus")
    try:
        server.wait_ready("/ready")
        yield server
    finally:
        server.kill()
