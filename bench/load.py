"""Load: bodies as senders send them, made from a seed.

    python -m bench.load OUT_DIR [--kind remote_write_1] [--hosts 1000] [--rounds 200] [--series-per-request 2000]

    remote_write_1, remote_write_2   the "devops cpu-only" shape of TSBS: hosts x 10 metrics, 11 labels a series (about
                                     230 bytes of label text), one sample per series and round, values an integer random
                                     walk in 0..100, rounds step_ms apart, the last one at end_ms; snappy
    leyline                          runs of TelemetryPackets of 64 metrics of one subsystem, without attributes
    packets                          the same as nissa.v2 TelemetryPackets
    events                           runs of TelemetryPackets of one event each, about 250 bytes
    columns                          nissa.v2 SampleColumns: the same series as remote write, a grid of rounds in each

A remote-write body is encoded once per part of a round; later rounds write values and timestamps into the bytes, so the
generator keeps up with any server. OUT_DIR gets one file per body, ``NNNNNN.KIND``, and ``load.json``, which says what
they are.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cramjam
import numpy as np

from nissa._proto import columns_pb2, leyline_pb2, telemetry_pb2

MODES = ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"]
METRICS = [f"cpu_usage_{mode}" for mode in MODES]
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2", "sa-east-1"]
SUBSYSTEMS = ["tolaria", "kasmina", "tamiyo", "simic", "oona", "urza", "tezzeret", "weatherlight"]
KINDS = ("remote_write_1", "remote_write_2", "leyline", "packets", "events", "columns")
HELP = "CPU time as a share of one hundred, by mode."
SAMPLE_VALUE_AT = 1  # in a Sample: tag, 8 bytes of value, tag, varint of milliseconds
SAMPLE_TIME_AT = 10


@dataclass(frozen=True)
class Shape:
    """Kind and size of a load."""

    kind: str = "remote_write_1"
    hosts: int = 1_000
    rounds: int = 200
    series_per_request: int = 2_000
    step_ms: int = 1_000  # with more, an hour often ends among the samples, and the ladder writes its windows
    end_ms: int = 0  # 0: now
    seed: int = 123
    packet_metrics: int = 64
    packets_per_request: int = 32
    rounds_per_request: int = 10  # of columns

    @property
    def series(self) -> int:
        """Series of the whole load."""
        return self.hosts * len(METRICS)

    @property
    def samples(self) -> int:
        """Samples of the whole load."""
        return self.series * self.rounds

    @property
    def requests_per_round(self) -> int:
        """Bodies that one round is cut into."""
        return -(-self.series // self.series_per_request)

    @property
    def last_ms(self) -> int:
        """When the last round is."""
        return self.end_ms or int(time.time() * 1000)


@dataclass
class Template:
    """One encoded body and the places in it that change from round to round."""

    body: np.ndarray
    value_at: np.ndarray
    time_at: np.ndarray

    def fill(self, values: np.ndarray, time_ms: int) -> None:
        """Write values (float64, one per series) and the time into the body."""
        octets = values.astype("<f8").view(np.uint8).reshape(-1, 8)
        for index in range(8):
            self.body[self.value_at + index] = octets[:, index]
        for index, octet in enumerate(varint(time_ms)):
            self.body[self.time_at + index] = octet


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label(name: str, value: str) -> bytes:
    """One label of a TimeSeries of remote write 1.0."""
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def host_labels(chance: random.Random, host: int) -> list[tuple[str, str]]:
    """The ten labels, sorted, that all metrics of a host carry."""
    region = chance.choice(REGIONS)
    return [
        ("arch", chance.choice(["x64", "x86"])),
        ("datacenter", region + chance.choice("abc")),
        ("hostname", f"host_{host}"),
        ("os", chance.choice(["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"])),
        ("rack", str(chance.randrange(100))),
        ("region", region),
        ("service", str(chance.randrange(20))),
        ("service_environment", chance.choice(["production", "staging", "test"])),
        ("service_version", str(chance.randrange(2))),
        ("team", chance.choice(["SF", "NYC", "LON", "CHI"])),
    ]


def series_labels(shape: Shape) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(metric, labels of the host) of every series, host by host."""
    chance = random.Random(shape.seed)
    for host in range(shape.hosts):
        labels = host_labels(chance, host)
        for metric in METRICS:
            yield metric, labels


def remote_write_templates(shape: Shape) -> Iterator[Template]:
    """The bodies of one round."""
    every = list(series_labels(shape))
    for first in range(0, len(every), shape.series_per_request):
        part = every[first : first + shape.series_per_request]
        yield (
            _template_2(part, shape.last_ms)
            if shape.kind == "remote_write_2"
            else remote_write_template(part, shape.last_ms)
        )


def remote_write_template(part: list[tuple[str, list[tuple[str, str]]]], time_ms: int) -> Template:
    """A body of remote write 1.0 with one sample of each series. part: (metric, labels of the host)."""
    named = {metric: label("__name__", metric) for metric in METRICS}
    sample = field(2, b"\x09" + bytes(8) + b"\x10" + varint(time_ms))
    body, ends = bytearray(), []
    known: list[tuple[str, str]] = []
    shared = b""
    for metric, labels in part:
        if labels is not known:
            known, shared = labels, b"".join(label(*pair) for pair in labels)
        body += field(1, named[metric] + shared + sample)
        ends.append(len(body))
    return _template(body, np.array(ends), len(sample))


def _template_2(part: list[tuple[str, list[tuple[str, str]]]], time_ms: int) -> Template:
    symbols: dict[str, int] = {"": 0}
    sample = field(2, b"\x09" + bytes(8) + b"\x10" + varint(time_ms))
    series, ends = bytearray(), []
    metadata = field(5, b"\x08\x02\x18" + varint(symbols.setdefault(HELP, len(symbols))))
    for metric, labels in part:
        refs = b"".join(
            varint(symbols.setdefault(text, len(symbols))) for pair in [("__name__", metric), *labels] for text in pair
        )
        series += field(5, field(1, refs) + sample + metadata)
        ends.append(len(series))
    head = b"".join(field(4, text.encode()) for text in symbols)
    return _template(head + series, np.array(ends) + len(head) - len(metadata), len(sample))


def _template(body: bytes | bytearray, ends: np.ndarray, sample_bytes: int) -> Template:
    """ends: where each series' sample field ends."""
    start = ends - sample_bytes + 2
    return Template(np.frombuffer(bytes(body), np.uint8).copy(), start + SAMPLE_VALUE_AT, start + SAMPLE_TIME_AT)


def remote_write_bodies(shape: Shape) -> Iterator[bytes]:
    """Every body of the load, decompressed, round by round."""
    templates = list(remote_write_templates(shape))
    walk = np.random.default_rng(shape.seed)
    values = np.round(walk.uniform(0, 100, shape.series))
    first_ms = shape.last_ms - (shape.rounds - 1) * shape.step_ms
    for number in range(shape.rounds):
        values = np.clip(values + np.round(walk.normal(0, 1, values.size)), 0, 100)
        for index, template in enumerate(templates):
            part = values[index * shape.series_per_request : (index + 1) * shape.series_per_request]
            template.fill(part, first_ms + number * shape.step_ms)
            yield template.body.tobytes()


def leyline_bodies(shape: Shape) -> Iterator[bytes]:
    """Runs of TelemetryPackets, each packet behind its length; ``hosts`` says how many bodies there are."""
    chance = random.Random(shape.seed)
    last_ms = shape.last_ms
    for request in range(shape.hosts):
        out = bytearray()
        for number in range(shape.packets_per_request):
            source = SUBSYSTEMS[number % len(SUBSYSTEMS)]
            packet = leyline_pb2.TelemetryPacket(packet_id=f"{source}-{request}-{number}", source_subsystem=source)
            packet.timestamp.FromMilliseconds(last_ms - (shape.hosts - request) * 1_000 + number // len(SUBSYSTEMS))
            for metric in range(shape.packet_metrics):
                packet.metrics.add(name=f"{source}.layer{metric:02d}.latency_ms", value=chance.random() * 20, unit="ms")
            body = packet.SerializeToString()
            out += varint(len(body)) + body
        yield bytes(out)


def packet_bodies(shape: Shape) -> Iterator[bytes]:
    """Runs of nissa.v2 TelemetryPackets with the points that ``leyline_bodies`` has."""
    chance = random.Random(shape.seed)
    last_ms = shape.last_ms
    for request in range(shape.hosts):
        out = bytearray()
        for number in range(shape.packets_per_request):
            source = SUBSYSTEMS[number % len(SUBSYSTEMS)]
            packet = telemetry_pb2.TelemetryPacket(packet_id=f"{source}-{request}-{number}", source=source)
            packet.timestamp_ms = last_ms - (shape.hosts - request) * 1_000 + number // len(SUBSYSTEMS)
            for metric in range(shape.packet_metrics):
                packet.points.add(name=f"{source}.layer{metric:02d}.latency_ms", value=chance.random() * 20, unit="ms")
            body = packet.SerializeToString()
            out += varint(len(body)) + body
        yield bytes(out)


def event_bodies(shape: Shape) -> Iterator[bytes]:
    """Runs of TelemetryPackets of one event each; what an event says repeats, its ids and numbers do not."""
    chance = random.Random(shape.seed)
    first_ms = shape.last_ms - shape.hosts * 10
    for request in range(shape.hosts):
        out = bytearray()
        for number in range(shape.packets_per_request):
            source = SUBSYSTEMS[number % len(SUBSYSTEMS)]
            packet = leyline_pb2.TelemetryPacket(packet_id=f"{source}-{request}-{number}", source_subsystem=source)
            packet.timestamp.FromMilliseconds(first_ms + request * 10)
            event = packet.events.add(event_id=f"{chance.getrandbits(64):016x}", level=1 + number % 2)
            event.description = f"{source} finished step {request} of the epoch and handed on its gradients to the next"
            event.attributes["blueprint"] = f"bp-{chance.randrange(400)}"
            event.attributes["seed_state"] = "germinated"
            event.attributes["tenant"] = "training"
            event.attributes["duration_ms"] = f"{chance.random() * 20:.3f}"
            body = packet.SerializeToString(deterministic=True)
            out += varint(len(body)) + body
        yield bytes(out)


def column_bodies(shape: Shape) -> Iterator[bytes]:
    """SampleColumns messages: series_per_request series by rounds_per_request rounds each."""
    every = list(series_labels(shape))
    walk = np.random.default_rng(shape.seed)
    first_ms = shape.last_ms - (shape.rounds - 1) * shape.step_ms
    for start in range(0, shape.rounds, shape.rounds_per_request):
        rounds = min(shape.rounds_per_request, shape.rounds - start)
        for first in range(0, len(every), shape.series_per_request):
            part = every[first : first + shape.series_per_request]
            message = columns_of(part, first_ms + start * shape.step_ms, rounds, shape.step_ms)
            message.values.extend(np.round(walk.uniform(0, 100, rounds * len(part))).tolist())
            yield message.SerializeToString()


def columns_of(
    part: list[tuple[str, list[tuple[str, str]]]], start_ms: int, rounds: int, step_ms: int
) -> columns_pb2.SampleColumns:
    """The frame of a message: series and times, values left out."""
    message = columns_pb2.SampleColumns(source="bench", timestamp_ms=start_ms)
    symbols: dict[str, int] = {"": 0}
    for metric, labels in part:
        refs = [symbols.setdefault(text, len(symbols)) for pair in [("__name__", metric), *labels] for text in pair]
        message.series.add(label_refs=refs)
    message.symbols.extend(symbols)
    message.time_deltas_ms.extend([0, *[step_ms] * (rounds - 1)])
    return message


def plain_bodies(shape: Shape) -> Iterator[bytes]:
    """Every body of the load, before content encoding."""
    if shape.kind == "leyline":
        return leyline_bodies(shape)
    if shape.kind == "packets":
        return packet_bodies(shape)
    if shape.kind == "events":
        return event_bodies(shape)
    return column_bodies(shape) if shape.kind == "columns" else remote_write_bodies(shape)


def encoded_bodies(shape: Shape) -> list[bytes]:
    """Every body of the load as it is sent: remote write in snappy, the others as they are."""
    if shape.kind.startswith("remote_write"):
        return [bytes(cramjam.snappy.compress_raw(body)) for body in remote_write_bodies(shape)]
    return list(plain_bodies(shape))


def samples_of(shape: Shape) -> int:
    """Samples, or events, in all bodies together."""
    if shape.kind == "events":
        return shape.hosts * shape.packets_per_request
    if shape.kind in ("leyline", "packets"):
        return shape.hosts * shape.packets_per_request * shape.packet_metrics
    return shape.samples


def shape_arguments(parser: argparse.ArgumentParser) -> None:
    """Options for every field of Shape."""
    for name, default in asdict(Shape()).items():
        flag = "--" + name.replace("_", "-")
        if name == "kind":
            parser.add_argument(flag, choices=KINDS, default=default)
        else:
            parser.add_argument(flag, type=int, default=default)


def shape_of(arguments: argparse.Namespace) -> Shape:
    """The Shape those options say."""
    return Shape(**{name: getattr(arguments, name) for name in asdict(Shape())})


def main() -> None:
    """Write a load to a directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    shape_arguments(parser)
    arguments = parser.parse_args()
    shape = shape_of(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    bodies = encoded_bodies(shape)
    for number, body in enumerate(bodies):
        (arguments.out / f"{number:06d}.{shape.kind}").write_bytes(body)
    told = {"kind": shape.kind, "samples": samples_of(shape), "requests_per_round": shape.requests_per_round}
    (arguments.out / "load.json").write_text(json.dumps(told))
    print(f"{len(bodies)} bodies, {samples_of(shape)} samples, {sum(map(len, bodies)) / 1e6:.1f} MB in {arguments.out}")


if __name__ == "__main__":
    main()
