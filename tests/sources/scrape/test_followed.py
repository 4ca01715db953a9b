"""Series that are followed from one answer to the next, within a bound for all targets."""

from nissa._fast.exposition_series import ExpositionSeries
from nissa.sources.scrape.followed import Followed, FollowedMemory

SERIES = ExpositionSeries(bytes(range(32)))


def step(followed: Followed, body: bytes) -> tuple[bytes, int] | None:
    """Take one answer; None where its series are as before."""
    keys, _ = SERIES.keys(body, openmetrics=False, own_times=True)
    prepared = followed.prepare(keys, body, openmetrics=False, own_times=True)
    return None if prepared is None else followed.follow(prepared)


def test_series_come_and_go() -> None:
    """New series are counted, those that are gone are named once, and values do not matter."""
    memory = FollowedMemory(1 << 20)
    followed = Followed(SERIES, memory)
    assert step(followed, b'a{x="1"} 1\nb 2\n') == (b"", 2)
    assert step(followed, b'# HELP a x\nb 3\na{x="1"} 4\n') is None
    assert step(followed, b"b 3\nc 4\n") == (b'a{x="1"} 0\n', 1)
    assert memory.used_bytes > 16
    assert sorted(followed.clear().splitlines()) == [b"b 0", b"c 0"]
    assert (followed.clear(), memory.used_bytes) == (b"", 0)


def test_memory_is_bounded() -> None:
    """A target over the bound is not followed, which is counted, and others go on."""
    memory = FollowedMemory(200)
    small, large = Followed(SERIES, memory), Followed(SERIES, memory)
    step(small, b"a 1\n")
    body = b"".join(b"m%d 1\n" % number for number in range(1_000))
    assert step(large, body) == (b"", 1_000)
    assert (memory.refused, large.clear(), small.clear()) == (1, b"", b"a 0\n")
    assert memory.used_bytes == 0
