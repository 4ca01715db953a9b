"""Memory that was freed is used again, without the kernel."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from nissa.service.memory import tune_malloc
kept = tune_malloc()
def fill():
    return np.zeros(2_000_000, np.uint8).sum()
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    fill()
print(kept, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) < 50 * 100)
"""


@pytest.mark.skipif("NISSA_SANITIZED" in os.environ, reason="the sanitizers' allocator knows no mallopt")
def test_what_was_freed_is_not_faulted_in_again() -> None:
    """Fifty arrays of 2 MB, one after the other, take the pages of one."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
