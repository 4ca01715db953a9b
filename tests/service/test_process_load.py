"""Load of the process, and the limits that control groups set."""

import os
from pathlib import Path

from nissa.service.process_load import cpu_seconds, memory_limit_bytes, processors, resident_bytes


def test_limits_of_the_control_group_hold(tmp_path: Path) -> None:
    """A quota and a limit of memory below those of the machine count; none, or no control group, changes nothing."""
    (tmp_path / "meminfo").write_text("MemTotal:       1048576 kB\nMemFree: 1 kB\n")
    everything = float(len(os.sched_getaffinity(0)))
    assert processors(tmp_path) == everything
    assert memory_limit_bytes(tmp_path, tmp_path) == 1 << 30
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{1 << 28}\n")
    assert processors(tmp_path) == 0.5
    assert memory_limit_bytes(tmp_path, tmp_path) == 1 << 28
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert processors(tmp_path) == everything
    assert memory_limit_bytes(tmp_path, tmp_path) == 1 << 30
    assert memory_limit_bytes(tmp_path / "gone", tmp_path / "gone") == 0


def test_readings_of_this_process() -> None:
    """CPU time rises with work, and memory is that of a Python process."""
    before = cpu_seconds()
    sum(number * number for number in range(2_000_000))
    assert cpu_seconds() > before
    assert 1 << 20 < resident_bytes() < 1 << 36
    assert resident_bytes(Path("/nowhere")) == 0
