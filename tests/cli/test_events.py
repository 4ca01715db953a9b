"""nissa events: lines for people and for programs, from blocks and journal."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.main import app
from nissa.codec.messages import MessageCodec
from nissa.config.load import load_config
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec

RUNNER = CliRunner()
NOW_MS = 1_732_190_000_000


def body(number: int, description: str) -> bytes:
    """One event as nissa.v2 sends it."""
    event = {
        "event_id": f"stage-{number}",
        "description": description,
        "level": number,
        "timestamp_ms": NOW_MS + number,
        "source": "tezzeret",
        "attributes": [{"name": "seed", "value": f"{number}"}],
    }
    return MessageCodec().encode_message("telemetry_event", event)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Two events in a block and two in the journal."""
    path = tmp_path / "data"
    engine = Engine(path, load_config(), lambda: NOW_MS)
    for number, description in enumerate(["grafted", "culled", "torn\x1b[2J\n", "fell over"], 1):
        engine.ingest(body(number, description), Codec.NISSA_EVENT)
        if number == 2:
            engine.flush()
    engine.close()
    return path


def test_a_line_for_each_event(filled: Path) -> None:
    """Time, level, source, id, description, attributes; nothing that a terminal would obey."""
    result = RUNNER.invoke(app, ["events", str(filled)])
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == '2024-11-21 11:53:20.001Z INFO tezzeret stage-1 grafted {"seed":"1"}'
    assert lines[2] == '2024-11-21 11:53:20.003Z ERROR tezzeret stage-3 torn\\x1b[2J\\n {"seed":"3"}'
    assert len(lines) == 4


def test_json_and_conditions(filled: Path) -> None:
    """--json prints an object per line; conditions select the newest, by level, text and time."""

    def found(*arguments: str) -> list[str]:
        lines = RUNNER.invoke(app, ["events", str(filled), "--json", *arguments]).stdout.splitlines()
        return [json.loads(line)["event_id"] for line in lines]

    assert found() == ["stage-1", "stage-2", "stage-3", "stage-4"]
    assert found("--last", "2") == ["stage-3", "stage-4"]
    assert found("--level", "info", "--level", "critical") == ["stage-1", "stage-4"]
    assert found("-q", "CULL", "--source", "tezzeret") == ["stage-2"]
    assert found("--start", "1732190000.002", "--end", "1732190000.003") == ["stage-2", "stage-3"]
    assert found("--since", "1h") == []
    assert len(found("--since", "100y")) == 4


def test_damage_is_told(filled: Path) -> None:
    """Events of sound files are shown, the damaged file is named, and the exit code is 1."""
    (block,) = (filled / "blocks").glob("events-*")
    block.write_bytes(block.read_bytes()[:-1] + b"x")
    result = RUNNER.invoke(app, ["events", str(filled)])
    assert len(result.stdout.splitlines()) == 2
    assert result.exit_code == 1
    assert f"damaged files left out: {block.name}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--level", "fatal"], "'fatal' is none of"),
        (["--start", "yesterday"], "RFC 3339"),
        (["--follow", "--start", "1"], "cannot be combined with --follow"),
        (["--since", "1h", "--start", "-2h"], "either start or since"),
        (["--since", "yesterday"], "'since'"),
        (["--api", "nowhere"], "expected http"),
    ],
)
def test_bad_questions_are_the_operators(filled: Path, arguments: list[str], words: str) -> None:
    """Exit code 2 and one line of why."""
    result = RUNNER.invoke(app, ["events", str(filled), *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
