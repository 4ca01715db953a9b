"""A directory as a read-only mount, for one command: in a mount namespace of its own, which needs root."""

import functools
import subprocess
from pathlib import Path

MOUNT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def read_only(directory: Path, command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` with ``directory`` mounted read-only."""
    line = ["unshare", "--mount", "sh", "-c", MOUNT, "sh", str(directory), *command]
    return subprocess.run(line, check=False, capture_output=True, timeout=120)


@functools.cache
def can_mount() -> bool:
    """True if this user may mount."""
    try:
        return read_only(Path("/tmp"), ["true"]).returncode == 0
    except FileNotFoundError:
        return False
