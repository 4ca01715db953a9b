"""Reads from /proc what a process and its children have used: CPU seconds, resident memory, bytes on disk."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """cpu_s: user and system, all threads, since the start. rss_bytes: resident now.

    rss_bytes_max: the most the first process ever had.
    """

    cpu_s: float
    rss_bytes: int
    rss_bytes_max: int


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:
                continue
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found


def usage_of(pid: int) -> Usage:
    """CPU seconds and resident memory of a process and its descendants together."""
    cpu_s, rss_bytes = 0.0, 0
    for each in family(pid):
        try:
            fields = _stat(each)
            cpu_s += (int(fields[11]) + int(fields[12])) / TICKS
            rss_bytes += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * PAGE_BYTES
        except OSError:
            continue
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak_kib = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return Usage(cpu_s, rss_bytes, peak_kib * 1024)


def cpu_by_thread(pid: int) -> dict[str, float]:
    """CPU seconds of each thread of a process: ``thread id name`` -> seconds."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        found[f"{task.name} {(task / 'comm').read_text().strip()}"] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def bytes_under(directory: Path) -> int:
    """Bytes of all files below a directory, as long as they say they are."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def blocks_under(directory: Path) -> int:
    """Bytes the file system has given to all files below a directory: what is allocated ahead counts, holes do not."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
