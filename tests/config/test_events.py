"""Rules of events in the configuration: what cannot be one is refused by its path."""

from pathlib import Path

import pytest

from nissa.config.check import written_leaves
from nissa.config.events import EnrichmentRule, EventMatch, EventRoute
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid

RULES = """
events:
  enrichment:
    - match: {sources: ["tolaria*"], levels: [info], attributes: {kind: "x?"}, text: "GET /"}
      set: {service: training}
      replace: true
  routing:
    - {name: noise, match: {text: health}, keep_one_of: 100}
    - {name: none, sinks: []}
    - {name: some, sinks: [search]}
sinks:
  search: {type: elasticsearch, url: "http://127.0.0.1:9200"}
  store: {type: remote_write, url: "http://127.0.0.1:9090/api/v1/write"}
  samples: {type: kafka, brokers: ["127.0.0.1:9092"], events_topic: ""}
  archive: {type: files, url: /mnt/archive}
"""


def load(tmp_path: Path, text: str) -> Config:
    """The configuration in a file."""
    path = tmp_path / "nissa.yaml"
    path.write_text(text)
    return load_config(path, {}, warn=pytest.fail)


def test_rules_are_read_and_shown(tmp_path: Path) -> None:
    """An empty list of sinks is not the same as a missing one."""
    config = load(tmp_path, RULES)
    match = EventMatch(("tolaria*",), ("info",), {"kind": "x?"}, "GET /")
    assert config.events.enrichment == (EnrichmentRule(match, {"service": "training"}, replace=True),)
    assert config.events.routing == (
        EventRoute("noise", EventMatch(text="health"), None, 100),
        EventRoute("none", sinks=()),
        EventRoute("some", sinks=("search",)),
    )
    assert written_leaves(config)["events.routing"][0]["keep_one_of"] == 100


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("levels: [info]", "levels: [loud]", "events.enrichment[0].match.levels: 'loud' is none of"),
        ('text: "GET /"', 'text: "("', "events.enrichment[0].match.text: pattern '('"),
        ("set: {service: training}", "level: loud", "events.enrichment[0].level: 'loud' is none of"),
        ("set: {service: training}", "set: {}", "events.enrichment[0]: expected set, copy, extract, lookup or level"),
        ("set: {service: training}", 'set: {"": x}', "events.enrichment[0]: expected at most 64 names"),
        (
            "set: {service: training}",
            'extract: {a: "b"}',
            "events.enrichment[0].extract.a: expected a pattern",
        ),
        ("set: {service: training}", 'extract: {a: "("}', "events.enrichment[0].extract.a: pattern '('"),
        ("set: {service: training}", "lookup: {file: a, key: ''}", "events.enrichment[0].lookup.key: expected"),
        ("set: {service: training}", "colour: red", "events.enrichment[0].colour: unknown setting"),
        ("name: none", "name: noise", "events.routing[1].name: expected a name of its own"),
        ("sinks: [search]", "sinks: [other]", "events.routing[2].sinks: there is no sink 'other'"),
        (
            "sinks: [search]",
            "sinks: [search, store]",
            "events.routing[2].sinks: no events are sent to the sink 'store': expected sinks of type elasticsearch",
        ),
        ("sinks: [search]", "sinks: [samples]", "events.routing[2].sinks: no events are sent to the sink 'samples'"),
        ("sinks: [search]", "sinks: [archive]", "events.routing[2].sinks: no events are sent to the sink 'archive'"),
        ("keep_one_of: 100", "keep_one_of: 0", "events.routing[0].keep_one_of: expected 1 to 1000000, got 0"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The message begins with the path of the setting."""
    assert old in RULES
    with pytest.raises(ConfigInvalid) as refused:
        load(tmp_path, RULES.replace(old, new))
    assert str(refused.value).startswith(message)


def test_the_number_of_rules_is_bounded(tmp_path: Path) -> None:
    """An event is compared with each of them."""
    rules = "\n".join(f"    - {{name: r{number}}}" for number in range(101))
    with pytest.raises(ConfigInvalid, match=r"events\.routing: 101 rules; at most 100"):
        load(tmp_path, f"events:\n  routing:\n{rules}\n")
