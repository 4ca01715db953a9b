"""A small fixed workload that meets every kind of file: for sweeps that hit it at every I/O call.

    python workload.py DATA_DIR NOTES_FILE

    open ─► 4 claims ─► seal, ladder ─► 4 claims ─► again ─► merges ─► 3 claims ─► close        (claims 30 min apart)

It writes raw blocks, blocks of windows of three tiers, late windows, events, series and the catalogue, fills journal
segments and trims them. Each claim is noted before it is sent, and again behind its receipts, in a file outside of the
directory. What it waits for are states, for a while at most: a disk that fails may never let them come.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import nissa
from nissa.model.errors import Unavailable
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from nissa.rollup.verify import verify_tiers

sys.path.insert(0, str(Path(__file__).parents[1]))

from journeys.rig import parse_export
from torture import claims
from torture.claims import WideLedger

BASE_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
SEALS, CLAIMS_A_SEAL, CLAIMS_AFTER = 2, 4, 3
WAITS = 100
CONFIG = msgspec.structs.replace(
    claims.CONFIG,
    storage=msgspec.structs.replace(
        claims.CONFIG.storage,
        segment_bytes=2 * KIB,
        seal_interval_ms=HOUR_MS,
        seal_samples=1_000_000,
        compaction_fan_in=2,
        scrub_interval_ms=HOUR_MS,
    ),
)


class FixedLedger(WideLedger):
    """The ledger both sides compute bodies from: few claims over four hours."""

    def __init__(self) -> None:
        super().__init__(7)
        self.base_ms = BASE_MS

    def time_ms(self, claim: int) -> int:
        """30 minutes apart, each seventh two hours late."""
        return self.base_ms + claim * 30 * MINUTE_MS - (2 * HOUR_MS - 7 if claim % 7 == 0 else 0)


def main(data_dir: str, notes: str) -> None:
    """Open; send and seal; wait for ladder and merges; send; close. What is refused is not noted as done."""
    out = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    ledger = FixedLedger()

    def send(engine: nissa.Engine) -> None:
        claim = ledger.claim()
        os.write(out, f"claim {claim}\n".encode())
        with contextlib.suppress(Unavailable):
            for body, codec, encoding in ledger.bodies(claim):
                engine.ingest(body, codec, encoding)
            os.write(out, f"done {claim}\n".encode())

    with nissa.Engine(data_dir, CONFIG) as engine:
        for _ in range(SEALS):
            for _ in range(CLAIMS_A_SEAL):
                send(engine)
            with contextlib.suppress(Unavailable):
                engine.flush()
            wait_until(lambda: ladder_is_written(engine))
        blocks = Path(data_dir) / "blocks"
        wait_until(lambda: len(list(blocks.glob("raw-*"))) <= CONFIG.storage.compaction_fan_in)
        for _ in range(CLAIMS_AFTER):
            send(engine)


def ladder_is_written(engine: nissa.Engine) -> bool:
    """Whether all that is sealed is folded."""
    status = engine.status()
    return bool(status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"])


def wait_until(there: Callable[[], bool]) -> None:
    """Wait for it, for a while at most."""
    for _ in range(WAITS):
        if there():
            return
        time.sleep(0.01)


def noted(notes: Path) -> WideLedger:
    """A ledger as the notes have it."""
    ledger = FixedLedger()
    for line in notes.read_text().splitlines() if notes.exists() else []:
        word, claim = line.split()
        (ledger.claimed if word == "claim" else ledger.acknowledged).add(int(claim))
    return ledger


def check(directory: Path, notes: Path) -> None:
    """Open what is left; compare samples and events with the notes, and the ladder with the samples."""
    ledger, sink = noted(notes), io.BytesIO()
    with nissa.Engine(directory, CONFIG):
        pass
    with nissa.open(directory) as reader:
        reader.export(sink, '{job="ledger"}')
        events = reader.events().select(["event_id", "description"]).to_pylist()
    ledger.check(parse_export(sink.getvalue()))
    ledger.check_events(events)
    for tier in verify_tiers(directory):
        assert not tier.count, f"{tier.name}: {tier.differences}"


if __name__ == "__main__":
    main(*sys.argv[1:])
