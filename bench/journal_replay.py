#!/usr/bin/env python3
"""Speed of reading a journal back, and the cost of appending and committing one frame.

    PYTHONPATH=src python bench/journal_replay.py [--directory DIR] [--frames 2000] [--body-bytes 60000]

Prints MB per second of ``read_journal`` from the page cache, and microseconds per frame of append and of commit (wall
and CPU; groups of --group frames). What is read back is compared with what was written.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from nissa.journal.journal import Journal, RecoveryReport, read_journal
from nissa.model.durability import parse_durability
from nissa.model.frame import Codec, Encoding, Frame, Source

REPEATS = 3


def write(directory: Path, frames: list[Frame], durability: str, group: int) -> None:
    """Write all frames in groups and print what each step cost per frame."""
    journal = Journal(
        directory,
        durability=parse_durability(durability),
        segment_bytes=64 << 20,
        clock=lambda: int(time.time() * 1000),
    )
    append_s = commit_s = cpu_s = 0.0
    for first in range(0, len(frames), group):
        start = time.perf_counter()
        for frame in frames[first : first + group]:
            journal.append(frame, 0)
        appended, cpu = time.perf_counter(), time.process_time()
        journal.commit()
        append_s += appended - start
        commit_s += time.perf_counter() - appended
        cpu_s += time.process_time() - cpu
        journal.prepare()
    journal.close()
    per_frame = 1e6 / len(frames)
    print(
        f"{durability:>12}: append {append_s * per_frame:7.2f} us, commit {commit_s * per_frame:8.1f} us wall, "
        f"{cpu_s * per_frame:7.1f} us CPU per frame, groups of {group}"
    )


def read(directory: Path, frames: list[Frame]) -> None:
    """Read everything back and print the best of a few runs."""
    best_s = float("inf")
    for _ in range(REPEATS):
        report = RecoveryReport()
        start = time.perf_counter()
        for _entry in read_journal(directory, 0, report):
            pass
        best_s = min(best_s, time.perf_counter() - start)
    assert [entry.frame for entry in read_journal(directory)] == frames
    per_frame_us = best_s / len(frames) * 1e6
    print(f"{'read_journal':>12}: {report.bytes / best_s / 1e6:7.0f} MB/s, {per_frame_us:.1f} us per frame")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=None)
    parser.add_argument("--frames", type=int, default=2_000)
    parser.add_argument("--body-bytes", type=int, default=60_000)
    parser.add_argument("--group", type=int, default=8)
    args = parser.parse_args()
    block = os.urandom(args.body_bytes + args.frames)
    frames = [
        Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, number, block[number : number + args.body_bytes])
        for number in range(args.frames)
    ]
    print(f"{args.frames} frames of {args.body_bytes} bytes")
    for durability in ("os", "interval:100", "fsync"):
        with tempfile.TemporaryDirectory(dir=args.directory) as directory:
            write(Path(directory), frames, durability, args.group)
            if durability == "fsync":
                read(Path(directory), frames)


if __name__ == "__main__":
    main()
