"""Load of this process as the kernel reports it: CPU seconds, processors and memory that it may use.

    processors   those of the affinity mask, at most the quota of the control group (``cpu.max``)
    memory       resident memory as a share of the machine's, at most the limit of the control group (``memory.max``)

Values are those of the process, not of the machine: conservative mode gives up work of Nissa, and what other
processes take does not shrink by it.
"""

import os
from pathlib import Path
from typing import Final

GROUPS: Final = Path("/sys/fs/cgroup")
PROC: Final = Path("/proc")
_UNLIMITED: Final = "max"


def cpu_seconds() -> float:
    """User and system CPU time of this process, in seconds."""
    times = os.times()
    return times.user + times.system


def processors(groups: Path = GROUPS) -> float:
    """Processors that this process may use, a fraction under a quota. groups: the mounted control groups."""
    count = float(len(os.sched_getaffinity(0)))
    quota, _, period = _read(groups / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit() and int(period) > 0 and int(quota) > 0:
        count = min(count, int(quota) / int(period))
    return count


def memory_limit_bytes(groups: Path = GROUPS, proc: Path = PROC) -> int:
    """Memory that this process may use, in bytes; 0 where that is unknown."""
    limits = []
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemTotal:"):
            limits.append(int(line.split()[1]) * 1024)
    limit = _read(groups / "memory.max").strip()
    if limit.isdigit() and limit != _UNLIMITED:
        limits.append(int(limit))
    return min(limits, default=0)


def resident_bytes(proc: Path = PROC) -> int:
    """Resident memory of this process, in bytes; 0 where that is unknown."""
    fields = _read(proc / "self" / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
