"""The catalogue against its reference page and against Prometheus' rules of naming."""

import re
from pathlib import Path

from nissa.selfmetrics.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_names_follow_the_rules() -> None:
    """Names are unique, in base units, and end in _total exactly where they count."""
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.removesuffix("_total").endswith(metric.unit)
        assert "_ms" not in metric.name
        assert metric.help.endswith(".")


def test_the_reference_page_is_the_catalogue() -> None:
    """docs/metrics.md has one row per metric, with its type, labels and help, and no other."""
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in PAGE.read_text().splitlines()
        if line.startswith(("| `nissa_", "| `process_", "| `esper_"))
    ]
    expected = [
        (f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in CATALOGUE
    ]
    assert [row for row in rows if len(row) == 4] == expected


def test_the_specifications_names_are_told() -> None:
    """Each name of the specification stands on the page beside the metric it became."""
    aliases = {alias: metric.name for metric in CATALOGUE for alias in metric.aliases}
    assert set(aliases) == {
        "nissa.ingest.latency_ms",
        "nissa.telemetry.dropped_total",
        "nissa.breaker.state",
        "nissa.alerts.active",
    }
    page = PAGE.read_text()
    for alias, name in aliases.items():
        assert re.search(rf"^\| `{re.escape(alias)}` +\| `{name}` ", page, re.MULTILINE)
