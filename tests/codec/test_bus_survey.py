"""The survey of a Leyline body, against Google's classes."""

import random

import pytest

from nissa._fast.bus_survey import survey_leyline
from nissa._proto import leyline_pb2 as leyline
from nissa.model.errors import TooLarge
from oracle.leyline import BUS, CLASSES, EVENT, PACKET, a_message, a_packet
from oracle.wire import damage, delimit

READ = {1: "SystemStatePacket", 2: "AdaptationCommand", 3: "FieldReport", 10: "EmergencySignal"}


def survey(body: bytes, codec: int, *, delimited: bool = True, places_max: int = 1_000) -> tuple:
    return survey_leyline(body, codec, delimited=delimited, places_max=places_max)


@pytest.mark.parametrize("codec", [BUS, EVENT, PACKET])
def test_places_and_sources(codec: int) -> None:
    """Messages to be read as packets, and packets by source, as a plain reading of each message finds them."""
    rng = random.Random(codec)
    messages, sources, kinds = [], {}, []
    for _ in range(400):
        message = a_message(codec, rng)
        if codec == BUS:
            message.message_type = rng.choice((0, 1, 2, 3, 4, 4, 5, 10, 20))
        if codec == EVENT:
            message.payload_type = rng.choice((*READ.values(), "a.b/x.FieldReport", "TelemetryPacket", "XFieldReport"))
        messages.append(message.SerializeToString())
        kind = kind_of(codec, message)
        if kind == 4:
            payload = message.SerializeToString() if codec == PACKET else message.payload
            name = leyline.TelemetryPacket.FromString(payload).source_subsystem
            sources[name] = sources.get(name, 0) + 1
        elif kind in READ:
            kinds.append((messages[-1], kind))
    body = delimit(messages)
    places, found, _, _ = survey(body, codec)
    assert [(body[start:end], kind) for _, start, end, kind in places] == kinds
    assert all(body[before:start] == delimit([body[start:end]])[: start - before] for before, start, end, _ in places)
    assert found == sources


def kind_of(codec: int, message: object) -> int:
    """The BusMessageType of a message, whatever its envelope."""
    if codec == PACKET:
        return 4
    if codec == BUS:
        return int(message.message_type)  # type: ignore[attr-defined]
    name = message.payload_type.replace("/", ".").split(".")[-1]  # type: ignore[attr-defined]
    return {**{word: number for number, word in READ.items()}, "TelemetryPacket": 4}.get(name, 0)


def test_simic_is_added_up() -> None:
    """Rewards add up; a packet that names no iterations counts as one; other sources do not count."""
    packets = []
    for source, metrics in (
        ("simic", {"simic.training.reward": 1.5, "simic.training.iterations": 4.0}),
        ("simic", {"simic.training.reward": -0.5, "simic.training.loss": 9.0}),
        ("tamiyo", {"simic.training.reward": 100.0}),
    ):
        packet = leyline.TelemetryPacket(source_subsystem=source)
        for name, value in metrics.items():
            packet.metrics.add(name=name, value=value)
        packets.append(packet.SerializeToString())
    assert survey(delimit(packets), PACKET)[1:] == ({"simic": 2, "tamiyo": 1}, 1.0, 5.0)


def test_many_sources_have_a_bound() -> None:
    """Sources beyond 64 in one body are counted without a name."""
    packets = [leyline.TelemetryPacket(source_subsystem=f"s{n}").SerializeToString() for n in range(100)]
    sources = survey(delimit(packets), PACKET)[1]
    assert len(sources) == 65
    assert sources[""] == 36


def test_places_have_a_bound() -> None:
    """More of them than allowed, and the frame is too large."""
    message = leyline.BusEnvelope(message_type=3).SerializeToString()
    assert len(survey(delimit([message] * 5), BUS, places_max=5)[0]) == 5
    with pytest.raises(TooLarge, match="messages in one frame: 6 is over the limit of 5"):
        survey(delimit([message] * 6), BUS, places_max=5)


@pytest.mark.parametrize("codec", [BUS, EVENT, PACKET])
def test_any_bytes_are_surveyed(codec: int) -> None:
    """Mutated bodies end without an error, and places lie inside of the body."""
    rng = random.Random(77 + codec)
    for _ in range(3_000):
        message = CLASSES[codec]() if rng.random() < 0.05 else a_message(codec, rng)
        body = damage(message.SerializeToString(), a_packet(rng).SerializeToString(), rng)
        if rng.random() < 0.5:
            body = delimit([body, a_packet(rng).SerializeToString()])
        for before, start, end, _ in survey(body, codec, delimited=rng.random() < 0.5)[0]:
            assert 0 <= before <= start <= end <= len(body)
