"""Cost of a commit of the catalogue: a seal, a merge and a cursor, in a directory of many blocks.

    python -m bench.catalogue [--blocks 10000]

Each line has the least and the median of the wall time and the median of the CPU time of 40 commits, in ms. Blocks are
rows only: their files are not needed.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.catalogue.state import State
from nissa.files.names import block_path
from nissa.ingest.following import StoredCursors
from nissa.journal.follower import Cursor

COMMITS = 40
PAGES = 140  # of 64 KiB: a block of 9 MB
SEEN_MINUTES = bytes(40_000)  # of 10,000 series


def block(number: int) -> BlockRow:
    """A raw block of 4 million samples."""
    times = (1_000 * number, 1_000 * number + 999)
    facts = (4_000_000, *times, 0, 9_999, number, number, number, PAGES << 16, number)
    return BlockRow(number, "raw", 0, block_path("raw", number), *facts, os.urandom(4 * PAGES))


def measure(name: str, commit: Callable[[int], None]) -> None:
    """Time COMMITS calls, the first one for warmth."""
    commit(0)
    wall_ms, cpu_ms = [], []
    for turn in range(1, COMMITS + 1):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        commit(turn)
        cpu_ms.append(1e3 * (time.process_time() - cpu_s))
        wall_ms.append(1e3 * (time.perf_counter() - wall_s))
    figures = f"min {min(wall_ms):6.2f}   median {statistics.median(wall_ms):6.2f}"
    print(f"{name:<10}{figures}   CPU {statistics.median(cpu_ms):6.2f}")


def main() -> None:
    """Fill a catalogue, then measure."""
    parser = argparse.ArgumentParser(description="Costs of catalogue and state commits.")
    parser.add_argument("--blocks", type=int, default=10_000)
    count = parser.parse_args().blocks
    with tempfile.TemporaryDirectory(dir=".") as place:
        catalogue = Catalogue.open(Path(place))
        catalogue.commit_seal(Seal(Checkpoint(1), tuple(block(number) for number in range(1, count + 1))))
        state = State.open(Path(place))
        cursors = StoredCursors(state)
        above = count + 1

        def seal(turn: int) -> None:
            catalogue.commit_seal(Seal(Checkpoint(turn, 10_000, {}, SEEN_MINUTES), (block(above + turn),)))

        def merge(turn: int) -> None:
            catalogue.replace_blocks((oldest[turn],), (block(above + 1_000 + turn),))

        measure("seal", seal)
        oldest = catalogue.blocks()[: COMMITS + 1]
        measure("merge", merge)
        measure("cursor", lambda turn: cursors.write("follower", Cursor(turn)))
        if catalogue.check():
            raise SystemExit("the catalogue does not say what was written")
        state.close()
        catalogue.close()


if __name__ == "__main__":
    main()
