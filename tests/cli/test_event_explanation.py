"""nissa events explain: the effect of rules on an event, by sink."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()
CONFIG = """
events:
  drop_levels: [unspecified]
  enrichment:
    - {match: {sources: ["tolaria*"]}, set: {service: training}}
    - {match: {attributes: {severity: fatal}}, level: critical}
    - {set: {service: other}}
  routing:
    - {name: health, match: {text: "GET /health"}, keep_one_of: 100}
    - {name: quiet, match: {levels: [info]}, sinks: [all]}
sinks:
  all: {type: elasticsearch, url: "http://127.0.0.1:9200"}
  loud: {type: elasticsearch, url: "http://127.0.0.1:9200", levels: [info, critical]}
  samples: {type: remote_write, url: "http://127.0.0.1:9090/w"}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The path of the configuration."""
    path = tmp_path / "nissa.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_rules_and_sinks_are_told(config: str) -> None:
    """Each rule and sink has a line, for each event in turn."""
    lines = [
        '{"source":"tolaria-1","level":"info","description":"x","attributes":{"severity":"fatal"}}',
        '{"source":"x","level":"info","description":"GET /health"}',
        '{"source":"x","level":"info"}',
        '{"source":"x","level":"warning"}',
        '{"source":"x"}',
    ]
    result = RUNNER.invoke(app, ["events", "explain", "--config", config], input="\n".join(lines))
    assert result.exit_code == 0, result.output
    first, second, third, fourth, fifth = result.stdout.split("\n\n")
    assert first.splitlines() == [
        "events.enrichment[0]: service = 'training'",
        "events.enrichment[1]: level info becomes critical",
        "events.enrichment[2]: matches, changes nothing",
        "sinks.all: sent",
        "sinks.loud: sent",
        "sinks.samples: gets no events",
    ]
    assert second.splitlines()[0] == "events.enrichment[0]: does not match"
    assert second.splitlines()[3] == "sinks.all: one of 100 is sent by the route 'health'"
    assert third.splitlines()[3:5] == [
        "sinks.all: sent by the route 'quiet'",
        "sinks.loud: left out by the route 'quiet'",
    ]
    assert fourth.splitlines()[4] == "sinks.loud: left out, its levels have no warning"
    assert fifth.splitlines() == ["dropped when it is received: events.drop_levels has unspecified"]


@pytest.mark.parametrize(
    "event", ["{", "[]", '{"sorce":"x"}', '{"level":"loud"}', '{"attributes":1}', '{"time_ms":"x"}']
)
def test_what_is_no_event_is_refused(config: str, event: str) -> None:
    """Input that is no event is refused with exit code 2."""
    result = RUNNER.invoke(app, ["events", "explain", event, "--config", config])
    assert result.exit_code == 2
    assert "the event cannot be read" in result.stderr


def test_levels_are_named(config: str) -> None:
    """The message for an unknown level lists the known ones."""
    result = RUNNER.invoke(app, ["events", "explain", '{"source":"t","level":"zz"}', "--config", config])
    assert "level: 'zz' is none of unspecified, " in result.stderr
