"""A-01: kill -9 at random moments under load, thousands of times; a ledger outside decides what had to be there.

Each round is a directory of its own with KILLS_A_ROUND kills; in a full run there are as many rounds as it takes.
"""

import os
import random
from pathlib import Path

import pytest
from journeys.rig import Ledger, kill_loop
from torture.amount import amount, told
from torture.zygote import Zygote

pytestmark = pytest.mark.slow

KILLS_A_ROUND = 50


@pytest.mark.timeout(0)
def test_kills_at_random_moments_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Whenever the daemon dies, acknowledged samples are there bit for bit, and none that were not sent."""
    first_seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    kills = amount("NISSA_TORTURE_KILLS", quick=5, full=2_000)
    starts_s: list[float] = []
    acknowledged = 0
    with Zygote() as zygote:
        for seed in range(first_seed, first_seed + -(-kills // KILLS_A_ROUND)):
            ledger = Ledger(seed)
            loops = min(KILLS_A_ROUND, kills - len(starts_s))
            starts_s += kill_loop(tmp_path / str(seed), ledger, random.Random(seed), loops, 0.6, zygote.start)
            acknowledged += len(ledger.acknowledged)
            told("A-01 so far", f"kills {len(starts_s)}, acknowledged {acknowledged} requests")
    starts_s.sort()
    told(
        "A-01",
        f"kills {len(starts_s)}, acknowledged {acknowledged} requests of 20 samples, lost 0, altered 0, invented 0; "
        f"start to ready p50 {starts_s[len(starts_s) // 2]:.2f} s, p99 {starts_s[len(starts_s) * 99 // 100]:.2f} s",
    )
