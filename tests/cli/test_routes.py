"""The command on Alertmanager's configuration file."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nissa.cli.main import app

FILE = """
route:
  receiver: a
  routes: [{matchers: [severity="page"], receiver: b, continue: true}, {matchers: [team="x"]}]
receivers: [{name: a}, {name: b}]
"""


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("check", "FILE"), 0, "am.yml: 3 routes, 2 receivers, 0 inhibit rules"),
        (("show", "FILE"), 0, '  {severity="page"}  receiver: b, continue'),
        (("test", "FILE", "severity=page", "team=x"), 0, "b,a"),
        (("test", "FILE", "page"), 2, "expected NAME=VALUE, got 'page'"),
        (("check", "missing.yml"), 2, "missing.yml: cannot be read"),
    ],
)
def test_routes(tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str) -> None:
    """A file is checked, shown, and asked where an alert goes."""
    path = tmp_path / "am.yml"
    path.write_text(FILE)
    result = CliRunner().invoke(app, ["routes", *(one.replace("FILE", str(path)) for one in arguments)])
    assert expected in result.output
    assert result.exit_code == code


@pytest.mark.parametrize(
    "text",
    [
        "{% if %}",
        "{{ .Foo.Bar }}",
        '{{ template "nope" . }}',
        "{{ range .Alerts }}",
        "{{ range .Alerts }}{{ $.Foo }}{{ end }}",
        "{{ nope .Alerts }}",
    ],
)
def test_check_reads_texts_as_the_daemon_does(tmp_path: Path, text: str) -> None:
    """A text that no notification could be made of is named with its place; so are settings that name the file."""
    path, settings = tmp_path / "am.yml", tmp_path / "nissa.yaml"
    document = {
        "route": {"receiver": "a"},
        "receivers": [{"name": "a", "slack_configs": [{"api_url": "http://127.0.0.1:9/x", "text": text}]}],
    }
    path.write_text(json.dumps(document))
    settings.write_text(json.dumps({"alerting": {"config_file": str(path)}}))
    for arguments in (("routes", "check", str(path)), ("config", "check", str(settings))):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, "line 1: receivers[0].slack_configs[0].text: " in result.output) == (2, True)
    document["receivers"] = [{"name": "a"}]
    path.write_text(json.dumps(document))
    assert CliRunner().invoke(app, ["config", "check", str(settings)]).exit_code == 0


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "cannot be read"),
        ({"route": {"receiver": "b"}, "receivers": [{"name": "a"}]}, "'b'"),
        (
            {
                "route": {"receiver": "a"},
                "receivers": [{"name": "a"}],
                "inhibit_rules": [
                    {"source_matchers": ["s=x"], "target_matchers": ["s=y"]},
                    {"source_matchers": ["s=y"], "target_matchers": ["s=x"]},
                ],
            },
            "a circle",
        ),
    ],
)
def test_config_check_reads_routing(tmp_path: Path, document: dict[str, Any] | None, expected: str) -> None:
    """Routing that a start would refuse is refused: no file, a receiver that is not there, a circle."""
    path, settings = tmp_path / "am.yml", tmp_path / "nissa.yaml"
    if document is not None:
        path.write_text(json.dumps(document))
    settings.write_text(json.dumps({"alerting": {"config_file": str(path)}}))
    result = CliRunner().invoke(app, ["config", "check", str(settings)])
    assert result.exit_code == 2
    assert expected in result.output
