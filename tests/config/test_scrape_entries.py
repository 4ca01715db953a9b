"""Entries of a file and of the settings together."""

from pathlib import Path

import pytest

from nissa.config.scrape import Scrape
from nissa.config.scrape_entries import read_scrape_entries
from nissa.model.errors import ConfigInvalid


def test_both_places(tmp_path: Path) -> None:
    """Entries of both are read, each under its path; one job name twice is refused."""
    file = tmp_path / "prometheus.yml"
    file.write_text("rule_files: [x]\nscrape_configs: [{job_name: a, scrape_interval: 1m}]\n")
    read = read_scrape_entries(Scrape(str(file), ({"job_name": "b"},)))
    assert {place: (entry.job_name, entry.scrape_interval) for place, entry in read.entries.items()} == {
        f"{file}: scrape_configs[0]": ("a", 60_000),
        "sources.scrape.scrape_configs[0]": ("b", 15_000),
    }
    assert read.warnings == (f"{file}: rule_files: passed over; Nissa does not serve it",)
    with pytest.raises(ConfigInvalid, match=r"scrape_configs\[0\].job_name: 'a' is that of .*prometheus.yml") as caught:
        read_scrape_entries(Scrape(str(file), ({"job_name": "a"},)))
    assert caught.value.path == "sources.scrape.scrape_configs[0].job_name"
