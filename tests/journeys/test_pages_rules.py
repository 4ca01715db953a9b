"""Pages that write configuration or rules: what they offer is accepted where it belongs."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from journeys.page_data import write_series
from journeys.rig import Daemon, running

from oracle.engine import wait_until

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
RULES = """
groups:
  - name: engines
    interval: 1s
    rules:
      - alert: EngineHot
        expr: 'engine_heat{job="a \\"b\\""} > 50'
        labels: {severity: critical}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An engine that was hot for a minute, two minutes ago."""
    directory = tmp_path_factory.mktemp("rules")
    (directory / "rules.yaml").write_text(RULES)
    environment = {"NISSA_RULES__FILES": f'["{directory}/rules.yaml"]'}
    with running(directory / "data", environment=environment) as started:
        now_ms = time.time_ns() // 1_000_000
        heat = [(now_ms - 1_000 * ago, 90.0 if 120 <= ago < 180 else 20.0) for ago in range(300, -1, -1)]
        labels = {"__name__": "engine_heat", "job": 'a "b"', "engine": "left"}
        write_series(started, [(labels, heat), ({**labels, "engine": "right"}, heat[-5:])])
        wait_until(lambda: started.get("/api/v1/status/series_added")["data"]["total"] >= 2)  # pages ask once a minute
        yield started


def accepted(directory: Path, settings: object) -> None:
    """Fails unless ``nissa config check`` takes the settings."""
    (directory / "nissa.yaml").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    command = [sys.executable, "-m", "nissa.cli.main", "config", "check", str(directory / "nissa.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_limits_and_drop_rules_are_accepted(page, tmp_path: Path) -> None:
    """Those of Nissa by ``nissa config check``; those of the sender are rules as of a sink."""
    page.goto("/series")
    limit = page.get_by_label("A limit of new series").locator("visible=true").last.inner_text()
    accepted(tmp_path, limit)
    assert yaml.safe_load(limit)["safeguards"]["rate_limits"]["rules"][0]["new_series_per_hour"] >= 100

    page.goto("/series?name=engine_heat")
    page.get_by_text("Rules that keep it away").click()
    scrape = page.locator("pre", has_text="metric_relabel_configs").inner_text()
    accepted(tmp_path, scrape)
    assert yaml.safe_load(scrape)["sources"]["scrape"]["scrape_configs"][0]["job_name"] == 'a "b"'
    senders = page.locator("pre", has_text="write_relabel_configs")
    expect(senders).to_have_count(2)
    for text in senders.all_inner_texts():
        sink = {"type": "remote_write", "url": "http://127.0.0.1:1/api/v1/write", **yaml.safe_load(text)}
        accepted(tmp_path, {"sinks": {"elsewhere": sink}})


def test_drop_rules_wait_for_the_labels(page) -> None:
    """Rules are shown once the job of the metric is known, so that none of another job can be copied."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/api/v1/series?*", hold)
    page.goto("/series?name=engine_heat")
    page.get_by_role("heading", name="engine_heat").wait_for()
    while not held:
        page.wait_for_timeout(50)
    summary = page.get_by_text("Rules that keep it away")
    assert summary.count() == 0
    for route in held:
        route.continue_()
    page.unroute("**/api/v1/series?*")
    summary.click()
    expect(page.locator("pre", has_text="metric_relabel_configs")).to_contain_text('job_name: "a \\"b\\""')


def test_series_added_are_named(page) -> None:
    """By metric and by label, with a link to the metric."""
    page.goto("/series")
    added = page.get_by_role("region", name="series added")
    added.get_by_role("link", name="engine_heat").click()
    page.get_by_role("heading", name="engine_heat").wait_for()


def test_a_rule_is_tested_against_the_past(page) -> None:
    """A rule that runs, as it is and with another threshold; a fault is named with its line."""
    page.goto("/alerts?tab=rules")
    page.get_by_role("link", name="Test", exact=True).click()
    text = page.get_by_label("Rules, as in a rule file")
    assert 'engine_heat{job=\\"a' in text.input_value()
    page.get_by_label("over the last").select_option("1h")
    test = page.locator("form").get_by_role("button", name="Test")
    test.click()
    page.get_by_role("heading", name="engines: would have fired 1 times").wait_for()
    page.get_by_role("rowheader", name="engine=left").wait_for()
    assert page.locator(".track .state-firing").count() == 1
    assert "rules=groups" in page.url

    text.fill(text.input_value().replace("> 50", "> 95"))
    test.click()
    page.get_by_text("No alert of these rules would have fired").wait_for()
    text.fill("groups: [{name: g, rules: [{alert: A, expr: ')'}]}]")
    test.click()
    page.get_by_role("alert").get_by_text("line 1").wait_for()


def test_the_forecast_of_the_disk_is_a_sentence(page) -> None:
    """With the kinds behind it."""
    page.goto("/storage")
    forecast = page.get_by_role("region", name="Forecast")
    forecast.get_by_text("the disk").first.wait_for()
    forecast.get_by_text("may be used").first.wait_for()
