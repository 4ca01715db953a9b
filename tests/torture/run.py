"""The whole torture, its parts side by side: what ``make torture`` runs.

    python tests/torture/run.py [PART …]        all parts, or those whose names begin so

    kills   |████████████|calls EIO once|███…             WORKERS at a time (3 unless set: most of them wait for a disk)
    cuts    |█████████████████████|calls …                in the order below, the long ones first
    mutants |████████████████████████|fuzz …

A part that fails stops no other. What a part prints goes to ``build/torture/PART.log``, its figures to the file that
``NISSA_TORTURE_RECORD`` names. The exit code tells whether all parts passed.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from torture.test_io_calls import KINDS

TOP: Final = Path(__file__).parents[2]
LOGS: Final = TOP / "build" / "torture"
HERE: Final = "tests/torture"
EXECUTIONS: Final = "100000000"


class Part(NamedTuple):
    """A part of the torture. command: run from the top of the tree. prints_table: its table belongs into the record."""

    name: str
    command: tuple[str, ...]
    prints_table: bool = False


def tests(name: str, file: str, *arguments: str) -> Part:
    """Tests of a file."""
    return Part(name, (sys.executable, "-m", "pytest", "-q", "-s", f"{HERE}/{file}", *arguments))


def program(name: str, file: str, *arguments: str, prints_table: bool = False) -> Part:
    """A program."""
    return Part(name, (sys.executable, f"{HERE}/{file}", *arguments), prints_table)


CALLS: Final = "test_io_calls.py::test_no_call_costs_anything_acknowledged"
PARTS: Final = (
    program("planted faults 1", "mutants.py", "1/2", prints_table=True),
    program("peers", "peers.py", prints_table=True),
    program("fuzz", "fuzz/fuzz.py", EXECUTIONS),
    tests("kills of the daemon", "test_kills.py"),
    tests("power cuts", "test_attacks.py", "-k", "power"),
    tests("kills of the engine", "test_attacks.py", "-k", "kills"),
    *(tests(f"calls {kind}", f"{CALLS}[{kind}]") for kind in KINDS),
    program("planted faults 2", "mutants.py", "2/2", prints_table=True),
    tests("pauses", "test_pauses.py"),
    tests("flips", "test_flips.py"),
    tests("crashes", "test_attacks.py", "-k", "crashes"),
    tests("leaks", "test_leaks.py"),
    tests("clock", "test_clock.py"),
    tests("limits", "test_limits.py"),
    tests("journal cuts", "test_journal_cuts.py"),
)


class Workers:
    """Threads that run parts until none is left. outcomes: name to (exit code, seconds)."""

    def __init__(self, parts: list[Part], count: int) -> None:
        self.outcomes: dict[str, tuple[int, float]] = {}
        self._left: queue.SimpleQueue[Part] = queue.SimpleQueue()
        for part in parts:
            self._left.put(part)
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def run(self) -> None:
        """Run them all."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            try:
                part = self._left.get_nowait()
            except queue.Empty:
                return
            began_s = time.monotonic()
            say(f"{part.name}: begun")
            log = LOGS / f"{part.name.replace(' ', '-').replace(',', '')}.log"
            with log.open("wb") as file:
                code = subprocess.run(part.command, cwd=TOP, stdout=file, stderr=file, check=False).returncode
            seconds = time.monotonic() - began_s
            self.outcomes[part.name] = code, seconds
            say(f"{part.name}: {'passed' if code == 0 else f'FAILED, see {log}'}, {seconds / 60:.1f} min")
            if part.prints_table:
                keep_table(log)


def keep_table(log: Path) -> None:
    """Append the table of a log to the record, where there is one."""
    record = os.environ.get("NISSA_TORTURE_RECORD")
    if record:
        with Path(record).open("a") as file:
            file.writelines(f"{line}\n" for line in log.read_text().splitlines() if line.startswith(("|", "caught")))


def say(line: str) -> None:
    """Print a line about progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(names: list[str]) -> int:
    """Run the parts, and print how long each took; returns 1 if one failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = [part for part in PARTS if not names or any(part.name.startswith(name) for name in names)]
    workers, began_s = Workers(chosen, int(os.environ.get("WORKERS", "3"))), time.monotonic()
    workers.run()
    failed = [name for name, (code, _) in workers.outcomes.items() if code]
    minutes = ", ".join(f"{name} {seconds / 60:.0f}" for name, (_, seconds) in workers.outcomes.items())
    say(f"minutes: {minutes}")
    say(f"{len(chosen) - len(failed)} of {len(chosen)} parts passed, {(time.monotonic() - began_s) / 60:.0f} min")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
