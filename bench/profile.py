"""Profiles ingestion of a load or a capture: by stage, by Python function, or by thread and symbol.

    python -m bench.profile stages [--capture FILE] [--hosts 1000 --rounds 200 …]   in process, stage after stage
    python -m bench.profile python [--capture FILE] …                               in process, under cProfile
    python -m bench.profile daemon [--capture FILE] …                               the daemon, under perf if installed

    stages    CPU nanoseconds per sample of: decompress, decode (known series and new ones), append to the head, append
              to the journal and commit (one fdatasync per --group frames), sort and resolve, sort and write the block
    python    the pipeline as the engine thread runs it, journal included, by own time of functions
    daemon    a real server and a real sender: CPU by thread, then the symbols perf sees most in all of them

A capture is any that ``nissa replay`` takes; the default one is recorded real traffic of a Prometheus.
"""

import argparse
import cProfile
import pstats
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.load import Shape, encoded_bodies, shape_arguments, shape_of
from bench.send import send
from bench.servers import Server, running
from bench.usage import cpu_by_thread
from bench.workloads import CODECS, MINUTE, decode_into, new_index
from nissa._fast.batch import Batch
from nissa._fast.columns import SortedRows
from nissa.catalogue.catalogue import Catalogue
from nissa.codec.decompress import Decompressor
from nissa.config.tree import Acceptance, Config, Series
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.journal.capture import read_capture
from nissa.journal.journal import Journal
from nissa.model.durability import parse_durability
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import MINUTE_MS
from nissa.store.blocks import GROUP_ROWS
from nissa.store.seal import HighWaterMarks, SealInput, write_seal

ALWAYS_MS = 100 * 365 * 24 * 60 * MINUTE_MS
SERIES_MAX = 10_000_000
BYTES_MAX = 64 << 20
SEGMENT_BYTES = 64 << 20
SYMBOLS_SHOWN = 40
SETTLE_S = 3.0
OPEN_CONFIG = Config(series=Series(active_max=SERIES_MAX), acceptance=Acceptance(past_ms=ALWAYS_MS))


def frames_to_profile(arguments: argparse.Namespace) -> list[Frame]:
    """The frames of a capture, or of a generated load."""
    if arguments.capture:
        return list(read_capture(arguments.capture))
    shape: Shape = shape_of(arguments)
    encoding = Encoding.SNAPPY if shape.kind.startswith("remote_write") else Encoding.IDENTITY
    delimited = shape.kind in ("leyline", "packets")
    received_ms = int(time.time() * 1000)
    return [
        Frame(CODECS[shape.kind], encoding, Source.HTTP, received_ms, body, delimited) for body in encoded_bodies(shape)
    ]


def timed(name: str, samples: int, run: Callable[[], object]) -> None:
    """Run once and print what it cost in CPU and in wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name:<34} {cpu / samples * 1e9:8.1f} ns CPU per sample  {cpu:7.3f} s CPU  {wall:7.3f} s wall", flush=True)


def profile_stages(frames: list[Frame], group: int) -> None:
    """Every stage by itself, over all frames."""
    decompressor, index, batch = Decompressor(BYTES_MAX), new_index(), Batch()
    plain = [
        Frame(
            frame.codec,
            Encoding.IDENTITY,
            frame.source,
            frame.received_ms,
            bytes(decompressor.decompress(frame.body, frame.encoding)),
            frame.delimited,
        )
        for frame in frames
    ]
    head = Head()

    def take(keep: Head | None) -> int:
        total = 0
        for number, frame in enumerate(plain):
            decode_into(frame, index, batch, SERIES_MAX)
            total += len(batch)
            if keep is not None:
                keep.append(batch, "bench", number + 1, None, 0)
        return total

    cpu = time.process_time()
    samples = take(None)
    cpu = time.process_time() - cpu
    text_bytes = sum(len(frame.body) for frame in plain)
    print(
        f"{len(frames)} frames, {samples:,} samples, {index.series_count:,} series, {text_bytes / samples:.0f} B each"
    )
    print(f"{'decode, first time':<34} {cpu / samples * 1e9:8.1f} ns CPU per sample  {cpu:7.3f} s CPU")
    timed("decompress", samples, lambda: [decompressor.decompress(frame.body, frame.encoding) for frame in frames])
    timed("decode, series known", samples, lambda: take(None))
    timed("decode, series known, append", samples, lambda: take(head))
    head.publish(len(frames), head.total)
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as directory:
        journal_and_block(Path(directory), frames, head, group)


def journal_and_block(directory: Path, frames: list[Frame], head: Head, group: int) -> None:
    """Time the journal, and the writing of a block."""
    journal = Journal(
        directory / "journal", durability=parse_durability("fsync"), segment_bytes=SEGMENT_BYTES, clock=lambda: 0
    )

    def keep() -> None:
        for number, frame in enumerate(frames):
            journal.append(frame, 0)
            if number % group == group - 1:
                journal.commit()
                journal.prepare()
        journal.commit()

    timed(f"journal, groups of {group}", head.total, keep)
    journal.close()
    parts = [(part.series, part.ts_ms, part.value) for part in head.snapshot()]

    def arrange() -> None:
        rows = SortedRows(parts)
        while len(rows.next_rows(GROUP_ROWS)[0]):
            pass

    timed("sort and resolve", head.total, arrange)
    catalogue = Catalogue.open(directory)
    timed("load the Parquet library (once)", head.total, lambda: __import__("pyarrow.parquet"))
    horizon = HighWaterMarks((), 0)
    timed(
        "sort and write the block",
        head.total,
        lambda: write_seal(directory, catalogue, horizon, SealInput(head.snapshot(), 1, len(frames), 0)),
    )
    catalogue.close()


def profile_python(frames: list[Frame], group: int) -> None:
    """The engine thread's work under cProfile. Its own cost is in every figure: read the order, not the seconds."""
    pipeline = Pipeline(OPEN_CONFIG, new_index(SERIES_MAX), {}, bytes(32))
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as directory:
        journal = Journal(
            Path(directory), durability=parse_durability("os"), segment_bytes=SEGMENT_BYTES, clock=lambda: 0
        )
        profiler = cProfile.Profile(time.thread_time)
        profiler.enable()
        for number, frame in enumerate(frames):
            pipeline.take(frame, journal.append)
            if number % group == group - 1:
                journal.commit()
        profiler.disable()
        journal.close()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def profile_daemon(frames: list[Frame]) -> None:
    """A real server under load."""
    settings = {
        "acceptance.past": f"{ALWAYS_MS}ms",
        "series.active_max": str(SERIES_MAX),
        "storage.seal_samples": "1000000",
        "storage.seal_interval": "2000ms",
    }
    kinds = {codec: kind for kind, codec in CODECS.items()}
    samples = samples_in_frames(frames)
    with running("nissa", settings=settings) as server, tempfile.TemporaryDirectory() as directory:
        server.completed()
        recorder = start_perf(server, Path(directory) / "perf.data")
        before = cpu_by_thread(server.process.pid)
        sent = send(
            [frame.body for frame in frames],
            url=server.write_url
            if frames[0].codec in (Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2)
            else server.telemetry_url,
            kind=kinds[frames[0].codec],
            samples=samples,
            pid=server.process.pid,
            per_round=1,
            settle_s=SETTLE_S,
        )
        after = cpu_by_thread(server.process.pid)
        print(sent)
        for thread, cpu_s in sorted(after.items(), key=lambda entry: before.get(entry[0], 0.0) - entry[1]):
            spent = cpu_s - before.get(thread, 0.0)
            if spent > 0.0:
                print(f"{thread:<34} {spent / samples * 1e9:8.1f} ns CPU per sample  {spent:7.3f} s CPU")
        if recorder is not None:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
            print_perf(Path(directory) / "perf.data")


def samples_in_frames(frames: list[Frame]) -> int:
    """Rows that frames bring."""
    decompressor, index, batch, total = Decompressor(BYTES_MAX), new_index(), Batch(), 0
    for frame in frames:
        body = bytes(decompressor.decompress(frame.body, frame.encoding))
        plain = Frame(frame.codec, Encoding.IDENTITY, frame.source, MINUTE * MINUTE_MS, body, frame.delimited)
        decode_into(plain, index, batch, SERIES_MAX)
        total += len(batch)
    return total


def start_perf(server: Server, out: Path) -> subprocess.Popen[bytes] | None:
    """perf on a server, or None where it is not installed."""
    perf = shutil.which("perf")
    if perf is None:
        print("perf is not installed: CPU by thread only")
        return None
    command = [perf, "record", "-F", "999", "-e", "cpu-clock", "-g", "-o", str(out), "-p", str(server.process.pid)]
    recorder = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return recorder


def print_perf(data: Path) -> None:
    """The symbols with most samples, thread by thread."""
    command = ["perf", "report", "-i", str(data), "--no-children", "--sort", "pid,dso,symbol", "--stdio", "-g", "none"]
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = [" ".join(line.split()[:-2]) for line in out.splitlines() if line.strip() and not line.startswith("#")]
    print("\n".join(lines[:SYMBOLS_SHOWN]))


def main() -> None:
    """Profile in the way asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["stages", "python", "daemon"])
    parser.add_argument("--capture", type=Path)
    parser.add_argument("--group", type=int, default=2, help="frames per commit")
    shape_arguments(parser)
    arguments = parser.parse_args()
    frames = frames_to_profile(arguments)
    if arguments.way == "stages":
        profile_stages(frames, arguments.group)
    elif arguments.way == "python":
        profile_python(frames, arguments.group)
    else:
        profile_daemon(frames)


if __name__ == "__main__":
    main()
