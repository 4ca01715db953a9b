"""The process to kill: an engine that exports all it recovered, then takes claims as fast as it can until the end.

    python sender.py DATA_DIR EXPORT_FILE SEED BASE_MS FIRST_CLAIM AGAIN

AGAIN: claims of earlier lives that are sent again first, with how often they were begun: ``3:1,9:4``. One line each on
standard output, of which nobody needs to believe more than that it was written: ``recovered`` once the export is whole,
of samples and events, with how many records the accounts call stored, and what they miss; ``claim N`` before a try of
it is handed in, ``done N`` behind its receipts, ``refused N`` where one got none.
"""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path

import nissa
from nissa.model.errors import NissaError
from nissa.model.selector import read_selectors
from nissa.query.events import EventRequest, read_event_table
from nissa.query.export import export_samples
from nissa.query.export_form import ExportForm

sys.path.insert(0, str(Path(__file__).parents[1]))

from torture.claims import CONFIG, WideLedger, has_packet

THREADS = 3
AGAIN_BEHIND = 30  # claims: several seals
WHOLE = (-(2**63), 2**63 - 1)


def tell(word: str, claim: int | str = "") -> None:
    """Write a line, in one piece."""
    os.write(1, f"{word} {claim}\n".encode())


class Senders:
    """Threads that send claims without end, packets among them again and again."""

    def __init__(self, engine: nissa.Engine, ledger: WideLedger, first_claim: int) -> None:
        self._engine = engine
        self._ledger = ledger
        self._first_claim = first_claim
        self._again = list(ledger.tries)
        self._lock = threading.Lock()

    def run(self) -> None:
        """One thread: first the claims of earlier lives, then new ones."""
        while True:
            try:
                claim = self._again.pop()
            except IndexError:
                claim = self._ledger.claim()
            self._send(claim)
            if has_packet(claim) and claim % 2:
                self._send(claim)  # at once
            earlier = (claim - AGAIN_BEHIND) // 3 * 3
            if claim % 8 == 0 and earlier >= self._first_claim:
                self._send(earlier)  # behind a seal, or several

    def _send(self, claim: int) -> None:
        with self._lock:  # tries are printed in the order of their numbers
            number = self._ledger.begin(claim)
            tell("claim", claim)
        try:
            for body, codec, encoding in self._ledger.bodies(claim, number):
                self._engine.ingest(body, codec, encoding)
        except NissaError as error:
            tell("refused", f"{claim} {type(error).__name__}")
            threading.Event().wait(0.01)
        else:
            tell("done", claim)


def export_all(engine: nissa.Engine, path: str) -> None:
    """Export everything the engine has to a file outside of the attacked directory."""
    with Path(path).open("wb") as file:
        file.writelines(export_samples(engine, read_selectors('{job="ledger"}'), WHOLE, ExportForm.JSONL))
    events = read_event_table(engine.event_snapshot(), EventRequest()).select(["event_id", "description"]).to_pylist()
    Path(f"{path}.events").write_text("".join(f"{json.dumps(event)}\n" for event in events))


def main(data_dir: str, export_file: str, seed: str, base_ms: str, first_claim: str, again: str) -> None:
    """Recover, export, send."""
    ledger = WideLedger(int(seed))
    ledger.base_ms = int(base_ms)
    ledger.claim_from(int(first_claim))
    for pair in filter(None, again.split(",")):
        claim, tries = pair.split(":")
        ledger.tries[int(claim)] = int(tries)
    engine = nissa.Engine(data_dir, CONFIG)
    export_all(engine, export_file)
    tallies = engine.accounting()
    unaccounted = {source: counters.unaccounted for source, counters in tallies.items() if counters.unaccounted}
    tell("recovered", f"{sum(counters.stored for counters in tallies.values())} {unaccounted or ''}")
    senders = Senders(engine, ledger, int(first_claim))
    threads = [threading.Thread(target=senders.run, daemon=True) for _ in range(THREADS)]
    with contextlib.suppress(KeyboardInterrupt):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
