"""Answers are looked through: samples, series, sizes."""

import asyncio
import gzip

import pytest

from nissa._fast.exposition_series import ExpositionSeries
from nissa.config.scrape_configs import ScrapeConfig, Size
from nissa.model.errors import Malformed, SourceFailed
from nissa.model.frame import Encoding
from nissa.sources.scrape.answers import OFF_LOOP_BYTES, AnswerReader, Seen
from nissa.sources.scrape.fetch import TargetAnswer
from nissa.sources.scrape.followed import Followed, FollowedMemory

SERIES = ExpositionSeries(bytes(range(32)))
BODY = b"# TYPE a gauge\na 1\nb 2\nb 2 5\n<html>\n"


def seen(body: bytes, encoding: Encoding = Encoding.IDENTITY, limit: int = 0, bytes_max: int = 1 << 24) -> Seen:
    """One answer, of a target that nothing is known of."""
    entry = ScrapeConfig(job_name="a", body_size_limit=Size(limit))
    followed = Followed(SERIES, FollowedMemory(1 << 24))
    answers = AnswerReader(SERIES, bytes_max)
    return asyncio.run(answers.look_through(TargetAnswer(body, encoding, ""), False, entry, followed))


def test_samples_and_series() -> None:
    """Samples are counted, series without timestamps are followed, and compression changes nothing."""
    plain = seen(BODY)
    assert plain.series is not None
    assert (plain.samples, len(plain.series.keys)) == (3, 2)
    zipped = seen(gzip.compress(BODY), Encoding.GZIP)
    assert zipped.series is not None
    assert (zipped.samples, zipped.series.texts) == (plain.samples, plain.series.texts)


def test_large_answers() -> None:
    """One over the bound of the loop comes out the same."""
    body = b"".join(b"m%d 1\n" % number for number in range(OFF_LOOP_BYTES // 6))
    assert seen(body).samples == body.count(b"\n")


def test_limits() -> None:
    """A body over body_size_limit once decompressed, over Nissa's own, or that is none, is refused with the reason."""
    large = gzip.compress(b"a 1\n" * 100_000)
    with pytest.raises(SourceFailed, match=r"the answer has 400000 bytes, over the limit of 1000 \(body_size_limit\)"):
        seen(large, Encoding.GZIP, limit=1_000)
    with pytest.raises(SourceFailed, match="over the limit of 65536"):
        seen(large, Encoding.GZIP, bytes_max=65_536)
    with pytest.raises(Malformed, match="gzip"):
        seen(b"no gzip", Encoding.GZIP)
