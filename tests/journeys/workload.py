"""A small fixed workload on an embedded engine, for sweeps that kill it at every system call.

    python workload.py DATA_DIR LEDGER_FILE

Each body is claimed in the ledger file before and noted there after its receipt, one line each, on a file outside the
directory that is being attacked. The seed is fixed: two runs make the same calls.
"""

import os
import sys
from pathlib import Path

import nissa
from nissa.config.tree import Acceptance, Config, Storage
from nissa.model.frame import Codec, Encoding

sys.path.insert(0, str(Path(__file__).parents[1]))

from journeys.rig import Ledger

BASE_MS = 1_700_000_000_000
BODIES_BEFORE, BODIES_AFTER = 4, 3
CONFIG = Config(
    storage=Storage(segment_bytes=256 * 1024, seal_interval_ms=3_600_000, free_bytes_min=0),
    acceptance=Acceptance(past_ms=100 * 365 * 86_400_000),
)


def ledger_of() -> Ledger:
    """The ledger both sides compute bodies from."""
    ledger = Ledger(7)
    ledger.base_ms = BASE_MS
    return ledger


def main(data_dir: str, notes: str) -> None:
    """Open, send, seal, send, close."""
    out = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ledger = ledger_of()

    def send(engine: "nissa.Engine") -> None:
        claim = ledger.claim()
        os.write(out, f"claim {claim}\n".encode())
        engine.ingest(ledger.body(claim), Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
        os.write(out, f"done {claim}\n".encode())

    with nissa.Engine(data_dir, CONFIG) as engine:
        for _ in range(BODIES_BEFORE):
            send(engine)
        engine.flush()
        for _ in range(BODIES_AFTER):
            send(engine)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
