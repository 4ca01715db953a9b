"""Settings of alerts on their way to people: routes, receivers, limits.

alerting: {config_file: alertmanager.yml}

alerting:
  routes: [pagerduty, slack]
  receivers:
    pagerduty: {type: pagerduty, routing_key_file: /etc/nissa/pagerduty}
    slack: {type: slack, api_url_file: /etc/nissa/slack}

The second form is short for one route to each receiver. A receiver's fields are those of the channel in
``config/receivers.py``.
"""

from typing import Annotated, Any

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import DAY_MS, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS, YEAR_MS


class Alerting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Routing and notifications. Off while neither config_file nor receivers is set.

    routes: names of the receivers that get every alert; empty: all of them. retry_ms_max: longest pause between
    attempts. give_up_ms: after which a notification becomes a dead letter.
    """

    config_file: str = ""
    routes: tuple[str, ...] = ()
    receivers: dict[str, dict[str, Any]] = {}
    external_url: str = ""
    alerts_max: Annotated[int, count(1, 10_000_000)] = 100_000
    labels_max: Annotated[int, count(1, 1_024)] = 64
    label_bytes_max: Annotated[int, size(64, MIB)] = 4 * KIB
    annotations_max: Annotated[int, count(1, 1_024)] = 64
    annotation_bytes_max: Annotated[int, size(64, 16 * MIB)] = 64 * KIB
    request_bytes_max: Annotated[int, size(KIB, 256 * MIB)] = 32 * MIB
    silences_max: Annotated[int, count(1, 100_000)] = 1_000
    silence_bytes_max: Annotated[int, size(KIB, MIB)] = 64 * KIB
    silences_retention_ms: Annotated[int, duration(SECOND_MS, YEAR_MS)] = 5 * DAY_MS
    outbox_entries_max: Annotated[int, count(1, 10_000_000)] = 100_000
    deliveries_max: Annotated[int, count(1, 64)] = 4
    retry_ms_min: Annotated[int, duration(10, HOUR_MS, "retry_min")] = SECOND_MS
    retry_ms_max: Annotated[int, duration(100, DAY_MS, "retry_max")] = 5 * MINUTE_MS
    give_up_ms: Annotated[int, duration(SECOND_MS, YEAR_MS, "give_up_after")] = 6 * HOUR_MS
    dead_letters_max: Annotated[int, count(1, 10_000_000)] = 10_000
    dead_letter_ms_max: Annotated[int, duration(SECOND_MS, YEAR_MS, "dead_letters_age_max")] = 30 * DAY_MS
