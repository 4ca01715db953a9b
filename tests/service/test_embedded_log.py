"""The log of an embedded engine has tracebacks without the local variables of their frames."""

import subprocess
import sys
from pathlib import Path

# A failure in the engine's own logger, in a program that embeds it; the local variable must not be seen.
PROGRAM = """
import structlog
{before}
import nissa

def fail():
    secret = "tops" + "ecret"
    try:
        raise OSError("the disk is gone")
    except OSError:
        structlog.get_logger().exception("a head could not be sealed", retry_s=1)

with nissa.Engine({directory!r}):
    fail()
"""


def run(directory: Path, before: str = "") -> tuple[str, str]:
    """Standard output and standard error of the program. before: what it does with structlog itself."""
    program = PROGRAM.format(before=before, directory=str(directory / "data"))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return result.stdout, result.stderr


def test_tracebacks_show_no_locals(tmp_path: Path) -> None:
    """An exception is logged with its traceback, on standard error, and without the values of variables."""
    output, errors = run(tmp_path)
    assert output == ""
    assert "a head could not be sealed" in errors
    assert "OSError: the disk is gone" in errors
    assert "topsecret" not in errors


def test_the_log_of_the_program_around_is_left_alone(tmp_path: Path) -> None:
    """If the program has configured structlog, its configuration holds."""
    output, _ = run(tmp_path, "structlog.configure(processors=[structlog.processors.JSONRenderer()])")
    assert '"event": "a head could not be sealed"' in output
