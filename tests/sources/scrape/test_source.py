"""The source: entries of the file, targets that come and go, limits, and what it says about them."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nissa.config.scrape import Scrape
from nissa.config.sources import Sources
from nissa.config.tree import Config
from nissa.model.context import decode_context
from nissa.model.errors import ConfigInvalid
from nissa.model.frame import Source
from nissa.sources.inlet import Inlet
from nissa.sources.scrape.source import ScrapeSource
from oracle.intake import Intake
from oracle.scrape_target import scrape_target

NOW_MS = 1_758_000_000_000
FAST = "global: {scrape_interval: 50ms, scrape_timeout: 50ms}\nscrape_configs:\n"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the source has no event
            await asyncio.sleep(0.01)


def running(path: Path, text: str, scenario: Callable[[ScrapeSource], Awaitable[None]], **settings: int) -> Intake:
    """Run a scenario beside the source of a file with this text."""
    path.write_text(text)
    intake = Intake()

    async def run() -> None:
        config = Scrape(str(path), **settings)
        source = ScrapeSource(config, Inlet(intake, Source.SCRAPE, lambda: NOW_MS), 1 << 20)
        up = asyncio.Event()
        task = asyncio.create_task(source.run(up.set))
        await asyncio.wait_for(up.wait(), 60)
        try:
            await scenario(source)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
    return intake


def health(source: ScrapeSource) -> dict[str, str]:
    return {target["labels"]["instance"]: target["health"] for target in source.targets()["activeTargets"]}


def test_targets_come_and_go(tmp_path: Path) -> None:
    """A file with targets is followed; a target that leaves it gets markers, and the others go on."""
    targets = tmp_path / "targets.json"
    with scrape_target() as one, scrape_target() as two:

        def write(*addresses: str) -> None:
            targets.write_text(json.dumps([{"targets": list(addresses), "labels": {"dc": "ams"}}]))

        async def scenario(source: ScrapeSource) -> None:
            await until(lambda: list(health(source).values()) == ["up", "up"])
            write(two.address)
            await until(lambda: list(health(source)) == [two.address])
            before = source.facts()["scrapes"]
            assert isinstance(before, int)
            await until(lambda: int(str(source.facts()["scrapes"])) > before)
            assert (source.facts()["targets"], source.facts()["targets_up"]) == (1, 1)

        write(one.address, two.address)
        text = FAST + "  - job_name: app\n    file_sd_configs: [{files: [targets.json], refresh_interval: 20ms}]\n"
        intake = running(tmp_path / "prometheus.yml", text, scenario)
    contexts = [(frame, decode_context(frame.context)) for frame in intake.frames]
    stale = [(frame.body, context.labels) for frame, context in contexts if context.parameters.get("stale")]
    assert stale[0] == (b"up_since 0\n", {"dc": "ams", "instance": one.address, "job": "app"})
    assert stale[1][0].count(b"\n") == 5
    assert len(stale) == 2


def test_another_configuration(tmp_path: Path) -> None:
    """Applied while targets are asked: those that stay go on, also of a changed entry; wrong entries change nothing."""
    path = tmp_path / "prometheus.yml"
    with scrape_target() as one, scrape_target() as two:

        def config(*entries: str) -> Config:
            path.write_text(FAST + "\n".join(entries) if entries else "")
            return Config(sources=Sources(scrape=Scrape(str(path))))

        def entry(job: str, *addresses: str, more: str = "") -> str:
            return f"  - {{job_name: {job}, static_configs: [{{targets: {json.dumps(addresses)}}}]{more}}}"

        async def scenario(source: ScrapeSource) -> None:
            await until(lambda: list(health(source).values()) == ["up", "up"])
            before = {key: (one, one.health) for pool in source._pools.values() for key, one in pool.scrapers.items()}
            source.prepare(config(entry("app", one.address, more=", honor_labels: true"), entry("new", two.address)))()
            await until(lambda: [one["scrapePool"] for one in source.targets()["activeTargets"]] == ["app", "new"])
            ((key, scraper),) = source._pools["app"].scrapers.items()
            assert before[key] == (scraper, scraper.health)
            await until(lambda: scraper._conflict == "keep")
            scrapes = scraper.health.scrapes
            await until(lambda: scraper.health.scrapes > scrapes)
            with pytest.raises(ConfigInvalid, match="is no setting of Prometheus"):
                source.prepare(config(entry("app", two.address), entry("new", one.address, more=", port: 1")))
            assert list(health(source)) == [one.address, two.address]
            await until(lambda: list(health(source).values()) == ["up", "up"])
            total = int(str(source.facts()["scrapes"]))
            source.prepare(config())()
            await until(lambda: not source.targets()["activeTargets"])
            assert int(str(source.facts()["scrapes"])) >= total

        text = FAST + entry("app", one.address) + "\n" + entry("old", two.address)
        intake = running(path, text, scenario)
    contexts = [(frame, decode_context(frame.context)) for frame in intake.frames]
    stale = [context.labels for frame, context in contexts if context.parameters.get("stale") and context.labels]
    assert sorted(labels["job"] for labels in stale) == ["app", "new", "old"]


def test_lists(tmp_path: Path) -> None:
    """Targets are listed as Prometheus lists them, with those that relabelling dropped."""
    with scrape_target() as one:

        async def scenario(source: ScrapeSource) -> None:
            await until(lambda: list(health(source).values()) == ["up"])
            found: dict[str, Any] = source.targets()
            (active,) = found["activeTargets"]
            assert active["scrapeUrl"] == active["globalUrl"] == f"http://{one.address}/metrics"
            assert (active["scrapePool"], active["lastError"], active["scrapeInterval"]) == ("app", "", "50ms")
            assert active["lastScrape"].startswith("2025-09-16T05:20:00.")
            assert [labels["discoveredLabels"]["__address__"] for labels in found["droppedTargets"]] == ["no:1"]
            assert found["droppedTargetCounts"] == {"app": 1}

        text = (
            FAST
            + f"""  - job_name: app
    static_configs: [{{targets: ["{one.address}", "no:1"]}}]
    relabel_configs: [{{source_labels: [__address__], regex: "no:.*", action: drop}}]
"""
        )
        running(tmp_path / "prometheus.yml", text, scenario)


def test_limits_on_targets(tmp_path: Path) -> None:
    """No target of an entry over target_limit is asked, and no more targets than Nissa's own setting allows at all."""

    async def limited(source: ScrapeSource) -> None:
        await until(lambda: set(health(source).values()) == {"down"})
        errors = {target["lastError"] for target in source.targets()["activeTargets"]}
        assert errors == {"3 targets are over the limit of 2 (target_limit)"}

    async def few(source: ScrapeSource) -> None:
        await until(lambda: source.facts()["targets"] == 2)

    entry = "  - {job_name: app, static_configs: [{targets: ['a:1', 'b:1', 'c:1']}]"
    running(tmp_path / "prometheus.yml", FAST + entry + ", target_limit: 2}\n", limited)
    running(tmp_path / "prometheus.yml", FAST + entry + "}\n", few, targets_max=2)


def test_files_that_cannot_be_served(tmp_path: Path) -> None:
    """Faulty files, also certificates, are refused before anything runs."""

    async def scenario() -> None:
        inlet = Inlet(Intake(), Source.SCRAPE, lambda: NOW_MS)
        path = tmp_path / "prometheus.yml"
        with pytest.raises(ConfigInvalid, match="cannot be read"):
            ScrapeSource(Scrape(str(path)), inlet, 1)
        path.write_text("scrape_configs: [{job_name: a, tls_config: {ca_file: nowhere.pem}}]")
        with pytest.raises(ConfigInvalid, match=r"scrape_configs\[0\].tls_config: .*nowhere.pem"):
            ScrapeSource(Scrape(str(path)), inlet, 1)

    asyncio.run(scenario())
