"""A small fixed workload on an embedded engine, for sweeps that kill it at every system call.

    python workload.py DATA_DIR LEDGER_FILE [SEALS]

Each body is claimed in the ledger file before and noted there after its receipt, one line each, on a file outside the
directory that is being attacked. The seed is fixed: two runs make the same calls.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

import nissa
from nissa.config.tree import Acceptance, Config, Storage
from nissa.model.errors import Unavailable
from nissa.model.frame import Codec, Encoding

sys.path.insert(0, str(Path(__file__).parents[1]))

from journeys.rig import Ledger

BASE_MS = 1_700_000_000_000
BODIES_BEFORE, BODIES_AFTER = 4, 3
MERGE_WAITS = 100
CONFIG = Config(
    storage=Storage(
        segment_bytes=256 * 1024, seal_interval_ms=3_600_000, free_bytes_min=0, free_percent_min=0, compaction_fan_in=2
    ),
    acceptance=Acceptance(past_ms=100 * 365 * 86_400_000, event_past_ms=100 * 365 * 86_400_000),
)


def ledger_of() -> Ledger:
    """The ledger both sides compute bodies from."""
    ledger = Ledger(7)
    ledger.base_ms = BASE_MS
    return ledger


def main(data_dir: str, notes: str, seals: str = "1") -> None:
    """Open; send and seal, so many times; wait for merges; send; close. What is refused is not noted as done."""
    out = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ledger = ledger_of()

    def send(engine: "nissa.Engine") -> None:
        claim = ledger.claim()
        os.write(out, f"claim {claim}\n".encode())
        with contextlib.suppress(Unavailable):
            engine.ingest(ledger.body(claim), Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
            os.write(out, f"done {claim}\n".encode())

    with nissa.Engine(data_dir, CONFIG) as engine:
        for _ in range(int(seals)):
            for _ in range(BODIES_BEFORE):
                send(engine)
            with contextlib.suppress(Unavailable):
                engine.flush()
        wait_merged(Path(data_dir))
        for _ in range(BODIES_AFTER):
            send(engine)


def wait_merged(directory: Path) -> None:
    """Wait until there are too few blocks to merge, for a while at most: a disk that fails may never let them."""
    for _ in range(MERGE_WAITS):
        if len(list((directory / "blocks").glob("raw-*"))) <= CONFIG.storage.compaction_fan_in:
            return
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
