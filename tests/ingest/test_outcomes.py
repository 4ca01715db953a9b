"""Outcomes of messages that share a frame: as if each had come alone."""

import random
from typing import Any

import pytest
from ingest.test_pipeline import NOW_MS, Bench, small

from nissa._proto import control_pb2, telemetry_pb2
from nissa.config.tree import Config, Events
from nissa.ingest.outcomes import LIMITS
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.outcome import MessageOutcome
from nissa.model.receipt import Receipt
from oracle import leyline, packets
from oracle.wire import damage, delimit

CODECS = (*(Codec(number) for number in range(Codec.LEYLINE_BUS, Codec.NISSA_COMMAND + 1)),)
WIDE: dict[str, Any] = {"past_ms": 10**15, "future_ms": 10**15}
LIMIT_WORDS = {str(reason) for reason in LIMITS}


def a_message(codec: Codec, rng: random.Random) -> bytes:
    """A message of the codec, one in three damaged."""
    made: Any
    if codec == Codec.NISSA_ALERT:
        made = control_pb2.AlertNotification(
            alert_id=str(rng.random()), timestamp_ms=NOW_MS + rng.choice((0, 0, 10**8))
        )
    elif codec == Codec.NISSA_COMMAND:
        made = control_pb2.ControlCommand(command_id=str(rng.random()))
    else:
        twin = leyline if codec <= Codec.LEYLINE_PACKET else packets
        made = twin.a_message(int(codec), rng)
        twins: Any = made
        if hasattr(twins, "packet_id") and not isinstance(twins.packet_id, int):
            twins.packet_id = str(rng.random())  # or it might have come before
    body = bytes(made.SerializeToString())
    return damage(body, body, rng) if rng.random() < 0.35 else body


def take(bench: Bench, codec: Codec, body: bytes, *, delimited: bool) -> Receipt:
    frame = Frame(codec, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, delimited)
    return bench.pipeline.take(frame, bench.append)


def alone(codec: Codec, body: bytes, config: Config) -> tuple[set[MessageOutcome], set[str]]:
    """Outcomes that a message may have, and the words of reasons, from a frame of its own."""
    bench = Bench(config)
    try:
        receipt = take(bench, codec, body, delimited=False)
    except Malformed:
        return {MessageOutcome.SET_ASIDE}, {"record_malformed", "text_not_utf8", "reference_invalid"}
    kept = receipt.samples + receipt.events
    words = set(receipt.refused)
    if not words:
        dropped = sum(tally.refused.get("dropped_level", 0) for tally in bench.pipeline.tallies.values())
        return {MessageOutcome.TAKEN if kept or dropped else MessageOutcome.IGNORED}, {""}
    if kept:
        return {MessageOutcome.PARTLY}, words
    by_limit = {MessageOutcome.REFUSED} if words & LIMIT_WORDS else set()
    return by_limit | ({MessageOutcome.SET_ASIDE} if words - LIMIT_WORDS else set()), words


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name.lower())
@pytest.mark.parametrize("seed", range(2))
def test_each_message_fares_as_it_would_alone(codec: Codec, seed: int) -> None:
    """Sound, damaged, foreign and late messages in one frame: each has the outcome of a frame of its own."""
    rng = random.Random(1_000 * seed + codec)
    seen = set()
    for _ in range(6):
        config = small() if rng.random() < 0.5 else small(**WIDE)
        messages = [a_message(codec, rng) for _ in range(rng.randrange(1, 16))]
        outcomes = take(Bench(config), codec, delimit(messages), delimited=True).messages
        assert outcomes is not None
        assert len(outcomes) == len(messages)
        for number, message in enumerate(messages):
            outcome, word = outcomes.of(number)
            expected, words = alone(codec, message, config)
            assert outcome in expected, (codec, message.hex(), word, expected, words)
            assert word in words
            seen.add(outcome)
    assert {MessageOutcome.TAKEN, MessageOutcome.SET_ASIDE} <= seen or codec == Codec.NISSA_COLUMNS


def test_messages_at_a_limit_are_refused_one_by_one() -> None:
    """The first packets get the remaining series; the others are refused, and packets of known series pass."""

    def packet(name: str) -> bytes:
        made = telemetry_pb2.TelemetryPacket()
        made.points.add(name=name, timestamp_ms=NOW_MS, value=1.0)
        return made.SerializeToString()

    bench = Bench(small(active_max=2))
    body = delimit([packet(name) for name in "abcad"])
    outcomes = take(bench, Codec.NISSA_PACKET, body, delimited=True).messages
    assert outcomes is not None
    taken, refused = (MessageOutcome.TAKEN, ""), (MessageOutcome.REFUSED, "series_limit")
    assert [outcomes.of(number) for number in range(5)] == [taken, taken, refused, taken, refused]


def test_levels_that_are_dropped_are_taken() -> None:
    """Events of dropped levels count as taken, so that senders neither repeat nor dead-letter them."""
    config = Config(events=Events(drop_levels=("info",)))
    late = telemetry_pb2.TelemetryEvent(event_id="a", level=1, timestamp_ms=1)
    fresh = telemetry_pb2.TelemetryEvent(event_id="b", level=1, timestamp_ms=NOW_MS)
    body = delimit([late.SerializeToString(), fresh.SerializeToString()])
    outcomes = take(Bench(config), Codec.NISSA_EVENT, body, delimited=True).messages
    assert outcomes is not None
    assert [outcomes.of(number) for number in range(2)] == [
        (MessageOutcome.REFUSED, "too_old"),
        (MessageOutcome.TAKEN, ""),
    ]


def test_packets_that_came_before_are_taken() -> None:
    """A redelivered message is to be acknowledged; a frame that is one message has no outcomes."""
    made = telemetry_pb2.TelemetryPacket(source="s", packet_id="p")
    made.points.add(name="m", timestamp_ms=NOW_MS, value=1.0)
    bench, body = Bench(), made.SerializeToString()
    assert take(bench, Codec.NISSA_PACKET, body, delimited=False).messages is None
    receipt = take(bench, Codec.NISSA_PACKET, delimit([body, body]), delimited=True)
    assert receipt.messages is not None
    assert (receipt.duplicates, receipt.messages.outcome.tolist()) == (2, [MessageOutcome.TAKEN] * 2)
