"""Any system call on a directory made to kill, fail or fall short: ``faults.c`` compiled, preloaded and armed.

    calls = run(zygote, Fault(KILL_BEFORE, number), directory, outside)      a fixed workload, with that fault
    check(directory, notes)                                                  what it acknowledged is there

The workload (``torture/workload.py``) opens, takes, seals three times, writes the ladder, merges, trims, and closes.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

SOURCE = Path(__file__).parent / "faults.c"
TESTS = Path(__file__).parents[1]
COUNT, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_ON, SHORT, POWER_CUT, FAIL_A_WHILE = range(8)
TIMEOUT_S = 60.0


class Fault(msgspec.Struct, frozen=True):
    """A fault at one call. what: its kind; number: of the call; code: errno of a failure, seed of a power cut."""

    what: int
    number: int = 0
    code: int = 0


class Run(msgspec.Struct, frozen=True):
    """Result of a run. code: the exit code; negative: the signal. calls: (name, file) of every call."""

    code: int
    calls: list[tuple[str, str]]


def compiled(outside: Path) -> Path:
    """The library. Raises: CalledProcessError, FileNotFoundError where there is no compiler."""
    target = outside / "faults.so"
    command = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-o", str(target), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return target


def run(zygote: Any, library: Path, fault: Fault, directory: Path, notes: Path) -> Run:
    """The workload with that fault, in a process forked by a zygote that has the library preloaded."""
    calls = notes.with_suffix(".calls")
    numbers = map(str, (fault.what, fault.number, fault.code))
    command = [sys.executable, __file__, str(library), *numbers, str(calls), str(directory), str(notes)]
    with notes.with_suffix(".log").open("ab") as log:
        process = zygote.start(command, stderr=log, env=os.environ)
    watchdog = threading.Timer(TIMEOUT_S, process.send_signal, (signal.SIGABRT,))
    watchdog.start()
    code = process.wait()
    watchdog.cancel()
    process.stdout.close()
    lines = calls.read_text().splitlines() if calls.exists() else []
    return Run(code, [(line.split(" ", 2)[1], line.split(" ", 2)[2]) for line in lines])


def main(library: str, what: str, number: str, code: str, calls: str, *arguments: str) -> None:
    """The child: armed, then the workload."""
    log = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    faults = ctypes.CDLL(library)
    sys.path.insert(0, str(TESTS))
    from torture import workload

    faults.arm(os.fsencode(arguments[0]), int(what), ctypes.c_long(int(number)), int(code), log)
    workload.main(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
