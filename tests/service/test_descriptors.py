"""The limit of open descriptors, in processes of their own: a limit that was lowered cannot be raised again."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("soft", "hard", "room"), [(64, 64, 32), (100, 1000, 744), (1024, 1024, 768)])
def test_the_limit_is_raised_and_some_are_reserved(soft: int, hard: int, room: int) -> None:
    """The limit is raised to the hard limit; the reserve is at most half of it."""
    program = (
        "import resource; from nissa.service.descriptors import room_for_connections as room; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        "print(room(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(room), str(hard), str(hard)]
