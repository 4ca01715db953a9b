"""Asking targets through a proxy."""

import asyncio

import pytest

from nissa.config.scrape_configs import HttpClient
from nissa.model.errors import SourceFailed
from nissa.model.frame import Encoding
from nissa.sources.scrape.fetch import Client, TargetAnswer, open_session
from oracle.scrape_target import TEXT, scrape_target


def asked(url: str, config: HttpClient, bytes_max: int = 1 << 20) -> TargetAnswer:
    """The answer to one request."""

    async def scenario() -> TargetAnswer:
        async with open_session() as session:
            return await Client(session, config, "").get(url, {}, 5, bytes_max)

    return asyncio.run(scenario())


def test_through_a_proxy() -> None:
    """A proxy is asked with the whole address, and gets the same bounds."""
    with scrape_target() as proxy:
        config = HttpClient(proxy_url=f"http://{proxy.address}")
        proxy.pages["http://target.invalid:9100/metrics"] = (200, {"Content-Type": TEXT}, b"a 1\n")
        assert asked("http://target.invalid:9100/metrics", config) == TargetAnswer(b"a 1\n", Encoding.IDENTITY, TEXT)
        with pytest.raises(SourceFailed, match="the answer has 4 bytes, over the limit of 3"):
            asked("http://target.invalid:9100/metrics", config, bytes_max=3)
