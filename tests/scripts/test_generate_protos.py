"""The generated classes are those of the files under proto/."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_generated_modules_are_in_step(tmp_path: Path) -> None:
    """Generating anew gives the modules that are checked in, byte for byte."""
    pytest.importorskip("grpc_tools", reason="grpcio-tools, of nissa[dev], is missing")
    subprocess.run([sys.executable, ROOT / "scripts/generate_protos", tmp_path], check=True, capture_output=True)
    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    target = ROOT / "src/nissa/_proto"
    assert generated == {path.name: path.read_text() for path in target.iterdir() if "_pb2.py" in path.name}
