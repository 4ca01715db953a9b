"""What is killed: an engine that exports all it recovered, then takes claims as fast as it can until somebody stops it.

    python sender.py DATA_DIR EXPORT_FILE SEED BASE_MS FIRST_CLAIM

One line each on standard output, of which nobody needs to believe more than that it was written: ``recovered`` once the
export is whole, of samples and events, ``claim N`` before its bodies are handed in, ``done N`` behind their receipts,
``refused N`` where one got none.
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
from nissa.query.events import EventQuestion, read_table
from nissa.query.export import export
from nissa.query.export_form import ExportForm

sys.path.insert(0, str(Path(__file__).parents[1]))

from torture.claims import CONFIG, WideLedger

THREADS = 3
WHOLE = (-(2**63), 2**63 - 1)


def tell(word: str, claim: int | str = "") -> None:
    """One line, in one piece."""
    os.write(1, f"{word} {claim}\n".encode())


def send(engine: nissa.Engine, ledger: WideLedger) -> None:
    """Claims without end."""
    while True:
        claim = ledger.claim()
        tell("claim", claim)
        try:
            for body, codec, encoding in ledger.bodies(claim):
                engine.ingest(body, codec, encoding)
        except NissaError as error:
            tell("refused", f"{claim} {type(error).__name__}")
            threading.Event().wait(0.01)
        else:
            tell("done", claim)


def export_all(engine: nissa.Engine, path: str) -> None:
    """Everything the engine has, into a file that is outside of what is attacked."""
    with Path(path).open("wb") as file:
        file.writelines(export(engine, read_selectors('{job="ledger"}'), WHOLE, ExportForm.JSONL))
    events = read_table(engine.event_snapshot(), EventQuestion()).select(["event_id", "description"]).to_pylist()
    Path(f"{path}.events").write_text("".join(f"{json.dumps(event)}\n" for event in events))


def main(data_dir: str, export_file: str, seed: str, base_ms: str, first_claim: str) -> None:
    """Recover, export, send."""
    ledger = WideLedger(int(seed))
    ledger.base_ms = int(base_ms)
    ledger.claim_from(int(first_claim))
    engine = nissa.Engine(data_dir, CONFIG)
    export_all(engine, export_file)
    residue = {source.name: tally.residue for source, tally in engine.accounting().items() if tally.residue}
    tell("recovered", str(residue) if residue else "")
    threads = [threading.Thread(target=send, args=(engine, ledger), daemon=True) for _ in range(THREADS)]
    with contextlib.suppress(KeyboardInterrupt):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
