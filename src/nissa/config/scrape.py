"""Settings of scraping.

Targets, and how they are asked, are entries of Prometheus' ``scrape_configs``: in its own file, in these settings, or
in both (``scrape_entries.py``).
"""

from typing import Annotated, Any

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import GIB, HOUR_MS, MIB, SECOND_MS


class Scrape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config_file: Prometheus' configuration. scrape_configs: further entries, checked by ``scrape_entries.py``; with
    neither of them scraping is off. scrape_interval: where nothing else says one.
    """

    config_file: str = ""
    scrape_configs: tuple[dict[str, Any], ...] = ()
    scrape_interval_ms: Annotated[int, duration(10, HOUR_MS)] = 15 * SECOND_MS
    targets_max: Annotated[int, count(1, 1_000_000)] = 10_000
    followed_bytes_max: Annotated[int, size(MIB, 64 * GIB)] = 256 * MIB
