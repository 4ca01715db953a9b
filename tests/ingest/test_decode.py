"""The one table from a frame's codec to its decoder."""

import pytest

from nissa.ingest.decode import decode
from nissa.model.decoded import Window
from nissa.model.errors import UnsupportedMedia
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig, series

WINDOW = Window(1, 1_000, 0, 1 << 60)


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec != Codec.TALLY])
def test_every_codec_has_a_decoder(codec: Codec) -> None:
    """Any codec but Nissa's own notes is decoded; a body without records is sound in all of them."""
    rig, empty = Rig(), b"{}" if codec in (Codec.OTLP_METRICS_JSON, Codec.OTLP_LOGS_JSON) else b""
    decoded = decode(
        Frame(codec, Encoding.IDENTITY, Source.HTTP, 1, empty, delimited=True), empty, rig.index, rig.batch, WINDOW
    )
    assert len(rig.batch) == 0
    assert not decoded.metadata


def test_the_body_is_the_one_given() -> None:
    """The bytes decoded are the body without its encoding, not those of the frame."""
    rig = Rig()
    frame = Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 1, b"compressed")
    decode(frame, series([("__name__", "up")]), rig.index, rig.batch, WINDOW)
    assert rig.batch.samples == 1


def test_a_codec_nobody_reads() -> None:
    """A frame that is no wire language is refused by name."""
    rig = Rig()
    with pytest.raises(UnsupportedMedia, match="no codec for frames of kind 32"):
        decode(Frame(Codec.TALLY, Encoding.IDENTITY, Source.HTTP, 1, b""), b"", rig.index, rig.batch, WINDOW)
