"""Checks of settings before the start: numbers against the bounds of the tree, and settings against each other.

Tables here have the paths of the tree; messages have the names that operators write.
"""

from typing import Any

import msgspec

from nissa.config.access import check_access, check_tls
from nissa.config.events import check_events
from nissa.config.listen import Listen, parse_listen
from nissa.config.names import quantities, shown, written_path
from nissa.config.redaction import check_redaction
from nissa.config.sink_checks import check_dead_letters, check_external_labels, check_sinks, takes_events
from nissa.config.slo import check_slo
from nissa.config.status_page import check_status_page
from nissa.config.tree import Config
from nissa.model.durability import parse_durability
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.ladder import check_policies, check_tiers
from nissa.model.quantity import Quantity, write_quantity

SCRAPE_CONFIGS = "sources.scrape.scrape_configs"
FRAME_OVERHEAD_BYTES = 256  # segment header, frame header and padding, rounded up

ORDERED = "a lower priority is refused first"

# (smaller, greater): the value at the first path may not pass the value at the second.
AT_MOST: tuple[tuple[str, str, str], ...] = (
    ("ingest.body_bytes_max", "ingest.queue_bytes_max", "a body must fit the queue"),
    ("ingest.body_bytes_max", "ingest.decompressed_bytes_max", "a body that is not compressed is also limited by it"),
    ("ingest.frame_samples_max", "storage.head_samples_max", "a frame must fit the head"),
    ("api.query_memory_bytes_max", "api.queries_memory_bytes_max", "one query must fit the limit of all queries"),
    ("storage.segment_bytes", "storage.journal_bytes_max", "the journal must have room for one segment"),
    ("safeguards.pressure.low_percent", "safeguards.pressure.normal_percent", ORDERED),
    ("safeguards.pressure.normal_percent", "safeguards.pressure.high_percent", ORDERED),
    ("safeguards.pressure.high_percent", "safeguards.pressure.critical_percent", ORDERED),
    ("storage.seal_samples", "storage.head_samples_max", "a head must be sealed before it is full"),
)


def check_config(config: Config) -> None:
    """Raise ConfigInvalid, naming the path, for the first setting that Nissa will not start with."""
    values = leaves(config)
    _check_bounds(values, quantities(), "")
    for name, sink in config.sinks.items():
        _check_bounds(leaves(sink), quantities(type(sink)), f"sinks.{name}.")
    for number, rule in enumerate(config.safeguards.rate_limits.rules):
        path = f"safeguards.rate_limits.rules[{number}]"
        _check_bounds(leaves(rule), quantities(type(rule)), f"{path}.")
        if not (rule.samples_per_second or rule.events_per_second or rule.new_series_per_hour):
            raise ConfigInvalid(path, "expected samples_per_second, events_per_second or new_series_per_hour")
    parse_durability(config.storage.durability)
    check_redaction(config.redaction)
    for number, route in enumerate(config.events.routing):
        _check_bounds(leaves(route), quantities(type(route)), f"events.routing[{number}].")
    check_events(config.events, config.sinks, {name for name, sink in config.sinks.items() if takes_events(sink)})
    if not config.storage.data_dir.strip() or "\0" in config.storage.data_dir:
        raise ConfigInvalid("storage.data_dir", f"expected a directory, got {config.storage.data_dir!r}")
    check_tiers(config.ladder.tiers, config.ladder.raw_retention_ms)
    check_policies(config.ladder.policies, config.ladder.tiers)
    _check_selectors(config)
    _check_scrape_configs(config)
    _check_addresses(config)
    check_tls(config.api.tls, "api.tls")
    check_tls(config.ingest.tls, "ingest.tls")
    check_external_labels(config.api.external_labels, "api.external_labels")
    check_access(config.api.access, parse_listen(config.api.listen, "api.listen"))
    _check_relations(values)
    check_sinks(config.sinks, config.storage.data_dir)
    check_dead_letters(config.dead_letters_redis)
    check_slo(config.slo)
    check_status_page(config.status_page)


def _check_bounds(values: dict[str, Any], numbers: dict[str, Quantity], prefix: str) -> None:
    for path, number in numbers.items():
        if not number.least <= values[path] <= number.greatest:
            least, greatest, got = (
                write_quantity(one, number.unit) for one in (number.least, number.greatest, values[path])
            )
            raise ConfigInvalid(written_path(prefix + path), f"expected {least} to {greatest}, got {got}")


def leaves(config: msgspec.Struct) -> dict[str, Any]:
    """Path in the tree -> value of every setting, in the order of the tree."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, msgspec.Struct):
            found |= {f"{field.name}.{path}": leaf for path, leaf in leaves(value).items()}
        else:
            found[field.name] = value
    return found


def written_leaves(config: msgspec.Struct, path: str = "") -> dict[str, Any]:
    """Path -> value of every setting as operators write them, in the order of the tree."""
    found: dict[str, Any] = {}
    for name, value in shown(config):
        here = f"{path}.{name}".removeprefix(".")
        found |= written_leaves(value, here) if isinstance(value, msgspec.Struct) else {here: value}
    return found


def setting_text(value: object) -> str:
    """A setting as it is written in YAML and on the reference page: lists as JSON, which YAML reads."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _check_selectors(config: Config) -> None:
    for number, policy in enumerate(config.ladder.policies):
        from nissa.model.selector import read_selector  # here, as reading settings is part of every command

        try:
            read_selector(policy.match)
        except BadQuery as error:
            raise ConfigInvalid(f"ladder.policies[{number}].match", str(error)) from None


def _check_scrape_configs(config: Config) -> None:
    if config.sources.scrape.scrape_configs:
        from nissa.config.prometheus_file import parse_inline_entries  # here, as most settings have none

        parse_inline_entries(
            config.sources.scrape.scrape_configs, SCRAPE_CONFIGS, config.sources.scrape.scrape_interval_ms
        )


def _check_addresses(config: Config) -> None:
    written = {"ingest.listen": config.ingest.listen, "api.listen": config.api.listen}
    written |= {f"sources.otlp.listen[{number}]": each for number, each in enumerate(config.sources.otlp.listen)}
    grpc = enumerate(config.sources.otlp.grpc_listen)
    written |= {f"sources.otlp.grpc_listen[{number}]": each for number, each in grpc}
    lines = {"sources.statsd.listen": config.sources.statsd.listen}
    lines["sources.graphite.listen"] = config.sources.graphite.listen
    written |= {path: text for path, text in lines.items() if text}
    taken: dict[Listen, str] = {}
    for path, text in written.items():
        address = parse_listen(text, path)
        if address in taken and address.port != 0:
            raise ConfigInvalid(path, f"{address} is already taken by {taken[address]}")
        taken[address] = path


def _check_relations(values: dict[str, Any]) -> None:
    for smaller, greater, why in AT_MOST:
        if values[smaller] > values[greater]:
            got, limit = _words(smaller, values[smaller]), _words(greater, values[greater])
            what = f"{got} is more than {written_path(greater)}, which is {limit}: {why}"
            raise ConfigInvalid(written_path(smaller), what)
    room = values["storage.segment_bytes"] - FRAME_OVERHEAD_BYTES
    if values["ingest.body_bytes_max"] > room:
        body = _words("ingest.body_bytes_max", values["ingest.body_bytes_max"])
        what = f"{body} does not fit into a journal segment, which has room for {room}B (storage.segment_size)"
        raise ConfigInvalid(written_path("ingest.body_bytes_max"), what)


def _words(path: str, value: int) -> str:
    return write_quantity(value, quantities()[path].unit)
