"""An export into a real VictoriaMetrics: every finite sample arrives, beside values of any kind."""

import contextlib
import json
import math
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import cramjam
import pytest
from journeys.rig import START_TIMEOUT_S, connect, nissa_command, post, running

from nissa._proto import remote_write_v1_pb2 as pb
from nissa.model.columns import STALE_BITS
from oracle.ports import free_port

STALE = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
CASES = {
    "plain": [1.0, 2.0],
    "stale": [1.0, 2.0, STALE],
    "infinite": [1.0, math.inf, -math.inf, 4.0],
    "nan": [1.0, math.nan, 3.0],
}


@contextlib.contextmanager
def victoria(directory: Path) -> Iterator[str]:
    """The address of a VictoriaMetrics of its own."""
    port = free_port()
    command = ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory}"]
    with subprocess.Popen([*command, "-retentionPeriod=100y"], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def imported(url: str, body: bytes) -> int:
    """The status of an import; it is tried again until the server is up."""
    for _ in range(START_TIMEOUT_S * 10):
        try:
            with contextlib.closing(connect(url)) as link:
                link.request("POST", "/api/v1/import", body)
                return link.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise RuntimeError("victoria-metrics does not answer")


def values_in(url: str) -> dict[str, list[float]]:
    """Name -> values, once there are as many series as were sent."""
    found: dict[str, list[float]] = {}
    for _ in range(START_TIMEOUT_S * 10):
        with contextlib.closing(connect(url)) as link:
            link.request("GET", "/api/v1/export?" + urlencode({"match[]": '{job="hand"}'}))
            lines = [json.loads(line) for line in link.getresponse().read().splitlines()]
        found = {line["metric"]["__name__"]: line["values"] for line in lines}
        if len(found) == len(CASES):
            break
        time.sleep(0.1)
    return found


@pytest.mark.needs_debian("victoria-metrics")
@pytest.mark.parametrize("stale", ["drop", "split"])
def test_finite_samples_arrive(tmp_path: Path, stale: str) -> None:
    """By the API's export as by the command's, with the default and with all values as words in lines of their own."""
    now_ms = int(time.time() * 1000) - 60_000
    request = pb.WriteRequest()
    for name, values in CASES.items():
        series = request.timeseries.add()
        for label, text in (("__name__", name), ("job", "hand")):
            series.labels.add(name=label, value=text)
        for at, value in enumerate(values):
            series.samples.add(timestamp=now_ms + 1000 * at, value=value)
    with running(tmp_path / "data") as daemon, victoria(tmp_path / "victoria") as url:
        with contextlib.closing(connect(daemon.ingest_url)) as link:
            assert post(link, bytes(cramjam.snappy.compress_raw(request.SerializeToString()))) == 204
        question = urlencode({"match[]": '{job="hand"}', "stale": stale})
        _, body = daemon.request("GET", f"/api/v1/export?{question}")
        assert nissa_command("export", daemon.directory, "--match", '{job="hand"}', "--stale", stale) == body
        assert imported(url, body) == 204
        found = values_in(url)
    assert found == {name: [value for value in values if math.isfinite(value)] for name, values in CASES.items()}
