"""Lost files of a data directory: the daemon goes on with the rest and names the missing files."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from journeys.rig import SERIES_PER_REQUEST, Daemon, Export, Ledger, connect, parse_export, post, running, send
from journeys.test_maintenance import comes, raw_files

from nissa._proto import telemetry_pb2

CLAIMS = 4
LADDER = {"NISSA_STORAGE__SEAL_INTERVAL": "100ms"}
SEALS = {"NISSA_STORAGE__SEAL_INTERVAL": "100ms", "NISSA_LADDER__TIERS": "[]"}
JOURNAL_ONLY = {"NISSA_STORAGE__SEAL_INTERVAL": "1h", "NISSA_LADDER__TIERS": "[]"}


def fill(daemon: Daemon, ledger: Ledger, claims: int = CLAIMS, *, sealed: bool = True) -> None:
    """Claims one by one, each in a block of its own where they are sealed."""
    link = connect(daemon.ingest_url)
    for _ in range(claims):
        claim = ledger.claim()
        assert post(link, ledger.body(claim)) == 204
        ledger.oblige(claim)
        if sealed:
            daemon.wait_sealed()
    link.close()


def exported(daemon: Daemon) -> tuple[str, Export]:
    """(missing blocks as named by the header, samples) of an export of everything."""
    link = connect(daemon.api_url)
    link.request("GET", "/api/v1/export?match[]={job=%22ledger%22}&stale=split")
    reply = link.getresponse()
    body = reply.read()
    assert reply.status == 200, body[:300]
    link.close()
    return reply.headers["X-Nissa-Missing"] or "", parse_export(body)


def verify(directory: Path) -> tuple[int, str]:
    """Exit code and output of ``nissa verify``."""
    command = [sys.executable, "-m", "nissa.cli.main", "verify", str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def test_a_block_deleted_under_a_daemon_costs_its_rows_only(tmp_path: Path) -> None:
    """The next export is answered at once without it and names it; a restart, and merges, go on."""
    directory, ledger = tmp_path / "data", Ledger(71)
    with running(directory, environment=SEALS) as daemon:
        fill(daemon, ledger)
        lost = raw_files(directory)[1]
        lost.unlink()
        ledger.acknowledged.discard(2)  # its rows, and nothing else
        missing, found = exported(daemon)
        assert lost.name in missing
        ledger.check(found)
        assert comes(lambda: daemon.get("/api/status")["maintenance"]["quarantine"]["blocks"] == 1)
        fill(daemon, ledger, 8)
        assert not any(daemon.unaccounted().values())
        assert daemon.get("/api/status")["seal"]["failures"] == 0
        daemon.kill()
    with running(directory, environment=SEALS) as daemon:
        ledger.check(exported(daemon)[1])
        assert daemon.stop() == 0
    code, said = verify(directory)
    assert code == 1
    assert f"blocks/{lost.name}" in said


def test_blocks_lost_between_two_starts_are_named(tmp_path: Path) -> None:
    """A start does not need them; within seconds they are in quarantine, and exports name them as missing."""
    directory, ledger = tmp_path / "data", Ledger(72)
    with running(directory, environment=SEALS) as daemon:
        fill(daemon, ledger)
        daemon.kill()
    lost = raw_files(directory)[0]
    lost.unlink()
    ledger.acknowledged.discard(1)
    with running(directory, environment=SEALS) as daemon:
        assert comes(lambda: daemon.get("/api/status")["maintenance"]["quarantine"]["blocks"] == 1)
        missing, found = exported(daemon)
        assert lost.name in missing
        ledger.check(found)
        assert not any(daemon.unaccounted().values())
        assert daemon.stop() == 0


def series_files(directory: Path) -> list[Path]:
    """Segments of the series table and their second copies, by number."""
    return sorted(directory.glob("*/series-*.parquet"), key=lambda path: (path.name, path.parent.name))


def test_a_series_segment_deleted_under_a_daemon_is_written_again(tmp_path: Path) -> None:
    """With its copy and without, the daemon writes its labels from memory again, and the next start needs them."""
    directory, ledger = tmp_path / "data", Ledger(74)
    with running(directory, environment={**SEALS, "NISSA_STORAGE__SCRUB_INTERVAL": "1000ms"}) as daemon:
        fill(daemon, ledger)
        _, segment, *_ = series_files(directory)
        segment.write_bytes(b"")
        assert comes(lambda: segment.stat().st_size > 0)
        for path in series_files(directory):
            path.unlink()
        assert comes(lambda: verify(directory)[0] == 0)
        daemon.kill()
    with running(directory, environment=SEALS) as daemon:
        ledger.check(daemon.export())
        assert daemon.stop() == 0


def test_a_series_segment_lost_between_two_starts(tmp_path: Path) -> None:
    """From its copy all is as it was; without any the samples are there under other names, which the log says."""
    directory, ledger = tmp_path / "data", Ledger(75)
    with running(directory, environment=SEALS) as daemon:
        fill(daemon, ledger)
        daemon.kill()
    copy, segment, *_ = series_files(directory)
    segment.unlink()
    with running(directory, environment=SEALS) as daemon:
        ledger.check(daemon.export())
        daemon.kill()
    assert segment.exists()
    rows = len(ledger.acknowledged)
    segment.unlink()
    copy.write_bytes(b"x")
    with running(directory, environment=SEALS) as daemon:
        (said,) = daemon.get("/api/status")["recovery"]["lost_labels"]
        assert said.startswith("labels of 20 series up to 19: ")
        lost = daemon.export('{__name__="nissa_lost_series"}')
        kept = daemon.export()
        assert len(lost) == SERIES_PER_REQUEST
        assert sum(map(len, [*lost.values(), *kept.values()])) == rows * SERIES_PER_REQUEST
        fill(daemon, ledger, 2)
        assert not any(daemon.unaccounted().values())
        assert daemon.stop() == 0
    assert "labels are lost" in (tmp_path / "data.log").read_text()


def nissa(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """``nissa ARGUMENTS``, done."""
    command = [sys.executable, "-m", "nissa.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def offline(directory: Path) -> dict[str, str]:
    """Output of ``nissa export`` and ``nissa events`` for a directory without a daemon."""
    questions = {
        "samples": ("export", directory, "--match", '{__name__=~".+"}', "--stale", "split"),
        "windows": ("export", directory, "--match", '{__name__=~".+"}', "--resolution", "1m"),
        "events": ("events", directory, "--json"),
    }
    said = {}
    for name, question in questions.items():
        done = nissa(*question)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    return said


def refuses_to_start(directory: Path) -> str:
    """Standard error of a daemon that must refuse to start."""
    command = [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(directory)]
    command += ["--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr


def send_events(daemon: Daemon, count: int) -> None:
    """Send ``count`` events, each in a request of its own."""
    link = connect(daemon.ingest_url)
    for number in range(count):
        event = telemetry_pb2.TelemetryEvent(event_id="Stage", description=f"number {number}", source="seed")
        event.timestamp_ms = int(time.time() * 1000) + number
        assert send(link, "nissa.v2.TelemetryEvent", event.SerializeToString())[0] == 204
    link.close()


def gone(path: Path) -> None:
    """The file is not there."""
    path.unlink()


def truncated(path: Path) -> None:
    """Its end is missing."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_lost_catalogue_is_made_again(tmp_path: Path) -> None:
    """The daemon does not start without it, and deletes no file; after ``nissa rebuild`` every export is as before."""
    directory, ledger = tmp_path / "data", Ledger(76)
    with running(directory, environment=LADDER) as daemon:
        send_events(daemon, 5)
        fill(daemon, ledger, 5)
        fill(daemon, ledger, 2, sealed=False)
        daemon.kill()
    before = offline(directory)
    for lose in (gone, truncated):
        copy = tmp_path / lose.__name__
        shutil.copytree(directory, copy)
        files = sorted(copy.glob("*/*.parquet"))
        lose(copy / "catalogue.sqlite")
        assert f"nissa rebuild {copy}" in refuses_to_start(copy)
        assert sorted(copy.glob("*/*.parquet")) == files
        done = nissa("rebuild", copy)
        assert done.returncode == 0, done.stderr
        assert "not recoverable without the old catalogue: pins" in done.stdout
        assert offline(copy) == before
        directory = copy
    with running(directory, environment=LADDER) as daemon:
        fill(daemon, ledger, 4)
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        series = daemon.get("/api/status")["series"]["total"]
        assert daemon.stop() == 0
    assert series == len({labels for claim in ledger.claimed for labels, _, _ in ledger.samples(claim)})
    assert verify(directory)[0] == 0
    refused = nissa("rebuild", directory)
    assert (refused.returncode, "--replace" in refused.stderr) == (2, True)


def test_blocks_and_series_alone_are_restored(tmp_path: Path) -> None:
    """A backup without catalogue, journal and settings: sealed rows are exported as before, and senders go on."""
    directory, ledger = tmp_path / "data", Ledger(77)
    with running(directory, environment=LADDER) as daemon:
        send_events(daemon, 5)
        fill(daemon, ledger, 5)
        assert daemon.stop() == 0
    before = offline(directory)
    restored = tmp_path / "restored"
    for room in ("blocks", "series"):
        shutil.copytree(directory / room, restored / room)
    assert "nissa rebuild" in refuses_to_start(restored)
    assert nissa("rebuild", restored).returncode == 0
    assert offline(restored) == before
    with running(restored, environment=LADDER) as daemon:
        fill(daemon, ledger, 2)
        ledger.check(daemon.export())
        assert daemon.stop() == 0
    assert verify(restored)[0] == 0


def test_missing_blocks_are_put_aside_and_dropped(tmp_path: Path) -> None:
    """``nissa repair`` names lost blocks; a restored block is served again; a dropped one is no longer named."""
    directory, ledger = tmp_path / "data", Ledger(78)
    ledger.base_ms -= 3 * 3_600_000  # an hour of windows is written
    with running(directory, environment=LADDER) as daemon:
        send_events(daemon, 3)
        fill(daemon, ledger)
        fill(daemon, Ledger(79), 1)
        assert comes(lambda: bool(list(directory.glob("blocks/1m-*"))))
        assert daemon.stop() == 0
    before = offline(directory)
    lost = [min(directory.glob(f"blocks/{kind}-*.parquet")) for kind in ("raw", "1m", "events")]
    for path in lost:
        path.rename(tmp_path / path.name)
    done = nissa("repair", directory)
    assert done.returncode == 1
    assert [f"blocks/{path.name}: lost: " in done.stdout for path in lost] == [True] * 3, done.stdout
    for path in lost:
        shutil.copy(tmp_path / path.name, path)
    done = nissa("repair", directory)
    assert done.returncode == 0
    assert [f"blocks/{path.name}: intact; taken out of quarantine" in done.stdout for path in lost] == [True] * 3, (
        done.stdout
    )
    assert offline(directory) == before
    for path in lost:
        path.unlink()
    with running(directory, environment=LADDER) as daemon:
        assert comes(lambda: daemon.get("/api/status")["maintenance"]["quarantine"]["blocks"] == 3)
        assert daemon.stop() == 0
    assert nissa("repair", "--drop-lost", directory).returncode == 0
    assert verify(directory)[0] == 0


def test_series_segments_are_repaired(tmp_path: Path) -> None:
    """From the other copy as they were; without any, their samples keep other names, and the directory is sound."""
    directory, ledger = tmp_path / "data", Ledger(80)
    with running(directory, environment=SEALS) as daemon:
        fill(daemon, ledger)
        assert daemon.stop() == 0
    copy, segment, *_ = series_files(directory)
    truncated(segment)
    assert nissa("repair", directory).returncode == 0
    assert verify(directory)[0] == 0
    segment.unlink()
    copy.write_bytes(b"")
    done = nissa("repair", directory)
    assert (done.returncode, "labels of 20 series" in done.stdout) == (1, True), done.stdout
    assert nissa("repair", "--drop-lost", directory).returncode == 0
    assert verify(directory)[0] == 0
    with running(directory, environment=SEALS) as daemon:
        assert len(daemon.export('{__name__="nissa_lost_series"}')) == SERIES_PER_REQUEST
        fill(daemon, ledger, 2)
        assert not any(daemon.unaccounted().values())
        assert daemon.stop() == 0


def test_an_emptied_segment_of_the_journal_is_named(tmp_path: Path) -> None:
    """``nissa verify`` and the start say which segment lost its frames; no later frame gets their numbers."""
    directory, ledger = tmp_path / "data", Ledger(73)
    with running(directory, environment=JOURNAL_ONLY) as daemon:
        fill(daemon, ledger, sealed=False)
        daemon.kill()
    (segment,) = (directory / "journal").glob("*.journal")
    segment.write_bytes(b"")
    code, said = verify(directory)
    assert code == 1
    assert f"journal/{segment.name}: it is empty" in said
    with running(directory, environment=JOURNAL_ONLY) as daemon:
        assert daemon.get("/api/status")["recovery"]["empty_segments"] == [segment.name]
        assert daemon.stop() == 0
    assert segment.name in (tmp_path / "data.log").read_text()
    assert verify(directory)[0] == 0
