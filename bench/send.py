"""The sender: bodies over keep-alive connections, with what they cost the server and how long it took to acknowledge.

    python -m bench.send LOAD_DIR --url http://127.0.0.1:9470/api/v1/write --pid PID [--rate 1000000] [--settle 5]

LOAD_DIR is what ``bench.load`` wrote. Without --rate every connection sends its next body when the last one is
acknowledged (closed loop: for CPU). With --rate bodies are due at fixed times, whatever the server does (open loop),
and latency counts from when a body was due, so that a stall shows in every request it delayed.

CPU seconds are the server's: user and system, all threads, descendants of PID included, the settling time too. They
repeat far better than wall time on a shared machine. Two servers are compared within the same minute, by ratio.
"""

import argparse
import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.usage import Usage, usage_of

ANSWER_BYTES_MAX = 1 << 20
TYPES = {
    "remote_write_1": (
        "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
        "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"
    ),
    "remote_write_2": (
        "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\n"
        "X-Prometheus-Remote-Write-Version: 2.0.0\r\n"
    ),
    "leyline": "Content-Type: application/x-protobuf; proto=esper.leyline.v1.TelemetryPacket; encoding=delimited\r\n",
    "events": "Content-Type: application/x-protobuf; proto=esper.leyline.v1.TelemetryPacket; encoding=delimited\r\n",
    "packets": "Content-Type: application/x-protobuf; proto=nissa.v2.TelemetryPacket; encoding=delimited\r\n",
    "columns": "Content-Type: application/x-protobuf; proto=nissa.v2.SampleColumns\r\n",
}


@dataclass
class Told:
    """Results of one connection. latencies_s: from when a body was due (or sent) to its acknowledgement."""

    latencies_s: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    refusal: str = ""


@dataclass(frozen=True)
class Sent:
    """Results of a run of sending."""

    samples: int
    wall_s: float
    before: Usage
    after: Usage
    latencies_s: list[float]
    answers: Counter[str]
    refusal: str

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of the server per million samples."""
        return (self.after.cpu_s - self.before.cpu_s) / self.samples * 1e6

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the requests did not pass."""
        every = sorted(self.latencies_s)
        return every[min(int(share * len(every)), len(every) - 1)] * 1000

    def accepted(self) -> None:
        """Raise unless every body was acknowledged with a 2xx."""
        wrong = {answer: count for answer, count in self.answers.items() if not answer.startswith("2")}
        if wrong:
            raise RuntimeError(f"answers other than 2xx: {wrong}; {self.refusal}")

    def __str__(self) -> str:
        return (
            f"{self.samples / self.wall_s / 1e6:.3f} M samples/s, {self.cpu_s_per_million:.3f} cpu-s per M samples, "
            f"rss {self.after.rss_bytes / 1e6:.0f} MB (most {self.after.rss_bytes_max / 1e6:.0f}), "
            f"ack p50 {self.latency_ms(0.5):.1f} p99 {self.latency_ms(0.99):.1f} "
            f"p99.9 {self.latency_ms(0.999):.1f} ms, "
            f"answers {dict(self.answers)} {self.refusal}"
        )


def send(
    bodies: list[bytes],
    *,
    url: str,
    kind: str,
    samples: int,
    pid: int,
    per_round: int,
    connections: int = 2,
    rate: float = 0.0,
    settle_s: float = 0.0,
) -> Sent:
    """Send every body once.

    per_round: bodies after which series repeat; one series stays on one connection, so that its samples come in order.
    rate: samples per second to offer, 0 for as fast as acknowledged. settle_s: work afterwards that is charged too.
    """
    where = urlsplit(url)
    head = f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUser-Agent: nissa-bench\r\n{TYPES[kind]}"
    gap_s = samples / len(bodies) / rate if rate else 0.0
    parts: list[list[tuple[float, bytes]]] = [[] for _ in range(connections)]
    for number, body in enumerate(bodies):
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        parts[number % per_round % connections].append((number * gap_s, message))
    told = [Told() for _ in parts]
    begun = time.perf_counter() + 0.05
    before = usage_of(pid)
    threads = [
        threading.Thread(target=_send_part, args=(str(where.hostname), where.port, part, begun if rate else 0.0, each))
        for part, each in zip(parts, told, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - begun
    time.sleep(settle_s)
    return Sent(
        samples,
        wall_s,
        before,
        usage_of(pid),
        [latency_s for each in told for latency_s in each.latencies_s],
        sum((each.answers for each in told), Counter()),
        next((each.refusal for each in told if each.refusal), ""),
    )


def _send_part(host: str, port: int, part: list[tuple[float, bytes]], begun: float, told: Told) -> None:
    with socket.create_connection((host, port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for due_s, message in part:
            start = time.perf_counter()
            if begun:
                if begun + due_s > start:
                    time.sleep(begun + due_s - start)
                start = begun + due_s
            link.sendall(message)
            answer = _receive(link)
            told.latencies_s.append(time.perf_counter() - start)
            status = answer[9:12].decode()
            told.answers[status] += 1
            if not status.startswith("2") and not told.refusal:
                told.refusal = answer.decode(errors="replace")[-300:]
            if not answer:
                return


def _receive(link: socket.socket) -> bytes:
    """One whole answer; empty where the server closed."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = link.recv(65_536)
        if not piece:
            return b""
        answer += piece
    head = answer[: answer.index(b"\r\n\r\n")].lower()
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    missing = len(head) + 4 + (lengths[0] if lengths else 0) - len(answer)
    while missing > 0:
        piece = link.recv(min(missing, ANSWER_BYTES_MAX))
        if not piece:
            return b""
        answer += piece
        missing -= len(piece)
    return answer


def main() -> None:
    """Send a load that was written to a directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("load", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.0, help="samples per second to offer; 0: closed loop")
    parser.add_argument("--settle", type=float, default=0.0, help="seconds of background work to charge")
    arguments = parser.parse_args()
    told = json.loads((arguments.load / "load.json").read_text())
    bodies = [path.read_bytes() for path in sorted(arguments.load.glob(f"*.{told['kind']}"))]
    sent = send(
        bodies,
        url=arguments.url,
        kind=told["kind"],
        samples=told["samples"],
        pid=arguments.pid,
        per_round=told["requests_per_round"],
        connections=arguments.connections,
        rate=arguments.rate,
        settle_s=arguments.settle,
    )
    print(sent)


if __name__ == "__main__":
    main()
