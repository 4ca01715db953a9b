"""The remote write codec: a frame's number chooses the version, its window the terms."""

import pytest

from nissa._fast.series_restore import seen_minutes_of
from nissa.codec.remote_write import CODECS, decode
from nissa.model.columns import Metadata
from nissa.model.decoded import NOTHING_ELSE, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig, request_2, sample, series

NOW_MS = 1_758_000_000_000
OPEN = Window(1, 1_000, 0, 2 * NOW_MS)
UP = [("__name__", "up")]


def frame_of(codec: Codec, body: bytes) -> Frame:
    """A frame that was never compressed."""
    return Frame(codec, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)


def decoded(rig: Rig, codec: Codec, body: bytes, window: Window = OPEN) -> list[Metadata]:
    """Decode a body into the rig; returns its metadata."""
    return decode(frame_of(codec, body), body, rig.index, rig.batch, window).metadata


def test_the_codec_chooses_the_version() -> None:
    """Each of the two codecs reads its own version and refuses the other's bodies."""
    assert CODECS == (Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2)
    rig = Rig()
    for codec, body in zip(CODECS, (series(UP), request_2(UP)), strict=True):
        assert decoded(rig, codec, body) == []
        assert rig.batch.samples == 1
    for codec, body in zip(CODECS, (request_2(UP), series(UP)), strict=True):
        with pytest.raises(Malformed):
            decoded(rig, codec, body)
    assert rig.labels() == [UP]


def test_the_window_gives_the_terms() -> None:
    """Edges of time and the number of new series are those of the window; the minute is when a series was seen."""
    rig = Rig()
    body = series(UP, *(sample(1.0, ts_ms) for ts_ms in (9, 10, 20, 21))) + series([("__name__", "second")])
    decoded(rig, Codec.REMOTE_WRITE_1, body, Window(77, 1, 10, 20))
    assert [row[1] for row in rig.rows()] == [10, 20]
    assert rig.batch.refused == {"too_old": 1, "too_new": 1, "series_limit": 1}
    assert seen_minutes_of(rig.index).tolist() == [77]


def test_metadata_is_told() -> None:
    """Metadata comes back beside the rows; a frame without it costs no object."""
    rig = Rig()
    body = b"\x1a\x08\x08\x01\x12\x01m\x2a\x01s"
    assert decoded(rig, Codec.REMOTE_WRITE_1, body) == [Metadata("m", "counter", "", "s")]
    plain = series(UP)
    assert decode(frame_of(Codec.REMOTE_WRITE_1, plain), plain, rig.index, rig.batch, OPEN) is NOTHING_ELSE


def test_bodies_may_be_views() -> None:
    """A body may be a view into a larger buffer, as a decompressor gives it."""
    rig = Rig()
    whole = bytearray(b"xx" + series(UP) + b"yy")
    decoded(rig, Codec.REMOTE_WRITE_1, memoryview(whole)[2:-2])  # type: ignore[arg-type]
    assert rig.labels() == [UP]
