"""An export much larger than the memory it may take: streamed, complete, and a slow reader does not block others.

Every sample follows from its series and its time, so that the stream is checked as it comes, line by line. By hand,
with a hundred million samples:

    NISSA_EXPORT_SAMPLES=100000000 pytest --timeout=3600 -s tests/journeys/test_export_large.py
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from journeys.rig import LARGE_BYTES, SANITIZED, Daemon, Ledger, connect, giving_back, post, running, send

from nissa._proto import columns_pb2

MIB: Final = 1 << 20
SAMPLES: Final = int(os.environ.get("NISSA_EXPORT_SAMPLES", "4000000"))
SERIES: Final = 100
ROUNDS: Final = SAMPLES // SERIES
ROUNDS_PER_BODY: Final = 5_000
STEP_MS: Final = 10
BLOCKS_MAX: Final = min(max(SAMPLES // 1_000_000, 5), 25)
# A few chunks and batches of an export, and of each block a band of 512 Ki rows and a row group while it is decoded.
CACHED_BYTES: Final = 12 * SAMPLES if 12 * SAMPLES < 1 << 30 else 0  # in the cache of row groups, which more go past
GROWTH_BYTES_MAX: Final = (64 + 14 * BLOCKS_MAX) * MIB + CACHED_BYTES
TEXT_BYTES_EACH: Final = 28  # at least, of one sample in JSON: all of it is more than the growth allowed
MATCH: Final = '{__name__="large"}'
PAUSE_S: Final = 1.0


def values_at(series: int, rounds: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The values of a series in these rounds, most of them long in decimal."""
    return ((rounds * 7_919 + series * 104_729) % 1_000_003) / 7


def bodies(start_ms: int) -> Iterator[bytes]:
    """nissa.v2 columns: every series, ROUNDS_PER_BODY rounds at a time."""
    for first in range(0, ROUNDS, ROUNDS_PER_BODY):
        rounds = np.arange(first, min(first + ROUNDS_PER_BODY, ROUNDS))
        message = columns_pb2.SampleColumns(timestamp_ms=start_ms + first * STEP_MS)
        message.symbols.extend(["", "__name__", "large", "n", *(f"{number:03d}" for number in range(SERIES))])
        for number in range(SERIES):
            message.series.add(label_refs=[1, 2, 3, 4 + number])
        message.time_deltas_ms.extend([0, *[STEP_MS] * (len(rounds) - 1)])
        message.values.extend(np.concatenate([values_at(number, rounds) for number in range(SERIES)]).tolist())
        yield message.SerializeToString()


def fill(daemon: Daemon, start_ms: int) -> None:
    """Send everything."""
    link = connect(daemon.ingest_url)
    for body in bodies(start_ms):
        status = 503
        while status == 503:
            status, answer = send(link, "nissa.v2.SampleColumns", body)
            time.sleep(0.1 if status == 503 else 0)
        assert status == 204, answer


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A directory with all samples in blocks, and the time of the first."""
    directory = tmp_path_factory.mktemp("large") / "data"
    start_ms = int(time.time() * 1000) - ROUNDS * STEP_MS - 60_000
    # Sealed when full, however long sending takes, the rest by the next start; and nothing but raw blocks.
    full = {"NISSA_STORAGE__SEAL_SAMPLES": str(SAMPLES // BLOCKS_MAX), "NISSA_LADDER__TIERS": "[]"}
    with running(directory, "--durability", "os", environment=full) as daemon:
        fill(daemon, start_ms)
        assert daemon.stop() == 0
    with running(directory, environment={**full, "NISSA_STORAGE__SEAL_INTERVAL": "200ms"}) as daemon:
        daemon.wait_sealed()
        blocks = daemon.get("/api/status")["blocks"]
        assert blocks["samples"] == SERIES * ROUNDS
        assert 1 < blocks["count"] <= BLOCKS_MAX
        assert daemon.stop() == 0
    return directory, start_ms


@contextlib.contextmanager
def answer_to(daemon: Daemon, form: str) -> Iterator[http.client.HTTPResponse]:
    """The answer of an export, not read yet."""
    with contextlib.closing(connect(daemon.api_url)) as link:
        link.request("GET", "/api/v1/export?" + urlencode({"match[]": MATCH, "format": form}))
        reply = link.getresponse()
        assert reply.status == 200
        yield reply


def check_lines(lines: Iterator[bytes], start_ms: int) -> int:
    """Every sample is there once, in order, with its value; how many bytes that were."""
    met = dict.fromkeys((f"{number:03d}" for number in range(SERIES)), 0)
    total = 0
    for line in lines:
        entry = json.loads(line)
        name, count = entry["metric"]["n"], len(entry["timestamps"])
        rounds = np.arange(met[name], met[name] + count)
        assert np.array_equal(entry["timestamps"], start_ms + rounds * STEP_MS)
        assert np.array_equal(entry["values"], values_at(int(name), rounds))
        met[name] += count
        total += len(line)
    assert set(met.values()) == {ROUNDS}
    return total


def test_a_large_export_is_complete_and_takes_bounded_memory(filled: tuple[Path, int]) -> None:
    """JSON lines of everything, to a reader that pauses: each sample once, and the daemon hardly grows."""
    directory, start_ms = filled
    with running(directory, start=giving_back) as daemon:
        daemon.export('{__name__="large",n="000"}')  # loads every library that exports need
        before_bytes = most_bytes = daemon.rss_bytes
        begun = time.monotonic()

        def watched(reply: http.client.HTTPResponse) -> Iterator[bytes]:
            nonlocal most_bytes
            for number, line in enumerate(reply):
                if number == SERIES // 2:
                    time.sleep(PAUSE_S)
                most_bytes = max(most_bytes, daemon.rss_bytes)
                yield line

        with answer_to(daemon, "jsonl") as reply:
            total_bytes = check_lines(watched(reply), start_ms)
        print(
            f"{SERIES * ROUNDS} samples, {total_bytes / MIB:.0f} MiB of JSON in {time.monotonic() - begun:.0f} s, "
            f"memory {before_bytes / MIB:.0f} MiB and {(most_bytes - before_bytes) / MIB:.0f} MiB more"
        )
        assert total_bytes >= SERIES * ROUNDS * TEXT_BYTES_EACH
        assert SANITIZED or most_bytes - before_bytes <= GROWTH_BYTES_MAX


def test_writes_are_taken_while_a_reader_sleeps_over_an_export(filled: tuple[Path, int]) -> None:
    """A reader that has taken the first bytes and nothing more holds up no sender, nor another reader."""
    ledger = Ledger(31)
    with running(filled[0], start=giving_back) as daemon, answer_to(daemon, "jsonl") as sleeping:
        assert sleeping.read(1)
        link = connect(daemon.ingest_url)
        for _ in range(20):
            claim = ledger.claim()
            assert post(link, ledger.body(claim)) == 204
            ledger.oblige(claim)
        ledger.check(daemon.export())
        before_bytes = daemon.rss_bytes
        time.sleep(PAUSE_S)
        assert SANITIZED or daemon.rss_bytes - before_bytes <= GROWTH_BYTES_MAX


@pytest.mark.parametrize("form", ["jsonl", "arrow"])
def test_the_command_takes_bounded_memory(filled: tuple[Path, int], form: str) -> None:
    """``nissa export`` of everything takes little more memory than of one series, and is complete."""
    little_bytes, _ = measured_export(filled[0], form, '{__name__="large",n="000"}')
    most_bytes, output = measured_export(filled[0], form, MATCH)
    print(
        f"{form}: {output.stat().st_size / MIB:.0f} MiB, memory {little_bytes / MIB:.0f} MiB and "
        f"{(most_bytes - little_bytes) / MIB:.0f} MiB more"
    )
    assert SANITIZED or most_bytes - little_bytes <= GROWTH_BYTES_MAX
    if form == "jsonl":
        with output.open("rb") as file:
            check_lines(iter(file), filled[1])
    else:
        with pa.ipc.open_stream(pa.memory_map(str(output))) as stream:
            assert sum(batch.num_rows for batch in stream) == SERIES * ROUNDS
    output.unlink()


def measured_export(directory: Path, form: str, match: str) -> tuple[int, Path]:
    """Most resident memory of a ``nissa export``, and what it wrote."""
    output = directory.parent / f"export.{form}"
    command = [sys.executable, "-m", "nissa.cli.main", "export", str(directory)]
    gives_back = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(LARGE_BYTES)}
    process = subprocess.Popen(
        [*command, "--match", match, "--format", form, "--output", str(output)], env={**os.environ, **gives_back}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024, output
