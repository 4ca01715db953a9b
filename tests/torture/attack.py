"""One attack after the other on a directory: a sender is started, something ends it, the next one must have it all.

    start ──► recovered: the export is compared with the ledger ──► claim 1, done 1, claim 2 … ──► end ──► start …
      └──────────────── or the end comes here already, while it recovers

The ledger lives here. What ends a sender is given: a kill, or a power cut of the disk under it.
"""

import fcntl
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec
from journeys.rig import parse_export
from torture.claims import WideLedger, has_packet, read_events
from torture.zygote import Zygote

from nissa.rollup.verify import verify_tiers

SENDER = Path(__file__).parent / "sender.py"
RECOVERY_TIMEOUT_S = 120.0
PATIENCE_S = 5.0  # with a sender that says nothing
PIPE_BYTES = 4_096  # a sender whose output is not read waits
LINES_MAX = 150  # two for each try of a claim
AGAIN_MAX = 4  # claims of each kind that are sent again after a start
End = Callable[[Any], None]  # given the process; it is dead and waited for afterwards


class Score(msgspec.Struct):
    """Counts of an attack. ends: processes ended from outside; in_recovery: those of them that were not ready yet."""

    ends: int = 0
    in_recovery: int = 0
    checks: int = 0
    acknowledged: int = 0
    refused: int = 0
    again: int = 0  # tries of claims that had been tried before
    files: int = 0  # blocks and series segments written
    windows: int = 0  # of all tiers, computed again at the end
    recovery_s: list[float] = []

    def __str__(self) -> str:
        times = sorted(self.recovery_s) or [0.0]
        return (
            f"ended {self.ends} times, {self.in_recovery} of them while recovering; {self.checks} exports compared; "
            f"{self.files} blocks and series files written; {self.windows} windows of the ladder computed again, 0 "
            f"differ; acknowledged {self.acknowledged} claims of 20 samples, every third with a packet; "
            f"{self.again} times one was sent again; lost 0, altered 0, invented 0, taken twice 0; recovery p50 "
            f"{times[len(times) // 2]:.2f} s, p99 {times[len(times) * 99 // 100]:.2f} s"
        )


class Attack:
    """A directory under attack, and the ledger of what it owes."""

    def __init__(self, zygote: Zygote, directory: Path, outside: Path, seed: int, score: Score) -> None:
        """directory: the attacked one. outside: a directory that is not attacked."""
        self.directory = directory
        self.ledger = WideLedger(seed)
        self.score = score
        self._outside = outside
        self._zygote = zygote
        self._draw = random.Random(seed)
        self._stored = 0  # as the last one that recovered said

    def once(self, end: End, *, in_recovery: bool) -> None:
        """Start a sender and end it: after some lines of its sending, or while it recovers."""
        export_file = self._outside / "export.jsonl"
        export_file.unlink(missing_ok=True)
        process = self._start(export_file)
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._follow(process, end, export_file, in_recovery)
        except BaseException:  # raised again; no process may hold the attacked disk
            kill(process)
            raise
        finally:
            process.stdout.close()

    def _follow(self, process: Any, end: End, export_file: Path, in_recovery: bool) -> None:
        began_s = time.monotonic()
        lines = Lines(process.stdout)
        recovered = self._read(lines, self._draw.uniform(0.001, 0.06) if in_recovery else RECOVERY_TIMEOUT_S, True)
        if recovered:
            self.score.recovery_s.append(time.monotonic() - began_s)
            self.score.checks += 1
            found, events = parse_export(export_file.read_bytes()), read_events(Path(f"{export_file}.events"))
            self.ledger.check(found)
            self.ledger.check_packets(found, events)
            there = sum(map(len, found.values())) + len(events)
            assert self._stored == there, f"seed {self.ledger.seed}: stored {self._stored}, there {there}"
            self._read(lines, PATIENCE_S, False, self._draw.randrange(LINES_MAX))
            time.sleep(self._draw.uniform(0, 0.004))
        elif not in_recovery:
            raise AssertionError(f"seed {self.ledger.seed}: it did not recover; see {self._outside / 'sender.log'}")
        self.score.ends += 1
        self.score.in_recovery += not recovered
        end(process)
        self._read(lines, 10.0, False)

    def look(self) -> None:
        """Behind the last end: how many blocks have been named here, and whether the ladder says what samples say."""
        numbers = [
            int(path.name.partition(".")[0].rpartition("-")[2]) for path in (self.directory / "blocks").glob("*-*")
        ]
        self.score.files += max(numbers, default=0)
        for tier in verify_tiers(self.directory):
            assert not tier.count, f"seed {self.ledger.seed}: {tier.name}: {tier.differences}"
            self.score.windows += tier.windows

    def _start(self, export_file: Path) -> Any:
        ledger = self.ledger
        numbers = (ledger.seed, ledger.base_ms, max(ledger.claimed, default=0) + 1)
        again = ",".join(f"{claim}:{ledger.tries[claim]}" for claim in self._again())
        command = [sys.executable, str(SENDER), str(self.directory), str(export_file), *map(str, numbers), again]
        with (self._outside / "sender.log").open("ab") as log:
            return self._zygote.start(command, stdout=subprocess.PIPE, stderr=log, env=os.environ)

    def _again(self) -> list[int]:
        """Claims to send again: some without an answer, the last acknowledged ones, and some at random."""
        owed = sorted(claim for claim in self.ledger.acknowledged if has_packet(claim))
        unknown = sorted(self.ledger.claimed - self.ledger.acknowledged)
        some = self._draw.sample(owed, min(AGAIN_MAX, len(owed)))
        return sorted({*unknown[-AGAIN_MAX:], *owed[-AGAIN_MAX:], *some})

    def _read(self, lines: "Lines", seconds: float, until_recovered: bool, lines_max: int = 2**31) -> bool:
        """Note lines for ``seconds`` at most; True once the process reports that it has recovered."""
        end_s = time.monotonic() + seconds
        for _ in range(lines_max):
            left_s = end_s - time.monotonic()
            line = lines.next(left_s) if left_s > 0 else None
            if line is None:
                return False
            word, _, rest = line.partition(" ")
            if word == "recovered":
                stored, _, unaccounted = rest.partition(" ")
                assert not unaccounted, f"seed {self.ledger.seed}: unaccounted {unaccounted}"
                self._stored = int(stored)
                if until_recovered:
                    return True
            elif word == "claim":
                self.score.again += self.ledger.begin(int(rest)) > 1
            elif word == "done":
                self.score.acknowledged += int(rest) not in self.ledger.acknowledged
                self.ledger.oblige(int(rest))
            else:
                self.score.refused += 1
        return False


class Lines:
    """Whole lines of a pipe, with patience."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._fd = pipe.fileno()
        self._poll = select.poll()  # select() takes no descriptor from 1,024 on, which other tests of the process reach
        self._poll.register(self._fd, select.POLLIN)
        self._read = b""

    def next(self, patience_s: float) -> str | None:
        """The next line; None where none comes in time, or none any more."""
        while b"\n" not in self._read:
            ready = self._poll.poll(max(patience_s, 0.0) * 1_000)
            data = os.read(self._fd, 65_536) if ready else b""
            if not data:
                return None
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()


def kill(process: Any) -> None:
    """SIGKILL."""
    process.kill()
    process.wait()
