"""Lists of targets: written down, in files that change, and from an URL."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nissa.config.scrape_configs import FileSdConfig, HttpSdConfig, Milliseconds, ScrapeConfig, StaticConfig
from nissa.sources.scrape.discovery import Discovery
from nissa.sources.scrape.fetch import Client, open_session
from nissa.sources.scrape.targets import Group
from oracle.scrape_target import scrape_target

FAST = Milliseconds(20)


async def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - the discovery has no event
            await asyncio.sleep(0.01)


async def watched(entry: ScrapeConfig, scenario: Any) -> None:
    """Run ``scenario(discovery, changes)`` beside a discovery; changes: how often it said that lists changed."""
    async with open_session() as session:
        clients = [Client(session, one, "") for one in entry.http_sd_configs]
        discovery = Discovery(entry, "scrape_configs[0]", clients)
        changes: list[int] = []
        task = asyncio.create_task(discovery.run(lambda: changes.append(1)))
        try:
            await scenario(discovery, changes)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_written_targets() -> None:
    """Targets of static_configs are there from the start."""
    entry = ScrapeConfig(job_name="a", static_configs=(StaticConfig(("x:1",), {"dc": "ams"}), StaticConfig(("y:1",))))
    assert Discovery(entry, "", ()).groups() == [Group(("x:1",), {"dc": "ams"}), Group(("y:1",))]


def test_files(tmp_path: Path) -> None:
    """Files that fit a pattern are read, read again when they change, and forgotten when they go; a bad one is held."""
    entry = ScrapeConfig(
        job_name="a", file_sd_configs=(FileSdConfig((str(tmp_path / "*.json"), str(tmp_path / "t.yml")), FAST),)
    )

    async def scenario(discovery: Discovery, changes: list[int]) -> None:
        first, second = tmp_path / "one.json", tmp_path / "t.yml"
        first.write_text(json.dumps([{"targets": ["x:1"], "labels": {"dc": "ams"}}]))
        second.write_text("- targets: [y:1, 'z:1']\n  labels: {dc: fra}\n")
        await until(lambda: len(discovery.groups()) == 2)
        assert discovery.groups() == [
            Group(("x:1",), {"dc": "ams", "__meta_filepath": str(first)}),
            Group(("y:1", "z:1"), {"dc": "fra", "__meta_filepath": str(second)}),
        ]
        first.write_text("[{]")
        await until(lambda: bool(discovery.errors()))
        assert "not JSON" in discovery.errors()[str(first)]
        assert len(discovery.groups()) == 2
        first.write_text('[{"targets": "x:1"}]')
        await until(lambda: "expected `array`" in discovery.errors()[str(first)].lower())
        first.write_text("[]")
        await until(lambda: len(discovery.groups()) == 1)
        assert discovery.errors() == {}
        second.unlink()
        await until(lambda: discovery.groups() == [])
        assert discovery.failures == 2
        assert changes

    asyncio.run(watched(entry, scenario))


def test_an_url() -> None:
    """Its list is asked for again and again; one that cannot be had leaves the one before."""
    with scrape_target() as target:
        url = f"http://{target.address}/targets"
        entry = ScrapeConfig(job_name="a", http_sd_configs=(HttpSdConfig(url=url, refresh_interval=FAST),))
        target.pages["/targets"] = b'[{"targets": ["x:1"]}]'

        async def scenario(discovery: Discovery, changes: list[int]) -> None:
            await until(lambda: discovery.groups() == [Group(("x:1",), {"__meta_url": url})])
            target.pages["/targets"] = (503, {}, b"")
            await until(lambda: bool(discovery.errors()))
            assert discovery.errors() == {url: "the target answers HTTP status 503 Service Unavailable"}
            assert len(discovery.groups()) == 1
            target.pages["/targets"] = b'[{"targets": ["x:1", "y:1"], "labels": {"a": "b"}}]'
            await until(lambda: discovery.errors() == {})
            assert discovery.groups() == [Group(("x:1", "y:1"), {"a": "b", "__meta_url": url})]
            assert len(changes) == 2

        asyncio.run(watched(entry, scenario))
        assert target.requests[0][1]["X-Prometheus-Refresh-Interval-Seconds"] == "0.02"


def test_groups_are_strict() -> None:
    """A group has targets and labels, all of them texts."""
    assert msgspec.convert({"targets": ["a:1"]}, Group) == Group(("a:1",))
