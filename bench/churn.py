"""Thirty days of churn: series come and go, and what a seal costs, what is resident and what is on disk stays.

    python -m bench.churn [--days 30] [--fresh 1200] [--lives 15] [--retention 6] [--stride 1] [--lines 10] [--data DIR]

Every two simulated minutes a head of new series (600 a minute) and of those of the last ``lives`` heads is sealed,
under a clock turned by hand; a series has 4 labels, 2 of them its own. Blocks and series segments are merged, raw data
expires after ``retention`` hours, series are idle after two, and those without data leave. The ladder is off: it costs
the same with and without churn. stride: so many times two minutes pass per head, for a month in an afternoon; there are
so many times fewer series then.

Printed ``lines`` times: days, series so far, listed and in the table, CPU per head, resident memory now, of which
anonymous (the rest are pages of files, which the kernel may take away), MiB in the memory of the index, series segments
and MiB of them with their copies, MiB of the file that idle series are spilled to, blocks; at the end the time and
memory of a start.
"""

import argparse
import logging
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import structlog

from bench.load import field, label, varint
from nissa.catalogue.catalogue import Catalogue
from nissa.config.tree import Config, Ladder, Storage
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.service.memory import tune_malloc

HEAD_MS = 2 * MINUTE_MS
START_MS = 1_700_000_000_000
EXPIRY_HOURS = 3  # of silence, and until the blocks are looked through
COLUMNS = (
    "days",
    "series",
    "listed",
    "in table",
    "CPU ms",
    "RSS",
    "anon",
    "index",
    "files",
    "MiB",
    "spilled",
    "blocks",
)


class Clock:
    """Time that is turned by hand."""

    now_ms = START_MS

    def wall(self) -> int:
        """Unix milliseconds."""
        return self.now_ms

    def steady(self) -> tuple[str, int]:
        """The same, as a clock that nobody sets."""
        return "a simulated month", self.now_ms


def series_of(head: int, fresh: int) -> list[bytes]:
    """The labels of the series that come with a head, encoded."""
    return [
        label("__name__", f"metric_{number % 50}")
        + label("job", "churn")
        + label("pod", f"pod-{head}-{number}")
        + label("uid", f"{hash((head, number)) & (2**64 - 1):016x}")
        for number in range(fresh)
    ]


def body_of(series: list[bytes], ts_ms: int) -> bytes:
    """A request of remote write 1.0: one sample of each."""
    sample = field(2, b"\x09" + np.float64(1).tobytes() + b"\x10" + varint(ts_ms))
    return b"".join(field(1, one + sample) for one in series)


def resident() -> tuple[int, int]:
    """(all, anonymous) MiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {
        line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith(("VmRSS", "RssAnon"))
    }
    return found["VmRSS"], found["RssAnon"]


def sizes_of(directory: Path) -> list[int]:
    """Series segments, MiB of them with their copies, MiB spilled, blocks."""
    segments = list((directory / "series").iterdir())
    table = sum(path.stat().st_size for path in [*segments, *(directory / "copies").iterdir()])
    held = Path("/proc/self/fd").iterdir()
    spilled = [path for path in held if path.is_symlink() and str(path.readlink()).startswith(f"{directory}/#")]
    scratch = sum(path.stat().st_blocks * 512 for path in spilled)
    return [len(segments), table >> 20, scratch >> 20, len(list((directory / "blocks").iterdir()))]


def rows_of(directory: Path) -> int:
    """Series in the series table."""
    with closing(Catalogue.open(directory, readonly=True)) as catalogue:
        return sum(segment.rows for segment in catalogue.series_segments())


def config_of(directory: Path, retention_hours: int) -> Config:
    """Defaults, but for the ladder and what a simulated clock makes senseless."""
    storage = Storage(data_dir=str(directory), durability="os", seal_interval_ms=DAY_MS, scrub_interval_ms=365 * DAY_MS)
    return Config(storage=storage, ladder=Ladder(tiers=(), raw_retention_ms=retention_hours * HOUR_MS))


def live(directory: Path, arguments: argparse.Namespace) -> None:
    """Let the days pass, and print how it goes."""
    clock, fresh, lives = Clock(), arguments.fresh, arguments.lives
    config = config_of(directory, arguments.retention)
    heads = int(arguments.days * DAY_MS / HEAD_MS / arguments.stride)
    engine = Engine(directory, config, clock.wall, clock.steady)
    living: list[list[bytes]] = []
    per_line = max(heads // arguments.lines, 1)
    cpu = made = 0.0
    print(("{:>7s} {:>10s}" + " {:>9s}" * 2 + " {:>7s}" * 8).format(*COLUMNS))
    begun = time.process_time()
    for head in range(1, heads + 1):
        at = time.process_time()
        living = [*living[-lives + 1 :], series_of(head, fresh)] if lives > 1 else [series_of(head, fresh)]
        body = body_of([one for part in living for one in part], clock.now_ms)
        made += time.process_time() - at
        engine.ingest(body, Codec.REMOTE_WRITE_1)
        engine.flush()
        clock.now_ms += HEAD_MS * arguments.stride
        if head % per_line == 0:
            cpu = (time.process_time() - begun - made) / per_line * 1_000
            status = engine.status().facts()["series"]
            numbers = [head * fresh, status["total"], rows_of(directory), round(cpu, 1), *resident()]
            numbers += [status["index_bytes"] >> 20, *sizes_of(directory)]
            days = head * HEAD_MS * arguments.stride / DAY_MS
            print(f"{days:7.2f} {numbers[0]:10d}" + (" {:9d}" * 2 + " {:7}" * 8).format(*numbers[1:]), flush=True)
            begun, made = time.process_time(), 0.0
    expected = fresh * (lives + (arguments.retention + EXPIRY_HOURS) * HOUR_MS // HEAD_MS // arguments.stride)
    if engine.status().facts()["series"]["total"] > 2 * expected:
        raise SystemExit(f"series without data stay: {expected} are expected")
    engine.close(seal=True)
    wall = time.monotonic()
    engine = Engine(directory, config, clock.wall, clock.steady)
    wall = time.monotonic() - wall
    print(f"opened again in {wall:.1f} s, {resident()[1]} MiB anonymous; at most {_peak_mib()} MiB were resident")
    engine.close()


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--fresh", type=int, default=1_200)
    parser.add_argument("--lives", type=int, default=15)
    parser.add_argument("--retention", type=int, default=6, metavar="HOURS")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--data", type=Path, default=None)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    tune_malloc()
    with tempfile.TemporaryDirectory(dir=arguments.data) as place:
        live(Path(place) / "data", arguments)


if __name__ == "__main__":
    main()
