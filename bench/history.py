"""A month of history by ``nissa import``: JSON lines of 1,000 series every 15 s into a running daemon.

    python -m bench.history [--days 30] [--series 1000] [--data DIR]

The command and the daemon run side by side. Counted are the samples, the time until the command ends, when all is
folded into the ladder, and the processor time of both; then PromQL over all of it says whether every sample is there.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import orjson

from bench.servers import start_nissa
from bench.usage import usage_of

STEP_MS = 15_000
HOUR_MS = 3_600_000
LINE_SAMPLES = 20_000


def write_lines(path: Path, series: int, count: int, end_ms: int) -> None:
    """Walks in hundredths, a line per LINE_SAMPLES samples, as VictoriaMetrics exports them: series by series."""
    rng = np.random.default_rng(7)
    times = end_ms - np.arange(count, dtype=np.int64)[::-1] * STEP_MS
    with path.open("wb") as file:
        for number in range(series):
            values = np.round(np.cumsum(rng.normal(size=count)), 2)
            metric = {"__name__": "history", "instance": f"host-{number}:9100", "job": "node"}
            for first in range(0, count, LINE_SAMPLES):
                part = slice(first, first + LINE_SAMPLES)
                line = {"metric": metric, "values": values[part], "timestamps": times[part]}
                file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))


def ask(api: str, query: str, time_s: float) -> float:
    """The value of an instant query with one result."""
    with urllib.request.urlopen(
        f"{api}/api/v1/query?{urlencode({'query': query, 'time': time_s})}", timeout=300
    ) as reply:
        return float(orjson.loads(reply.read())["data"]["result"][0]["value"][1])


def main() -> None:
    """Write the file, import it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.data) as place:
        measure(Path(place), chosen.series, chosen.days)


def measure(place: Path, series: int, days: float) -> None:
    """One import."""
    day_ms = 24 * HOUR_MS
    end_ms = (int(time.time() * 1000) // day_ms - 1) * day_ms - STEP_MS
    count = int(days * day_ms / STEP_MS)
    path = place / "history.jsonl"
    write_lines(path, series, count, end_ms)
    server = start_nissa(place / "data", {"telemetry.interval": "0"})
    try:
        url = server.write_url.removesuffix("/api/v1/write")
        command = [sys.executable, "-m", "nissa.cli.main", "import", str(path), "--url", url]
        begun_s, before = time.monotonic(), usage_of(server.process.pid).cpu_s
        subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(place)})
        took_s, daemon_s = time.monotonic() - begun_s, usage_of(server.process.pid).cpu_s - before
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        command_s, samples = used.ru_utime + used.ru_stime, series * count
        print(f"{samples / 1e6:.1f} M samples, {path.stat().st_size / 1e9:.2f} GB of JSON lines: {took_s:.1f} s")
        print(
            f"{samples / took_s / 1e6:.2f} M samples/s; cpu-s per M samples: command {command_s / samples * 1e6:.3f},"
        )
        print(
            f"daemon {daemon_s / samples * 1e6:.3f}; {samples / (command_s + daemon_s) / 1e6:.2f} M samples per cpu-s"
        )
        asked_s = time.monotonic()
        found = ask(server.api_url, f"sum(count_over_time(history[{int(days)}d]))", (end_ms + STEP_MS) / 1000)
        print(f"PromQL counts {found / 1e6:.1f} M of them in {time.monotonic() - asked_s:.2f} s")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
