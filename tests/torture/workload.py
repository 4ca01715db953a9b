"""A small fixed workload that meets every kind of file: for sweeps that hit it at every I/O call.

    python workload.py DATA_DIR NOTES_FILE [REPETITIONS]

    open ─► 4 claims ─► seal, ladder ─► 4 claims ─► again ─► merges ─► 3 claims ─► close        (claims 30 min apart)
              3, 3 again                  6              3, 6 again      9, 9 again             claims with packets

It writes raw blocks, blocks of windows of three tiers, late windows, events, series, dedup keys of packets and the
catalogue, fills journal segments and trims them. Each try of a claim is noted before it is sent, and again behind its
receipts, in a file outside of the directory. Packets are sent again whether they were taken or refused, by ``check``
too. It waits for states, but not for ever: on a failing disk they may never come.
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
from nissa.ingest import commit, sealing
from nissa.model.errors import Unavailable
from nissa.model.units import HOUR_MS, KIB, MINUTE_MS
from nissa.rollup.verify import verify_tiers

sys.path.insert(0, str(Path(__file__).parents[1]))

from journeys.rig import parse_export
from torture import claims
from torture.claims import TRIES_MAX, WideLedger, has_packet

BASE_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
SEALS, CLAIMS_A_SEAL, CLAIMS_AFTER = 2, 4, 3
WAIT_S, WAITS, WAITS_BROKEN = 0.002, 500, 50
commit.PROBE_S = sealing.RETRY_S = 0.01  # a disk that failed for a while is used again soon
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
        return self.base_ms + claim * 30 * MINUTE_MS - (2 * HOUR_MS - TRIES_MAX if claim % 7 == 0 else 0)


class Sender:
    """Sends claims and notes their fate. What is refused is not noted as done."""

    def __init__(self, engine: nissa.Engine, ledger: FixedLedger, notes: str) -> None:
        self._engine = engine
        self._ledger = ledger
        self._out = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._patient = True

    def send(self, claim: int) -> None:
        """One try of a claim, and another where it was refused, once there is hope again."""
        if not self._try(claim) and self._patient:
            wait_until(self._engine, self._hope)
            self._patient = self._hope() and self._try(claim)

    def _try(self, claim: int) -> bool:
        number = self._ledger.begin(claim)
        os.write(self._out, f"claim {claim}\n".encode())
        try:
            for body, codec, encoding in self._ledger.bodies(claim, number):
                self._engine.ingest(body, codec, encoding)
        except Unavailable:
            return False
        os.write(self._out, f"done {claim}\n".encode())
        return True

    def _hope(self) -> bool:
        return bool(self._engine.status().mode == "ready")

    def send_again(self) -> None:
        """Send every claim with a packet again, whatever its earlier outcome."""
        for claim in filter(has_packet, sorted(self._ledger.claimed)):
            self.send(claim)

    def close(self) -> None:
        """Close the notes."""
        os.close(self._out)


def main(data_dir: str, notes: str, repetitions: str = "repetitions") -> None:
    """Open; send and seal; wait for ladder and merges; send; close."""
    ledger = FixedLedger()
    with nissa.Engine(data_dir, CONFIG) as engine, contextlib.closing(Sender(engine, ledger, notes)) as sender:
        for _ in range(SEALS):
            send_some(sender, ledger, CLAIMS_A_SEAL, repetitions)
            with contextlib.suppress(Unavailable):
                engine.flush()
            wait_until(engine, lambda: ladder_is_written(engine))
        if repetitions:
            sender.send_again()
        blocks = Path(data_dir) / "blocks"
        wait_until(engine, lambda: len(list(blocks.glob("raw-*"))) <= CONFIG.storage.compaction_fan_in)
        send_some(sender, ledger, CLAIMS_AFTER, repetitions)


def send_some(sender: Sender, ledger: FixedLedger, count: int, repetitions: str) -> None:
    """New claims, every other packet twice."""
    for _ in range(count):
        claim = ledger.claim()
        sender.send(claim)
        if repetitions and has_packet(claim) and claim % 2:
            sender.send(claim)


def ladder_is_written(engine: nissa.Engine) -> bool:
    """True if all sealed samples are folded into the ladder."""
    status = engine.status().facts()
    return bool(status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"])


def wait_until(engine: nissa.Engine, there: Callable[[], bool]) -> None:
    """Wait for it: for a while at most, and not for what a disk that fails keeps from coming."""
    broken = 0
    for _ in range(WAITS):
        status = engine.status().facts()
        fails = status["mode"] != "ready" or status["ladder"]["last_error"] or status["seal"]["last_error"]
        broken += bool(fails)
        if there() or broken > WAITS_BROKEN:
            return
        time.sleep(WAIT_S)


def noted(notes: Path) -> FixedLedger:
    """A ledger as the notes have it."""
    ledger = FixedLedger()
    for line in notes.read_text().splitlines() if notes.exists() else []:
        word, claim = line.split()
        (ledger.begin if word == "claim" else ledger.oblige)(int(claim))
    return ledger


def check(directory: Path, notes: Path) -> None:
    """Open the directory, send packets again; compare samples and packets with the notes, the ladder with samples."""
    ledger, sink = noted(notes), io.BytesIO()
    with nissa.Engine(directory, CONFIG) as engine, contextlib.closing(Sender(engine, ledger, str(notes))) as sender:
        sender.send_again()
        stored = sum(counters.stored for counters in engine.accounting().values())
    ledger = noted(notes)
    with nissa.open(directory) as reader:
        reader.export(sink, '{job="ledger"}')
        events = reader.events().select(["event_id", "description"]).to_pylist()
    found = parse_export(sink.getvalue())
    ledger.check(found)
    ledger.check_packets(found, events)
    assert stored == sum(map(len, found.values())) + len(events)
    assert {claim for claim in ledger.claimed if has_packet(claim)} <= ledger.acknowledged
    for tier in verify_tiers(directory):
        assert not tier.count, f"{tier.name}: {tier.differences}"


if __name__ == "__main__":
    main(*sys.argv[1:])
