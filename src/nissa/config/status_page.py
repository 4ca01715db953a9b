"""Settings of the public status page."""

from typing import Annotated

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import duration
from nissa.model.units import HOUR_MS, SECOND_MS


class StatusPageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """services: those that anybody may see, in this order; no other is shown. cache_ms: age of the page at most.

    incident_titles: shows titles of incidents, redacted; without it they are named by their severity alone.
    """

    enabled: bool = False
    title: str = "Status"
    services: tuple[str, ...] = ()
    incident_titles: bool = False
    cache_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 30 * SECOND_MS


def check_status_page(settings: StatusPageSettings) -> None:
    """Raise ConfigInvalid for a page that would show nothing."""
    if settings.enabled and not settings.services:
        raise ConfigInvalid("status_page.services", "expected a service at least, as status_page.enabled is true")
