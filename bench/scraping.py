"""Scraping head to head: Nissa and Prometheus ask the same targets by the same file, at the same time.

    python -m bench.scraping [--targets 100] [--series 1000] [--interval 15] [--rounds 8] [--no-gzip]

    one process of pages ── 127.0.1.1 … 127.0.1.100, one port ──┬── Nissa
      gzip where asked, values change with every page           └── Prometheus

Printed per server: CPU seconds per million samples scraped, from the second round on, its share of one core, and how
many times Nissa's the other's is. Both run with their defaults, and each is charged with all it does meanwhile; rounds
that take at least storage.seal_interval (2m) include blocks and ladder of Nissa.
"""

import argparse
import asyncio
import gzip
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path

from bench.servers import Server, free_port, installed, start_nissa
from bench.usage import usage_of

PAGES = 16  # variants, one after the other
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n{}\r\n"


def page(series: int, rng: random.Random) -> bytes:
    """Text of node_exporter's shape: ten families of counters and gauges with three labels, described."""
    lines = []
    for family in range(10):
        kind = ("counter", "gauge")[family % 2]
        name = f"bench_family_{family}_{'total' if kind == 'counter' else 'bytes'}"
        lines += [f"# HELP {name} Something that family {family} counts or measures.", f"# TYPE {name} {kind}"]
        for number in range(series // 10):
            value = rng.randrange(10**9) if kind == "counter" else f"{rng.random() * 1e9:.6e}"
            lines.append(f'{name}{{device="sd{number}",mode="mode-{number % 8}",mountpoint="/srv/{number}"}} {value}')
    return ("\n".join(lines) + "\n").encode()


def serve_pages(series: int, ready: Connection) -> None:
    """Answer every request on any address of the loopback net until the process is ended."""
    rng = random.Random(1)
    plain = [page(series, rng) for _ in range(PAGES)]
    zipped = [gzip.compress(one, 6) for one in plain]
    answers = [
        (
            HEAD.format(len(one), "").encode() + one,
            HEAD.format(len(small), "Content-Encoding: gzip\r\n").encode() + small,
        )
        for one, small in zip(plain, zipped, strict=True)
    ]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while True:
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            writer.write(answers[number % PAGES][b"gzip" in request.lower()])
            number += 1

    async def serve() -> None:
        server = await asyncio.start_server(answer, "0.0.0.0", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def configuration(port: int, targets: int, interval_s: float, zipped: bool) -> str:
    """The file that both read."""
    addresses = [f"127.0.{1 + number // 250}.{1 + number % 250}:{port}" for number in range(targets)]
    asked = "" if zipped else "\n    enable_compression: false"
    return (
        f"global: {{scrape_interval: {interval_s:g}s, scrape_timeout: {min(interval_s, 10):g}s}}\n"
        f"scrape_configs:\n  - job_name: bench{asked}\n    static_configs: [{{targets: {json.dumps(addresses)}}}]\n"
    )


def start_prometheus(directory: Path, config: Path) -> subprocess.Popen[bytes]:
    """Debian's Prometheus with its defaults."""
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{free_port()}", "--log.level=error"]
    with (directory / "prometheus.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def samples_of(server: Server) -> int:
    """Samples that Nissa has stored of targets."""
    with urllib.request.urlopen(f"{server.api_url}/api/v1/accounting", timeout=30) as reply:
        sources = json.load(reply)["data"]["sources"]
    return int(sources.get("scrape/exposition", {}).get("stored", 0))


def measure(options: argparse.Namespace) -> None:
    """Run both, and print what each used."""
    here, there = multiprocessing.Pipe()
    pages = multiprocessing.Process(target=serve_pages, args=(options.series, there), daemon=True)
    pages.start()
    port = here.recv()
    with tempfile.TemporaryDirectory(prefix="bench-scraping-") as name:
        directory = Path(name)
        config = directory / "prometheus.yml"
        config.write_text(configuration(port, options.targets, options.interval, not options.no_gzip))
        peer = start_prometheus(directory, config) if "prometheus" in installed() else None
        nissa = start_nissa(directory / "data", {"sources.scrape.config_file": str(config)})
        pids = {"nissa": nissa.process.pid, **({"prometheus": peer.pid} if peer else {})}
        try:
            time.sleep(2 * options.interval)
            before = {server: usage_of(pid).cpu_s for server, pid in pids.items()}
            stored = samples_of(nissa)
            begun = time.monotonic()
            time.sleep(options.rounds * options.interval)
            used = {server: usage_of(pid).cpu_s - before[server] for server, pid in pids.items()}
            took_s = time.monotonic() - begun
            scraped = samples_of(nissa) - stored
            rss = {server: usage_of(pid).rss_bytes for server, pid in pids.items()}
        finally:
            nissa.kill()
            if peer is not None:
                peer.kill()
                peer.wait()
            pages.terminate()
    wanted = options.targets * options.series * options.rounds
    print(f"{options.targets} targets x {options.series} series every {options.interval:g} s, {took_s:.0f} s:", end=" ")
    print(f"{scraped:,} samples stored by Nissa, {wanted:,} wanted without reports")
    for server, cpu_s in used.items():
        per_million = cpu_s / (wanted / 1e6)
        print(
            f"{server:12} {per_million:6.2f} cpu-s per M samples  {cpu_s / took_s:6.1%} of a core"
            f"  {cpu_s / used['nissa']:5.1f}x Nissa's  {rss[server] / 1e6:6.0f} MB resident"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--no-gzip", action="store_true")
    measure(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
