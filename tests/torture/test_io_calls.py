"""Every I/O call of a workload that takes, seals, folds, merges and trims: killed before or behind, failing, cut short.

A-02, A-03: SIGKILL before and after each call. D0-07: fdatasync and fsync. D0-08: writes. D0-10: open, rename, unlink,
fallocate, ftruncate. C-01: no space at each call. D0-01, on a simulated disk: what was not synced is forgotten, sector
by sector, as a device with a cache of its own does (a loop device has none, so ``test_attacks.py`` cannot).
SQLite's calls and Arrow's are among them.
"""

import errno
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from torture.amount import amount, told
from torture.faults import (
    COUNT,
    FAIL_A_WHILE,
    FAIL_ON,
    FAIL_ONCE,
    KILL_AFTER,
    KILL_BEFORE,
    POWER_CUT,
    SHORT,
    Fault,
    Run,
    compiled,
    run,
)
from torture.workload import check
from torture.zygote import Zygote

pytestmark = pytest.mark.slow

KINDS = {
    "killed before it": (KILL_BEFORE, 0),
    "killed behind it": (KILL_AFTER, 0),
    "EIO once": (FAIL_ONCE, errno.EIO),
    "EIO from then on": (FAIL_ON, errno.EIO),
    "EIO for a while": (FAIL_A_WHILE, errno.EIO),
    "ENOSPC once": (FAIL_ONCE, errno.ENOSPC),
    "ENOSPC from then on": (FAIL_ON, errno.ENOSPC),
    "EDQUOT once": (FAIL_ONCE, errno.EDQUOT),
    "EROFS from then on": (FAIL_ON, errno.EROFS),
    "EMFILE once": (FAIL_ONCE, errno.EMFILE),
    "a sector written from then on": (SHORT, 0),
    "power cut, seed 1": (POWER_CUT, 1),
    "power cut, seed 2": (POWER_CUT, 2),
    "power cut, seed 3": (POWER_CUT, 3),
}


def named(calls: list[tuple[str, str]]) -> set[str]:
    """The places where something was done, digits left out: ``fdatasync journal/#.journal``."""
    return {f"{name} {''.join('#' if letter.isdigit() else letter for letter in path)}" for name, path in calls}


def synced_again(made: Run, number: int) -> int:
    """Number of writes and syncs of a journal segment after its own write or sync failed, before it was opened anew."""
    name, path = made.calls[number - 1]
    if not path.startswith("journal/") or name not in ("fdatasync", "fsync", "pwritev"):
        return 0
    later = made.calls[number:]
    fresh = next((place for place, call in enumerate(later) if call == ("open", path)), len(later))
    return sum(call in (("fdatasync", path), ("fsync", path), ("pwritev", path)) for call in later[:fresh])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", list(KINDS)[:: amount("NISSA_TORTURE_KINDS_STEP", quick=2, full=1)])
def test_no_call_costs_anything_acknowledged(tmp_path: Path, kind: str) -> None:
    """Whichever call is hit, the directory opens again with everything acknowledged, and nothing else."""
    library = compiled(tmp_path)
    what, code = KINDS[kind]
    stride = amount("NISSA_TORTURE_STRIDE", quick=227, full=1)
    ends: Counter[int] = Counter()
    places: set[str] = set()
    again = 0
    with Zygote({"LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {library}"}) as zygote:
        clean = run(zygote, library, Fault(COUNT), tmp_path / "clean", tmp_path / "clean.notes")
        assert clean.code == 0
        check(tmp_path / "clean", tmp_path / "clean.notes")
        first = 1 + list(KINDS).index(kind) * 7 % stride  # a quick run meets other calls with each kind
        points = range(first, len(clean.calls) + 1, stride)
        for number in points:
            directory, notes = tmp_path / f"d{number}", tmp_path / f"n{number}.notes"
            made = run(zygote, library, Fault(what, number, code), directory, notes)
            assert made.code != -signal.SIGABRT, f"{kind} at call {number}: it hangs"
            ends[made.code] += 1
            places |= named(made.calls[number - 1 : number])
            if what == FAIL_ONCE and len(made.calls) >= number:
                again += synced_again(made, number)
            check(directory, notes)
            shutil.rmtree(directory)
            if ends.total() % 50 == 0:
                told(f"calls {kind} so far", f"{ends.total()} of {len(points)}")
    assert len(points) > 1
    assert again == 0
    told(
        f"calls {kind}",
        f"{len(points)} of {len(clean.calls)} calls, {len(places)} kinds of place, ends {dict(ends)}, lost 0, "
        f"altered 0, invented 0, hangs 0, failed segments written or synced again {again}",
    )
