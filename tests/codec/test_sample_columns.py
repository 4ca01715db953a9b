"""Columns that are written are read back as they were."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nissa.codec.packets import decode
from nissa.codec.sample_columns import encode_sample_columns
from nissa.model.decoded import Window
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig

WINDOW = Window(1, 1 << 40, -(2**63), 2**63 - 1)
TIMES = st.integers(-(2**61), 2**61) | st.integers(1_700_000_000_000, 1_700_000_100_000)
SAMPLES = st.tuples(TIMES, st.integers(0, 2**64 - 1))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=3)


def read(body: bytes) -> list[tuple[dict[str, str], int, int]]:
    """(labels, ts_ms, bits) of each sample."""
    rig = Rig()
    frame = Frame(Codec.NISSA_COLUMNS, Encoding.IDENTITY, Source.IMPORT, 0, body)
    decode(frame, body, rig.index, rig.batch, WINDOW)
    assert rig.batch.refused == {}
    series, ts_ms, value = rig.batch.columns()
    rows = zip(series.tolist(), ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True)
    return [(dict(rig.index.labels(one)), ts, bits) for one, ts, bits in rows]


@given(st.lists(st.tuples(LABELS, st.lists(SAMPLES, max_size=4)), max_size=4))
def test_runs(series: list[tuple[dict[str, str], list[tuple[int, int]]]]) -> None:
    """Any times and bits, series without samples, labels of any text."""
    named = [({**labels, "__name__": f"m{at}"}, samples) for at, (labels, samples) in enumerate(series)]
    flat = [sample for _, samples in named for sample in samples]
    lengths = np.array([len(samples) for _, samples in named], np.int64)
    times = np.array([ts_ms for ts_ms, _ in flat], np.int64)
    values = np.array([bits for _, bits in flat], np.uint64).view(np.float64)
    body = encode_sample_columns([labels for labels, _ in named], lengths, times, values)
    assert read(body) == [(labels, *sample) for labels, samples in named for sample in samples]


def test_equal_times_stand_once() -> None:
    """Series with the same times are a grid: one more costs its values and its name."""
    times = np.arange(0, 15_000 * 100, 15_000, dtype=np.int64) + 1_700_000_000_000
    sizes = []
    for count in (1, 2):
        labels = [{"__name__": f"m{at}"} for at in range(count)]
        values = np.arange(100.0 * count)
        body = encode_sample_columns(labels, np.full(count, 100), np.tile(times, count), values)
        rows = read(body)
        assert [row[1] for row in rows] == times.tolist() * count
        assert [row[2] for row in rows] == values.view(np.uint64).tolist()
        sizes.append(len(body))
    assert sizes[1] - sizes[0] < 100 * 8 + 20
