"""Frames as requests: which are sent as they are, and in which order."""

import random

import cramjam
from forwarders.test_journal_columns import entry_of

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.config.sinks import RemoteWriteSink
from nissa.forwarders.journal_columns import JournalColumns
from nissa.forwarders.portion import PortionMaker, SinkRequest
from nissa.forwarders.sink_labels import SinkLabels, SinkRules
from nissa.model.context import Context
from oracle.engine import NOW_MS, ONE, Sample, config_of

Waves = list[list[list[SinkRequest]]]
ADDED = Context(labels={"job": "x"}).encode()


def waves_of(
    *frames: list[Sample], contexts: dict[int, bytes] | None = None, samples_max: int = 100, unchanged: bool = True
) -> Waves:
    """Waves of requests for a sink of 1.0 with three connections."""
    columns = JournalColumns(config_of())
    maker: PortionMaker | None = None
    for number, samples in enumerate(frames):
        found = columns.decode(entry_of(samples, context=(contexts or {}).get(number, b"")))
        assert found is not None
        if maker is None:
            labels = SinkLabels(found.index, SinkRules(RemoteWriteSink()), 3)
            maker = PortionMaker(labels, "1.0", 3, samples_max)
        maker.add(found, unchanged=unchanged)
    assert maker is not None
    waves, filtered = maker.waves()
    assert filtered == 0
    return waves


def read(request: SinkRequest) -> list[tuple[str, int]]:
    """(metric name, ts_ms) of the samples in a request."""
    found = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(request.body("1.0"))))
    return [
        (label.value, sample.timestamp)
        for series in found.timeseries
        for label in series.labels
        if label.name == "__name__"
        for sample in series.samples
    ]


def test_frames_without_a_common_series_go_as_they_are() -> None:
    """In parallel; the next one with such a series is encoded anew, behind them, and those after it too."""
    frames = [[("a", 1, ONE)], [("b", 1, ONE)], [("a", 2, ONE)], [("c", 1, ONE)], [("a", 3, ONE), ("c", 2, ONE)]]
    waves = waves_of(*[[(name, NOW_MS + at, bits) for name, at, bits in frame] for frame in frames])
    first, second = ([request for lane in wave for request in lane] for wave in waves)
    assert sorted(tuple(read(one)) for one in first) == [((name, NOW_MS + 1),) for name in "abc"]
    assert all(one.frame is not None for one in first)
    assert sorted(row for one in second for row in read(one)) == [
        ("a", NOW_MS + 2),
        ("a", NOW_MS + 3),
        ("c", NOW_MS + 2),
    ]


def test_frames_with_labels_of_their_source_are_encoded_anew() -> None:
    """Such frames are encoded anew, and so are all frames if a rule of the sink may change them."""
    (wave,) = waves_of([("a", NOW_MS, ONE)], contexts={0: ADDED})
    assert [request.frame for lane in wave for request in lane] == [None]
    (wave,) = waves_of([("a", NOW_MS, ONE)], unchanged=False)
    assert [request.frame for lane in wave for request in lane] == [None]


def test_requests_are_bounded_and_in_order() -> None:
    """However frames come: a series stays on one connection, its samples in order of time, each sent once."""
    rng = random.Random(20)
    for _ in range(20):
        frames = [
            [(f"m{number}", NOW_MS + minute, ONE) for number in sorted(rng.sample(range(12), rng.randint(1, 12)))]
            for minute in range(rng.randint(1, 8))
        ]
        contexts = {number: b"" for number in range(len(frames)) if rng.random() < 0.5}
        sent: list[tuple[str, int]] = []
        for wave in waves_of(*frames, contexts=contexts, samples_max=5):
            lanes = [[row for request in lane for row in read(request)] for lane in wave]
            assert all(len(request) <= 5 for lane in wave for request in lane if request.frame is None)
            names = [{name for name, _ in lane} for lane in lanes]
            assert sum(map(len, names)) == len(set().union(*names))
            sent += [row for lane in lanes for row in lane]
        for name in {name for name, _ in sent}:
            times = [ts_ms for other, ts_ms in sent if other == name]
            assert times == sorted(times)
        assert sorted(sent) == sorted((name, ts_ms) for frame in frames for name, ts_ms, _ in frame)


def test_halves_hold_the_rows() -> None:
    """Halves hold the rows, also of a request that was to be sent unchanged."""
    ((lane,),) = waves_of([(f"m{number}", NOW_MS, ONE) for number in range(5)])
    left, right = lane[0].halves()
    assert (len(left), len(right)) == (2, 3)
    assert sorted(read(left) + read(right)) == sorted(read(lane[0]))
