"""Captures: frames recorded by ``nissa-ingest --capture FILE`` give the same content wherever they are played.

senders ──► daemon ──► its export ──────────────┐
              └─ capture ──► a directory ──► its export ├──► equal, bit for bit
                     └─────► another daemon ──► its export ┘
"""

import struct
import time
from itertools import islice
from pathlib import Path

import cramjam
import pytest
from journeys.rig import Daemon, Export, Ledger, Senders, connect, nissa_command, parse_export, running, send

from nissa._proto import leyline_pb2 as leyline
from nissa._proto import remote_write_v1_pb2 as pb
from nissa._proto import telemetry_pb2 as nissa_v2
from nissa.journal.capture import read_capture

REAL = Path(__file__).parents[2] / "bench" / "captures" / "real-remote-write-5min.rw.zst"
REAL_SAMPLES, REAL_SERIES = 607_000, 2_025
JUDGED_FRAMES = 100  # of the real capture, by Google's classes, which take long
OLD_IS_GOOD = {"NISSA_ACCEPTANCE__PAST": f"{100 * 365 * 86_400_000}ms"}
EVERYTHING = '{__name__=~".+"}'


def directory_export(directory: Path) -> Export:
    """Everything in a directory."""
    return parse_export(nissa_command("export", directory, "--stale", "split"))


def play(capture: Path, to: str | Path, *options: str) -> str:
    """Play a capture at full speed; returns the printed summary."""
    return nissa_command("replay", capture, "--to", to, "--full-speed", *options).decode()


def send_everything_once(daemon: Daemon) -> None:
    """A frame of every kind: in several codecs, compressions and framings, and one that is malformed."""
    now_ms = int(time.time() * 1000)
    link = connect(daemon.ingest_url)
    packet = leyline.TelemetryPacket(source_subsystem="tolaria")
    packet.timestamp.seconds = now_ms // 1000
    packet.metrics.add(name="tolaria.training.loss", value=0.25)
    body = packet.SerializeToString()
    name = "esper.leyline.v1.TelemetryPacket"
    assert send(link, name, bytes(cramjam.zstd.compress(body)), "zstd")[0] == 204
    run = b"".join(bytes([len(each)]) + each for each in (body, body))
    assert send(link, name + "; encoding=delimited", bytes(cramjam.gzip.compress(run)), "gzip")[0] == 204
    point = nissa_v2.MetricPoint(name="nissa.point", value=-0.0, timestamp_ms=now_ms)
    assert send(link, "nissa.v2.MetricPoint", point.SerializeToString())[0] == 204
    assert send(link, "nissa.v2.MetricPoint", b"\xff")[0] == 400


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Export]:
    """A capture of some traffic, and the export of the daemon that recorded it."""
    ledger, capture = Ledger(21), tmp_path / "traffic.capture"
    with running(tmp_path / "recording", "--capture", str(capture)) as daemon:
        send_everything_once(daemon)
        senders = Senders(daemon, ledger)
        senders.wait()
        senders.stop()
        found = daemon.export(EVERYTHING)
        assert daemon.stop() == 0
    ledger.check({labels: series for labels, series in found.items() if ("job", "ledger") in labels})
    assert len(found) > 20
    return capture, found


def test_a_capture_played_anywhere_gives_what_its_daemon_had(recorded: tuple[Path, Export], tmp_path: Path) -> None:
    """Into a directory and into a daemon, once and again: the export of the daemon that recorded it, bit for bit."""
    capture, found = recorded
    for _ in range(2):
        assert "record_malformed: 1" in play(capture, tmp_path / "directory")
        assert directory_export(tmp_path / "directory") == found
    with running(tmp_path / "daemon", "--durability", "os") as daemon:
        for _ in range(2):
            assert "status 400: 1" in play(capture, daemon.ingest_url)
            assert daemon.export(EVERYTHING) == found
        assert not any(daemon.unaccounted().values())


def test_a_time_that_was_not_sent_is_when_it_was_received_first(tmp_path: Path) -> None:
    """A packet without a time, played into a directory later, is kept at the time the first daemon received it."""
    packet = leyline.TelemetryPacket(source_subsystem="oona")
    packet.metrics.add(name="oona.queue.depth", value=7)
    capture = tmp_path / "timeless.capture"
    with running(tmp_path / "recording", "--capture", str(capture)) as daemon:
        link = connect(daemon.ingest_url)
        assert send(link, "esper.leyline.v1.TelemetryPacket", packet.SerializeToString())[0] == 204
        found = daemon.export('{source="oona"}')
        assert daemon.stop() == 0
    time.sleep(0.01)
    play(capture, tmp_path / "directory")
    assert directory_export(tmp_path / "directory") == found
    assert len(found) == 1


def test_a_capture_is_never_overwritten(recorded: tuple[Path, Export], tmp_path: Path) -> None:
    """A daemon refuses to start if the file to record to exists, and the file is unchanged."""
    capture, before = recorded[0], recorded[0].read_bytes()
    with pytest.raises(RuntimeError, match="before it was ready"):
        Daemon(tmp_path / "other", "--capture", str(capture))
    assert str(capture) in (tmp_path / "other.log").read_text()
    assert capture.read_bytes() == before


def test_a_capture_of_a_killed_daemon_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    """Killed while it records, a daemon leaves a capture of whole frames, all but the last: nothing is altered."""
    ledger, capture = Ledger(22), tmp_path / "killed.capture"
    with running(tmp_path / "recording", "--capture", str(capture)) as daemon:
        senders = Senders(daemon, ledger)
        while next(iter(read_capture(capture)), None) is None:
            time.sleep(0.1)  # it is flushed once a second
        daemon.kill()
        senders.stop()
    play(capture, tmp_path / "directory")
    ledger.acknowledged.clear()  # a capture is a recording, not a promise
    found = directory_export(tmp_path / "directory")
    assert found
    ledger.check(found)


def test_the_real_capture_is_the_same_however_often_and_wherever(tmp_path: Path) -> None:
    """Five minutes of a real Prometheus: twice into one directory, into a second, into a daemon: the same export."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert f"samples={REAL_SAMPLES} " in play(REAL, first)
    command = ("export", "--stale", "split")
    once = nissa_command(*command, first)
    play(REAL, first)
    play(REAL, second)
    assert nissa_command(*command, first) == once == nissa_command(*command, second)
    with running(tmp_path / "daemon", "--durability", "os", environment=OLD_IS_GOOD) as daemon:
        play(REAL, daemon.ingest_url)
        found = daemon.export(EVERYTHING)
        assert not any(daemon.unaccounted().values())
    assert found == parse_export(once)
    assert (len(found), sum(map(len, found.values()))) == (REAL_SERIES, REAL_SAMPLES)


def test_the_real_capture_is_what_google_protobuf_reads(tmp_path: Path) -> None:
    """Nissa exports the samples of its first frames as decoded by Google's classes and kept in a dict."""
    play(REAL, tmp_path / "directory", "--limit", str(JUDGED_FRAMES))
    assert directory_export(tmp_path / "directory") == judged(REAL)


def judged(capture: Path) -> Export:
    """Samples in the first frames of a capture of remote write 1.0."""
    found: Export = {}
    for frame in islice(read_capture(capture), JUDGED_FRAMES):
        request = pb.WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(frame.body)))
        for series in request.timeseries:
            kept = found.setdefault(tuple(sorted((label.name, label.value) for label in series.labels)), {})
            for sample in series.samples:
                kept[sample.timestamp] = struct.unpack("<Q", struct.pack("<d", sample.value))[0]
    return found


def test_a_daemon_refuses_what_is_too_old_and_says_so(tmp_path: Path) -> None:
    """Played into a daemon, an old capture is refused by the daemon's clock; the command prints the statuses."""
    with running(tmp_path / "daemon", environment={"NISSA_ACCEPTANCE__PAST": "60000ms"}) as daemon:
        assert "status 400: 20" in play(REAL, daemon.ingest_url, "--limit", "20")
        assert daemon.export(EVERYTHING) == {}
