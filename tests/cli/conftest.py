"""A small data directory for the commands: one metric in two rooms, sealed into blocks, and one more sample behind."""

from pathlib import Path

import pytest

from nissa.codec.messages import MessageCodec
from nissa.config.load import load_config
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec

NOW_MS = 1_732_190_000_000


def body(room: str, value: float, timestamp_ms: int) -> bytes:
    """One metric point as nissa.v2 sends it."""
    labels = [{"name": "room", "value": room}]
    point = {"name": "temperature", "labels": labels, "value": value, "timestamp_ms": timestamp_ms}
    return MessageCodec().encode_message("metric_point", point)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two sealed samples and one in the journal."""
    path = tmp_path / "data"
    engine = Engine(path, load_config(), lambda: NOW_MS)
    engine.ingest(body("kitchen", 21.5, NOW_MS), Codec.NISSA_POINT)
    engine.ingest(body("cellar", 9.25, NOW_MS), Codec.NISSA_POINT)
    engine.flush()
    engine.ingest(body("kitchen", 22.5, NOW_MS + 1000), Codec.NISSA_POINT)
    engine.close()
    return path
