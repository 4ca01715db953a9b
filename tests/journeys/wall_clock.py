"""The wall clock of a daemon, set to any moment and while it runs, by a preloaded library (``wall_clock.c``).

Clocks that nobody can set are left alone, so that waits last as long as ever.
"""

import os
import struct
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from journeys.rig import Daemon
from journeys.test_rules import post_form, wait_for


class WallClock:
    """The clock of processes that are started with ``environment``: at first the machine's."""

    def __init__(self, outside: Path) -> None:
        """outside: a folder for the library and the offset. Raises: CalledProcessError where nothing is compiled."""
        library, self._file = outside / "wall_clock.so", outside / "wall_clock"
        source = Path(__file__).parent / "wall_clock.c"
        command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        self.off_ms = 0
        self._file.write_bytes(struct.pack("=q", 0))
        preload = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()
        self.environment = {"LD_PRELOAD": preload, "TEST_CLOCK": str(self._file)}

    def jump(self, off_ms: int) -> None:
        """Be as far off the machine's clock, at once, in one piece."""
        self.off_ms = off_ms
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", off_ms))

    def set(self, moment: str) -> None:
        """Show a moment now, such as ``2028-02-28 23:00`` UTC, and go on from there."""
        self.jump(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000) - time.time_ns() // 10**6)

    @property
    def now_ms(self) -> int:
        """What the clock shows."""
        return time.time_ns() // 10**6 + self.off_ms


def confirm(daemon: Daemon) -> None:
    """Say as the operator that the clock is right after a jump, as it is where a day has passed, and wait for that."""
    assert post_form(daemon, "/api/v1/clock/confirm")[0] == 200
    wait_for(lambda: not daemon.get("/api/status")["maintenance"]["clock_in_doubt"])
