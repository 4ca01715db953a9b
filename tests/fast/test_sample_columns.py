"""The compiled decoder of SampleColumns against its twin, and columns that do not fit together."""

from pathlib import Path

import pytest

from nissa._proto.columns_pb2 import SampleColumns
from oracle import fuzz_wire, packets
from oracle.wire import delimit

GOLDENS = Path(__file__).parent.parent / "goldens"
SYMBOLS = ["", "__name__", "a", "b"]


@pytest.mark.parametrize("shape", ["grid", "rounds", "runs"])
def test_every_prefix_and_bit_agree_with_google(shape: str) -> None:
    """Cut at any byte, or with any one bit turned, the golden columns are read exactly as the twin reads them."""
    harness = fuzz_wire.Harness()
    body = bytearray((GOLDENS / f"nissa-columns-{shape}.bin").read_bytes())
    for size in range(len(body) + 1):
        assert harness.compare(bytes(body[:size]), packets.COLUMNS, False) == ""
    for bit in range(len(body) * 8):
        body[bit // 8] ^= 1 << bit % 8
        assert harness.compare(bytes(body), packets.COLUMNS, False) == ""
        body[bit // 8] ^= 1 << bit % 8


def columns(series: int = 2, **fields: object) -> bytes:
    message = SampleColumns(symbols=SYMBOLS, **fields)  # type: ignore[arg-type]
    for number in range(series):
        message.series.add(label_refs=[1, 2 + number])
    return message.SerializeToString()


@pytest.mark.parametrize(
    "body",
    [
        columns(values=[1.0]),
        columns(values=[1.0, 2.0], time_deltas_ms=[0, 0]),
        columns(values=[1.0, 2.0], run_lengths=[1, 1]),
        columns(values=[1.0, 2.0], run_lengths=[1, 1], time_deltas_ms=[1, 1], by_round=True),
        columns(values=[1.0, 2.0], run_lengths=[2], time_deltas_ms=[1, 1]),
        columns(values=[1.0, 2.0], run_lengths=[2, 2], time_deltas_ms=[1, 1]),
        columns(values=[1.0, 2.0], run_lengths=[1, 0], time_deltas_ms=[1, 1]),
        columns(series=0, values=[1.0]),
        columns(values=[1.0, 2.0], timestamp_ms=2**63 - 1, time_deltas_ms=[1]),
        SampleColumns(symbols=["x"]).SerializeToString(),
    ],
)
def test_columns_that_do_not_fit(body: bytes) -> None:
    """Uneven columns, wrong run lengths, times past 64 bits: the message is refused, with its body or alone."""
    harness = fuzz_wire.Harness()
    assert harness.compare(body, packets.COLUMNS, False) == ""
    assert harness.refused == 1
    good = columns(values=[1.0, 2.0])
    assert harness.compare(delimit([good, body, good]), packets.COLUMNS, True) == ""
    assert (len(harness.batch), sum(harness.batch.refused.values())) == (4, 1)


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({"label_refs": [0, 9]}, "reference_invalid"),
        ({"label_refs": [1]}, "reference_invalid"),
        ({"label_refs": [1, 2], "unit_ref": 9}, "reference_invalid"),
        ({"label_refs": [2, 2]}, "name_missing"),
    ],
)
def test_a_bad_series_costs_itself(definition: dict[str, object], reason: str) -> None:
    """A series with references to nothing is refused with its samples; the others of the message are kept."""
    harness = fuzz_wire.Harness()
    message = SampleColumns(symbols=SYMBOLS, values=[1.0, 2.0, 3.0, 4.0], time_deltas_ms=[0, 1])
    message.series.add(label_refs=[1, 2])
    message.series.add(**definition)
    assert harness.compare(message.SerializeToString(), packets.COLUMNS, False) == ""
    assert (len(harness.batch), harness.batch.refused) == (2, {reason: 2})


def test_what_is_wrong_with_joined_columns_is_told_inside_the_body() -> None:
    """A column in two pieces is joined elsewhere in memory; the offset of a fault still lies in the body."""
    harness = fuzz_wire.Harness()
    pieces = b"".join(SampleColumns(values=[value]).SerializeToString() for value in (1.0, 2.0))
    assert harness.compare(columns(time_deltas_ms=[0, 0, 0]) + pieces, packets.COLUMNS, False) == ""
    assert harness.refused == 1


@pytest.mark.parametrize("body", [b"", columns(series=0), columns(), columns(run_lengths=[0, 0])])
def test_columns_of_nothing(body: bytes) -> None:
    """A message without samples is sound."""
    harness = fuzz_wire.Harness()
    assert harness.compare(body, packets.COLUMNS, False) == ""
    assert harness.accepted == 1
