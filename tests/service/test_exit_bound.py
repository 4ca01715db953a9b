"""The bound on ending: it is lifted where all is closed, and ends the process where it is not."""

import subprocess
import sys

import pytest

ENDING = """
import time
from nissa.config.tree import Config, Ingest, Watchdog
from nissa.service.exit_bound import ExitBound
bound = ExitBound(Config(ingest=Ingest(drain_timeout_ms=500), watchdog=Watchdog(shutdown_timeout_ms=1_000)))
bound.set()
bound.set()
"""
ENDS = {
    "lifted": ("bound.lift()\nprint('whole')", 0, "whole"),
    "a thread loops": ("while True: pass", 1, "shutdown timed out"),
    "a thread holds the lock of the interpreter": ("import re; re.fullmatch(r'(a|aa)+b', 'a' * 99)", 1, "Timeout"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_process_ends_whatever_it_is_stuck_in(case: str) -> None:
    """The exit code is 0 if the bound was lifted, else 1, and the output names what was still running."""
    code, expected, said = ENDS[case]
    ended = subprocess.run([sys.executable, "-c", ENDING + code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == expected
    assert said in ended.stdout + ended.stderr
