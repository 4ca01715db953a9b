"""All entries of ``scrape_configs``: those of Prometheus' file, then those in Nissa's own settings.

sources.scrape.config_file        prometheus.yml: scrape_configs[0]          ┐
sources.scrape.scrape_configs     sources.scrape.scrape_configs[0]           ┴─► ScrapeEntries; job names are unique
"""

from pathlib import Path
from typing import Final

import msgspec

from nissa.config.prometheus_file import parse_inline_entries, read_scrape_file
from nissa.config.scrape import Scrape
from nissa.config.scrape_configs import ScrapeConfig
from nissa.model.errors import ConfigInvalid

INLINE: Final = "sources.scrape.scrape_configs"


class ScrapeEntries(msgspec.Struct, frozen=True):
    """entries: by the path of each, for messages. warnings: what was passed over, a sentence each."""

    entries: dict[str, ScrapeConfig]
    warnings: tuple[str, ...] = ()


def read_scrape_entries(config: Scrape) -> ScrapeEntries:
    """Entries with all defaults put in. Raises: ConfigInvalid, naming the file and line, or the path of the setting."""
    found: dict[str, ScrapeConfig] = {}
    warnings: tuple[str, ...] = ()
    if config.config_file:
        file = read_scrape_file(Path(config.config_file), config.scrape_interval_ms)
        found |= {f"{config.config_file}: scrape_configs[{at}]": entry for at, entry in enumerate(file.entries)}
        warnings = file.warnings
    inline = parse_inline_entries(config.scrape_configs, INLINE, config.scrape_interval_ms).entries
    for at, entry in enumerate(inline):
        same = next((place for place, other in found.items() if other.job_name == entry.job_name), "")
        if same:
            raise ConfigInvalid(f"{INLINE}[{at}].job_name", f"{entry.job_name!r} is that of {same} too")
        found[f"{INLINE}[{at}]"] = entry
    return ScrapeEntries(found, warnings)
