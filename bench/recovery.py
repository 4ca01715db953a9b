"""Speed and memory of the recovery of a journal: a directory without blocks, opened for writing.

    python -m bench.recovery [--megabytes 944] [--hosts 1000] [--directory DIR]

The journal holds rounds of remote write 1.0, 2,000 samples a request, 10 series a host, a second apart. Opening it
decodes every frame, seals what grows too large, and leaves an engine's state; the samples in blocks and head are
counted against what was written.
Prints MB of journal per second of wall time and of CPU, the most memory the process had, and the lines it logged.
"""

import argparse
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import structlog
from cramjam import snappy

from bench.load import Shape, remote_write_bodies
from nissa.config.tree import Config
from nissa.ingest.pipeline import ADMIT_ALL
from nissa.ingest.recover import open_directory
from nissa.journal.journal import Journal
from nissa.model.durability import parse_durability
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import MIB, SECOND_MS
from nissa.service.daemon import SWITCH_INTERVAL_S
from nissa.service.memory import tune_malloc


def write(directory: Path, hosts: int, bytes_max: int) -> tuple[int, int]:
    """A journal of about ``bytes_max``; returns its bytes and samples."""
    journal = Journal(directory / "journal", durability=parse_durability("os"), segment_bytes=64 * MIB, clock=_now_ms)
    shape = Shape(hosts=hosts, rounds=10_000, end_ms=_now_ms())
    size = count = 0
    for plain in remote_write_bodies(shape):
        body = bytes(snappy.compress_raw(plain))
        journal.append(Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, shape.last_ms, body), ADMIT_ALL)
        size += len(body)
        count += 1
        if count % shape.requests_per_round == 0:
            journal.commit()
            journal.prepare()
            if size >= bytes_max:
                break
    journal.commit()
    journal.close()
    return size, count // shape.requests_per_round * shape.series


def _now_ms() -> int:
    return int(time.time() * SECOND_MS)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=944)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--directory", type=Path, default=None)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        directory = Path(place) / "data"
        directory.mkdir()
        size, samples = write(directory, arguments.hosts, arguments.megabytes * 1_000_000)
        print(f"{size / 1e6:.0f} MB of journal, {samples:,} samples")
        tune_malloc()  # both as in the daemon
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        wall, cpu = time.perf_counter(), time.process_time()
        opened = open_directory(directory, Config(), _now_ms)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found = opened.pipeline.head.total + sum(block.rows for block in opened.writer.blocks)
        opened.close()
        if found != samples:
            raise SystemExit(f"recovered {found:,} samples, expected {samples:,}")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{size / wall / 1e6:.0f} MB/s wall, {size / cpu / 1e6:.0f} MB per CPU second, {wall:.1f} s, {cpu:.1f} CPU s")
    print(f"memory at most {peak_mib} MiB, {before_mib} MiB of it before opening")


if __name__ == "__main__":
    main()
