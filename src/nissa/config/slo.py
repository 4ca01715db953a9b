"""Settings of service level objectives."""

from typing import Annotated

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS


def check_slo(slo: "SloSettings") -> None:
    """Raises: ConfigInvalid where a number is none."""
    try:
        share = float(slo.burn_alert_threshold)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigInvalid("slo.burn_alert_threshold", f"expected 0 to 1, got {slo.burn_alert_threshold[:40]!r}")


class SloSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of objectives. window_ms: of objectives that name none. burn_alert_threshold: share of a budget in 24 h.

    shipped: names of files that come with Nissa.
    """

    files: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    window_ms: Annotated[int, duration(DAY_MS, 10 * YEAR_MS)] = 30 * DAY_MS
    burn_alert_threshold: str = "0.4"
    interval_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = MINUTE_MS
    objectives_max: Annotated[int, count(1, 100_000)] = 1_000
    snapshots_ms: Annotated[int, duration(HOUR_MS, 100 * YEAR_MS)] = 90 * DAY_MS
