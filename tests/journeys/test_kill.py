"""Kill -9 under load, again and again: nothing acknowledged is lost, altered or invented."""

import os
import random
from pathlib import Path

from journeys.rig import Ledger, kill_loop

LOOPS = int(os.environ.get("NISSA_KILLS", "8"))


def test_no_acknowledged_sample_is_lost_over_many_kills(tmp_path: Path) -> None:
    """A daemon killed at random moments while three senders write loses nothing that it acknowledged."""
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}")
    ledger = Ledger(seed)
    kill_loop(tmp_path / "data", ledger, random.Random(seed), LOOPS)
    assert len(ledger.acknowledged) > LOOPS
    print(f"kills {LOOPS}, acknowledged {len(ledger.acknowledged)} requests, lost 0")
