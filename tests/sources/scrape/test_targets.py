"""Targets out of groups: labels, URLs, and what cannot be asked."""

from typing import Any

import msgspec
import pytest

from nissa.config.scrape_configs import Milliseconds, ScrapeConfig
from nissa.model.relabel import Relabelling, RelabelRule
from nissa.sources.scrape.targets import Found, Group, targets_of


def found(groups: list[Group], *rules: RelabelRule, **settings: Any) -> Found:
    """Targets of an entry of 30 s and 10 s."""
    entry = ScrapeConfig(
        job_name="node", scrape_interval=Milliseconds(30_000), scrape_timeout=Milliseconds(10_000), **settings
    )
    return targets_of(entry, Relabelling(rules), groups)


def rule(**settings: Any) -> RelabelRule:
    return msgspec.convert(settings, RelabelRule)


def test_labels_and_urls() -> None:
    """Labels of the group and job are the target's, ``instance`` is the address, and equal targets are one."""
    group = Group(("web-1:9100", "web-2:9100", "web-1:9100"), {"dc": "ams", "empty": "", "__hidden": "x"})
    one, two = found([group], params={"module": ("a", "b")}).targets.values()
    assert one.labels == {"dc": "ams", "instance": "web-1:9100", "job": "node"}
    assert one.url == "http://web-1:9100/metrics?module=a&module=b"
    assert (one.interval_ms, one.timeout_ms, one.error) == (30_000, 10_000, "")
    assert one.discovered["__hidden"] == "x"
    assert two.labels["instance"] == "web-2:9100"
    assert one.key != two.key
    assert 0 <= one.offset_ms() < 30_000


def test_offsets_are_spread() -> None:
    """A thousand targets of one interval are asked all over it."""
    targets = found([Group(tuple(f"web-{number}:9100" for number in range(1_000)))]).targets.values()
    tenths = [target.offset_ms() * 10 // 30_000 for target in targets]
    assert min(tenths.count(tenth) for tenth in range(10)) > 50


def test_relabelling() -> None:
    """Rules see discovered labels, and may set address, scheme, path and parameters."""
    rules = (
        rule(source_labels=["__meta_role"], regex="db", action="drop"),
        rule(source_labels=["__address__"], regex="(.*):.*", target_label="instance"),
        rule(source_labels=["__address__"], regex="(.*)", target_label="__param_target"),
        rule(target_label="__address__", replacement="probe:9115"),
        rule(target_label="__scheme__", replacement="https"),
        rule(target_label="__metrics_path__", replacement="/probe?x=1"),
        rule(target_label="__scrape_interval__", replacement="1m"),
    )
    group, dropped = Group(("a:80",)), Group(("b:81",), {"__meta_role": "db"})
    result = found([group, dropped], *rules)
    (target,) = result.targets.values()
    assert target.url == "https://probe:9115/probe?x=1&target=a%3A80"
    assert target.labels == {"instance": "a", "job": "node"}
    assert (target.interval_ms, target.error) == (60_000, "")
    assert [labels["__address__"] for labels in result.dropped] == ["b:81"]


@pytest.mark.parametrize(
    ("label", "value", "error"),
    [
        ("__scrape_interval__", "soon", "__scrape_interval__: expected a duration"),
        ("__scrape_interval__", "0s", "__scrape_interval__: expected a duration over 0"),
        ("__scrape_timeout__", "31s", "__scrape_timeout__ is longer than __scrape_interval__"),
        ("__scheme__", "ftp", "__scheme__: expected http or https, got 'ftp'"),
        ("__address__", "http://a/b", "'http://a/b' is no address"),
    ],
)
def test_targets_that_cannot_be_asked(label: str, value: str, error: str) -> None:
    """Targets that cannot be scraped stay in the list, with the reason."""
    (target,) = found([Group(("a:80",))], rule(target_label=label, replacement=value)).targets.values()
    assert error in target.error
    (many,) = found([Group(("a:80",), {f"l{number}": "x" for number in range(70)})]).targets.values()
    assert many.error == "72 labels; a target has at most 64"
