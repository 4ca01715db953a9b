"""Over ``series.active_max`` known series flow on; new ones are refused, counted and named, after a restart too."""

import http.client
import json
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

import cramjam
import pytest
from journeys.rig import HEADERS, Daemon, connect, running, send

from nissa._proto import leyline_pb2 as leyline
from nissa._proto import remote_write_v1_pb2 as pb

ACTIVE_MAX: Final = 500
LIMITED: Final = {"NISSA_SERIES__ACTIVE_MAX": str(ACTIVE_MAX), "NISSA_STORAGE__SEAL_INTERVAL": "3600000ms"}
SOURCE: Final = "http/remote_write_1"


class Answer(NamedTuple):
    """The answer to a write. written: number of samples, as in its text."""

    status: int
    written: int
    lines: list[str]


def body_of(numbers: range, ts_ms: int) -> bytes:
    """One sample of each of these series; its value is the number."""
    request = pb.WriteRequest()
    for number in numbers:
        series = request.timeseries.add()
        for name, value in (("__name__", "limited"), ("job", "limit"), ("n", str(number))):
            series.labels.add(name=name, value=value)
        series.samples.add(timestamp=ts_ms, value=number)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def write(link: http.client.HTTPConnection, numbers: range, ts_ms: int) -> Answer:
    """Send them; the answer."""
    link.request("POST", "/api/v1/write", body_of(numbers, ts_ms), HEADERS)
    reply = link.getresponse()
    lines = reply.read().decode().splitlines()
    written = int(lines[0].split()[3]) if lines else len(numbers)  # "refused 1, kept 1 samples, …"
    return Answer(reply.status, written, lines)


def kept(daemon: Daemon) -> dict[int, list[int]]:
    """Number of the series -> times of its samples, each of which must have the number as its value."""
    found = {}
    for labels, series in daemon.export('{job="limit"}').items():
        number = int(dict(labels)["n"])
        assert set(series.values()) == {struct.unpack("<Q", struct.pack("<d", number))[0]}
        found[number] = sorted(series)
    return found


def refused(daemon: Daemon) -> int:
    """Samples refused for the limit, as the accounting says; its balance must be exact."""
    assert not any(daemon.unaccounted().values())
    sources = daemon.get("/api/v1/accounting")["data"]["sources"]
    return int(sources[SOURCE]["refused"].get("series_limit", 0))


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_known_series_flow_on_and_new_ones_are_refused_and_told(tmp_path: Path, ending: str) -> None:
    """Half of a request is over the limit: the other half is kept, the answer says both, and so does the accounting."""
    now_ms = int(time.time() * 1000) - 60_000
    with running(tmp_path / "data", environment=LIMITED) as daemon:
        link = connect(daemon.ingest_url)
        assert write(link, range(ACTIVE_MAX), now_ms) == (204, ACTIVE_MAX, [])
        over = write(link, range(ACTIVE_MAX - 10, ACTIVE_MAX + 10), now_ms + 1)
        assert over[:2] == (400, 10)
        assert over.lines[0].startswith("refused 10, kept 10 samples")
        assert len(over.lines) == 2
        assert over.lines[1].startswith("series_limit: 10 (setting: series.active_max); the first: limited{")
        assert write(link, range(ACTIVE_MAX), now_ms + 2) == (204, ACTIVE_MAX, [])
        assert write(link, range(ACTIVE_MAX, 4 * ACTIVE_MAX), now_ms + 3)[:2] == (400, 0)
        check_all_told(daemon, now_ms)
        if ending == "stopped":
            assert daemon.stop() == 0
        else:
            daemon.kill()
    with running(tmp_path / "data", environment=LIMITED) as daemon:
        check_all_told(daemon, now_ms)
        link = connect(daemon.ingest_url)
        assert write(link, range(ACTIVE_MAX), now_ms + 4) == (204, ACTIVE_MAX, [])
        assert write(link, range(ACTIVE_MAX, ACTIVE_MAX + 1), now_ms + 4)[:2] == (400, 0)
        assert refused(daemon) == 10 + 3 * ACTIVE_MAX + 1
        assert daemon.stop() == 0
    with running(tmp_path / "data", environment={**LIMITED, "NISSA_SERIES__ACTIVE_MAX": "501"}) as daemon:
        answer = write(connect(daemon.ingest_url), range(ACTIVE_MAX, ACTIVE_MAX + 2), now_ms + 5)
        assert answer[:2] == (400, 1)
        assert kept(daemon).keys() == set(range(ACTIVE_MAX + 1))


def check_all_told(daemon: Daemon, now_ms: int) -> None:
    """Check the samples kept of the first four writes, and every place that reports the refused ones."""
    times = [now_ms, now_ms + 2]
    last_ten = range(ACTIVE_MAX - 10, ACTIVE_MAX)
    expected = {number: sorted({*times, *([now_ms + 1] if number in last_ten else [])}) for number in range(ACTIVE_MAX)}
    assert kept(daemon) == expected
    assert refused(daemon) == 10 + 3 * ACTIVE_MAX
    series = daemon.get("/api/status")["series"]
    assert (series["total"], series["active"], series["limit"]) == (ACTIVE_MAX, ACTIVE_MAX, ACTIVE_MAX)
    assert daemon.get("/api/v1/status/tsdb")["data"]["headStats"]["numSeries"] == ACTIVE_MAX
    metrics = exposed(daemon)
    assert metrics["nissa_series_limit"] == ACTIVE_MAX
    assert metrics["nissa_series_active"] == ACTIVE_MAX
    refusals = {name: count for name, count in metrics.items() if name.startswith("nissa_ingest_refused_total{")}
    assert [count for name, count in refusals.items() if 'reason="series_limit"' in name] == [10 + 3 * ACTIVE_MAX]


def exposed(daemon: Daemon) -> dict[str, float]:
    """Samples of /metrics."""
    link = connect(daemon.ingest_url)
    link.request("GET", "/metrics")
    lines = link.getresponse().read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_telemetry_is_told_too(tmp_path: Path) -> None:
    """Over the limit a packet of Leyline gets 200 with the counts where some of it was kept, 400 where nothing was."""
    with running(tmp_path / "data", environment={**LIMITED, "NISSA_SERIES__ACTIVE_MAX": "3"}) as daemon:
        link = connect(daemon.ingest_url)
        some = send(link, "esper.leyline.v1.TelemetryPacket", packet_of(range(5)))
        none = send(link, "esper.leyline.v1.TelemetryPacket", packet_of(range(7, 9)))
        known = send(link, "esper.leyline.v1.TelemetryPacket", packet_of(range(3)))
        assert (some[0], none[0], known[0]) == (200, 400, 204)
        counts = json.loads(some[1])
        assert (counts["samples"], counts["refused"]) == (3, {"series_limit": 2})
        assert counts["settings"] == {"series_limit": "series.active_max"}
        assert json.loads(none[1])["refused"] == {"series_limit": 2}
        assert not any(daemon.unaccounted().values())


def packet_of(numbers: range) -> bytes:
    """A packet with one metric for each number."""
    packet = leyline.TelemetryPacket(source_subsystem="limit")
    packet.timestamp.seconds = int(time.time())
    for number in numbers:
        packet.metrics.add(name=f"limit.metric.{number}", value=number)
    return packet.SerializeToString()
