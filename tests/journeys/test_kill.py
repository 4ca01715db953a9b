"""Kill -9 under load, again and again: nothing acknowledged is lost, altered or invented."""

import os
import random
import time
from pathlib import Path

from journeys.rig import Ledger, Senders, running

LOOPS = int(os.environ.get("NISSA_KILLS", "50"))


def test_no_acknowledged_sample_is_lost_over_many_kills(tmp_path: Path) -> None:
    """A daemon killed at random moments while three senders write loses nothing that it acknowledged."""
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}")
    draw = random.Random(seed)
    ledger = Ledger(seed)
    # Small segments and early seals, so that kills meet every kind of file being written.
    environment = {
        "NISSA_STORAGE__SEAL_INTERVAL_MS": "400",
        "NISSA_STORAGE__SEGMENT_BYTES": str(1 << 20),
        "NISSA_INGEST__BODY_BYTES_MAX": str(1 << 19),
        "NISSA_STORAGE__COMPACTION_FAN_IN": "3",
    }
    for _ in range(LOOPS):
        with running(tmp_path / "data", environment=environment) as daemon:
            senders = Senders(daemon, ledger)
            time.sleep(draw.uniform(0.1, 1.2))
            daemon.kill()
            senders.stop()
    with running(tmp_path / "data", environment=environment) as daemon:
        ledger.check(daemon.export())
        balance = daemon.get("/api/v1/accounting")
        assert all(source["residue"] == 0 for source in balance["data"]["sources"].values())
        assert daemon.stop() == 0
    assert len(ledger.acknowledged) > LOOPS
    print(f"kills {LOOPS}, acknowledged {len(ledger.acknowledged)} requests, lost 0")
