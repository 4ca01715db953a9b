"""Data directories for tests of the store: sealed from lists of samples, read back as lists of samples."""

from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.files.names import JOURNAL
from nissa.journal.recovery import RecoveryReport, read_journal
from nissa.model.columns import SampleBatch
from nissa.model.counters import Tallies
from nissa.store.bands import KeysOf
from nissa.store.garbage import Garbage, clear_orphans, find_orphans
from nissa.store.read import Snapshot, stream_samples
from nissa.store.seal import HighWaterMarks, Sealed, SealInput, write_seal
from oracle.columns import Sample

ALWAYS = (-(2**63), 2**63 - 1)


def batch_of(samples: list[Sample]) -> SampleBatch:
    """Samples as columns."""
    return SampleBatch(
        np.array([sample[0] for sample in samples], np.uint32),
        np.array([sample[1] for sample in samples], np.int64),
        np.array([sample[2] for sample in samples], np.uint64).view(np.float64),
    )


def samples_of(batch: SampleBatch) -> list[Sample]:
    """Columns as samples."""
    bits = batch.value.view(np.uint64).tolist()
    return list(zip(batch.series.tolist(), batch.ts_ms.tolist(), bits, strict=True))


def collect_garbage(directory: Path, catalogue: Catalogue) -> Garbage:
    """Clear files without a row, as a start does."""
    orphans, report = find_orphans(directory, catalogue), RecoveryReport()
    for _ in read_journal(directory / JOURNAL, catalogue.checkpoint().lsn, report):
        pass
    return clear_orphans(directory, orphans, report)


class Directory:
    """A data directory and what a sealer keeps beside it."""

    def __init__(self, path: Path, keys_of: KeysOf | None = None) -> None:
        """keys_of: keys of metrics, where blocks are written in bands."""
        self.path = path
        self.keys_of = keys_of
        self.catalogue = Catalogue.open(path)
        self.horizon = HighWaterMarks(self.catalogue.blocks(), 2**12)
        self.lsn = self.catalogue.checkpoint().lsn

    def write(self, samples: list[Sample], parts: int = 1) -> Sealed:
        """Write a seal without committing it."""
        size = -(-len(samples) // parts) or 1
        batches = [batch_of(samples[at : at + size]) for at in range(0, len(samples), size)]
        self.lsn += 1
        head = SealInput(batches, self.lsn, self.lsn, 1, keys_of=self.keys_of)
        return write_seal(self.path, self.catalogue, self.horizon, head)

    def seal(self, samples: list[Sample], parts: int = 1, tallies: Tallies | None = None) -> Sealed:
        """Write and commit a seal."""
        sealed = self.write(samples, parts)
        self.catalogue.commit_seal(Seal(Checkpoint(self.lsn, 0, tallies or {}), sealed.blocks, sealed.segment))
        self.horizon.advance(sealed)
        return sealed

    def blocks(self) -> list[BlockRow]:
        """Raw blocks."""
        return self.catalogue.blocks("raw")

    def snapshot(self, heads: list[list[Sample]] | None = None) -> Snapshot:
        """Blocks and heads at this moment."""
        return Snapshot(self.path, tuple(self.blocks()), tuple(batch_of(head) for head in heads or []))

    def export(self) -> list[Sample]:
        """Everything in blocks."""
        return [one for batch in stream_samples(self.snapshot(), None, *ALWAYS, 1_000) for one in samples_of(batch)]
