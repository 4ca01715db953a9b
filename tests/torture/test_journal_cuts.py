"""D0-01, D0-02: the journal alone on the disk that forgets (``oracle/power_cut.py``), cut at random calls, many times.

``tests/journal/test_journal.py`` cuts at every call with three seeds; here the seeds of workload and disk go on and on.
"""

import random
import shutil
from pathlib import Path

import pytest
from journal.test_journal import check_recovery, run_until_cut
from torture.amount import amount, told

from nissa.model.durability import FSYNC
from oracle.power_cut import PowerCutDisk

pytestmark = pytest.mark.slow

CALLS = 70  # a workload makes about as many


@pytest.mark.timeout(0)
def test_power_cuts_of_a_simulated_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever unsynced writes the disk loses, all acknowledged frames are recovered, and none that was not sent."""
    cuts, seed = amount("NISSA_TORTURE_JOURNAL_CUTS", quick=60, full=3_000), random.randrange(1 << 30)
    print(f"seed {seed}")
    made = acknowledged = 0
    for number in range(seed, seed + cuts):
        directory, draw = tmp_path / str(number), random.Random(number)
        with monkeypatch.context() as patch:
            disk = PowerCutDisk(patch, draw)
            disk.cut_at = draw.randrange(1, CALLS)
            kept = run_until_cut(directory, disk, FSYNC, draw)
            made += disk.cut_at is None
            disk.forget()
        acknowledged += len(kept)
        check_recovery(directory, kept)
        shutil.rmtree(directory)
    told("D0-01 journal, simulated", f"cuts {made} of {cuts} workloads, acknowledged {acknowledged} frames, lost 0")
