"""The running API against its own description: schemathesis sends what the description allows, and what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest
from journeys.rig import running

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
def test_answers_are_as_the_description_says(tmp_path: Path) -> None:
    """No operation fails with 500, answers in an undescribed form, or takes a method that it has not.

    Remote read is left out: its body is protobuf, which the description cannot say.
    """
    pytest.importorskip("schemathesis")
    with running(tmp_path / "data") as daemon:
        program = "from schemathesis.cli import schemathesis; schemathesis()"
        command = [sys.executable, "-c", program, "run", f"{daemon.api_url}/api/v1/openapi.json", "--no-color"]
        command += ["--checks", f"{CHECKS},unsupported_method", "--exclude-path", "/api/v1/read", "--seed", "11"]
        command += ["--phases", "examples,coverage"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=540)
        assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
        assert " passed" in done.stdout
        assert daemon.get("/api/status")["queries"]["memory_bytes"] == 0
