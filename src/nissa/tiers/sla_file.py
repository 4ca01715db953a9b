"""Reads files of definitions.

sla_definitions:
  - id: checkout-uptime
    service: checkout
    metric_type: UPTIME              also AVAILABILITY, ERROR_RATE, LATENCY_P99, MTTA, MTTR
    target: 99.9
    window: 30d                      also 7d, 90d, quarterly, yearly
    bad: http_requests_total{service="checkout", code=~"5.."}
    total: http_requests_total{service="checkout"}
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.config.document import read_document
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.tiers.sla import SlaDefinition, check_definition

SLA_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
FILED: Final = ("id", "service", "metric_type", "target", "time_window", "bad", "total", "latency", "description")


def read_sla_file(path: Path) -> list[SlaDefinition]:
    """Definitions of a file. Raises: ConfigInvalid, naming the file and the definition."""
    try:
        document = read_document(path.read_bytes(), str(path), SLA_FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigInvalid(str(path), str(error)) from None
    entries = document.get("sla_definitions")
    if not isinstance(entries, list):
        raise ConfigInvalid(str(path), "expected a list sla_definitions")
    found = [_read(entry, f"{path}: sla_definitions[{place}]") for place, entry in enumerate(entries)]
    ids = [one.id for one in found]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise ConfigInvalid(str(path), f"{twice} is defined twice")
    return [msgspec.structs.replace(one, changed_by=f"file {path.name}") for one in found]


def read_definition(fields: dict[str, Any]) -> SlaDefinition:
    """A definition from fields by their names. Raises: BadQuery."""
    given = {("time_window" if name == "window" else name): value for name, value in fields.items()}
    unknown = sorted(given.keys() - set(FILED))
    if unknown:
        raise BadQuery(f"unknown field {unknown[0][:40]!r}: expected {', '.join(FILED)}")
    try:
        one = msgspec.convert(given, SlaDefinition, strict=False)
    except msgspec.ValidationError as error:
        raise BadQuery(str(error)) from None
    return check_definition(one)


def _read(entry: Any, place: str) -> SlaDefinition:
    if not isinstance(entry, dict):
        raise ConfigInvalid(place, "expected a mapping")
    try:
        return read_definition({str(name): value for name, value in entry.items()})
    except BadQuery as error:
        raise ConfigInvalid(place, str(error)) from None
