"""D0-13: single bits flipped in every kind of file. Nothing altered is ever served; missing rows are reported.

journal     every bit of small journals: a frame comes back as it was, or not at all and counted
blocks      bits of raw blocks: the file is refused as damaged
files       bits of blocks of every kind and of series, read back as the background scrub does
directory   bits of all files of a directory, the catalogue included, read as a whole from outside
"""

import io
import os
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from journeys.rig import parse_export
from torture import workload
from torture.amount import amount, told
from torture.claims import WideLedger, has_packet

import nissa
from nissa.catalogue.catalogue import Catalogue
from nissa.journal.journal import Journal
from nissa.journal.recovery import RecoveryReport, read_journal
from nissa.maintenance.scrub import ScrubbedFile, read_back
from nissa.model.columns import SampleBatch
from nissa.model.durability import FSYNC
from nissa.model.errors import Damaged, NissaError
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.slices import run_whole
from nissa.store.blocks import BlockWriter, read_block

pytestmark = pytest.mark.slow

ALWAYS = (-(2**63), 2**63 - 1)
FRAMES = 4


def flips(path: Path, bits: Iterator[int]) -> Iterator[int]:
    """Each bit in turn, flipped on disk until the next one is asked for."""
    data = path.read_bytes()
    fd = os.open(path, os.O_RDWR)
    try:
        for bit in bits:
            at = bit // 8
            os.pwrite(fd, bytes([data[at] ^ 1 << bit % 8]), at)
            yield bit
            os.pwrite(fd, data[at : at + 1], at)
    finally:
        os.close(fd)


def small_journal(directory: Path, rng: random.Random) -> dict[int, Frame]:
    """Two segments, as a kill leaves the second; the frames by LSN."""
    frames: dict[int, Frame] = {}
    tail = None
    for _ in range(2):
        journal = Journal(directory, durability=FSYNC, segment_bytes=4_096, clock=lambda: 7, tail=tail)
        for _ in range(FRAMES):
            body = rng.randbytes(rng.randrange(1, 60))
            frame = Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, rng.randrange(1 << 40), body)
            frames[journal.append(frame, 0)] = frame
            journal.commit()
        journal.close()
        report = RecoveryReport()
        assert len(list(read_journal(directory, 0, report))) == len(frames)
        tail = report.tail
    return frames


def fate(directory: Path, frames: dict[int, Frame], intact: int) -> str:
    """The effect of damage on reading. Raises: AssertionError where a frame is altered, or lost without a report."""
    report = RecoveryReport()
    try:
        found = {entry.lsn: entry.frame for entry in read_journal(directory, 0, report)}
    except NissaError:
        return "refused"
    assert found.items() <= frames.items(), "a frame was altered or invented"
    missing = len(frames) - len(found)
    if not missing:
        return "header" if report.damaged_headers else "harmless"
    assert missing == 1, f"one bit cost {missing} frames"
    assert report.rot_frames or report.torn_bytes != intact, "a frame is gone, and nothing is told"
    return "rot" if report.rot_frames else "torn"


@pytest.mark.timeout(0)
def test_flipped_bits_of_a_journal(tmp_path: Path) -> None:
    """Each flip costs one frame at most, which is reported; every other frame is read as it was written."""
    wanted, seed = amount("NISSA_TORTURE_JOURNAL_FLIPS", quick=3_000, full=520_000), random.randrange(1 << 30)
    rng = random.Random(seed)
    print(f"seed {seed}")
    fates: Counter[str] = Counter()
    while fates.total() < wanted:
        directory = tmp_path / str(fates.total())
        frames = small_journal(directory, rng)
        report = RecoveryReport()
        list(read_journal(directory, 0, report))
        for path in sorted(directory.glob("*.journal")):
            for _ in flips(path, iter(range(8 * path.stat().st_size))):
                fates[fate(directory, frames, report.torn_bytes)] += 1
        shutil.rmtree(directory)
        told("D0-13 journal so far", str(fates.total()))
    told("D0-13 journal", f"{fates.total()} bits flipped: {dict(fates)}; served altered 0, lost untold 0")


@pytest.mark.timeout(0)
def test_flipped_bits_of_blocks(tmp_path: Path) -> None:
    """Every flip is reported as damage of the block before a single row of it is served."""
    wanted, rng = (
        amount("NISSA_TORTURE_BLOCK_FLIPS", quick=1_000, full=260_000),
        random.Random(random.randrange(1 << 30)),
    )
    detected = 0
    (tmp_path / "blocks").mkdir()
    while detected < wanted:
        rows = rng.randrange(1, 40)
        series, ts_ms = np.arange(rows, dtype=np.uint32), np.full(rows, rng.randrange(1 << 40), np.int64)
        writer = BlockWriter(tmp_path, detected + 1, level=0, created_ms=0)
        writer.write(SampleBatch(series, ts_ms, np.frombuffer(rng.randbytes(8 * rows), np.float64)))
        block = writer.finish(1, 1)
        path = tmp_path / block.path
        for _ in flips(path, iter(range(8 * path.stat().st_size))):
            with pytest.raises(Damaged):
                list(read_block(tmp_path, block, None, *ALWAYS))
            detected += 1
            if detected >= wanted:
                break
        path.unlink()
        told("D0-13 blocks so far", str(detected))
    told("D0-13 blocks", f"{detected} bits flipped: {detected} detected, served altered 0")


@pytest.mark.timeout(0)
def test_flipped_bits_of_every_file(tmp_path: Path) -> None:
    """Blocks of samples, of windows of each tier, of events, and series: reading back detects every flipped bit."""
    directory = tmp_path / "data"
    workload.main(str(directory), str(tmp_path / "notes"))
    catalogue = Catalogue.open(directory, readonly=True)
    files: list[ScrubbedFile] = [*catalogue.blocks(), *catalogue.series_segments()]
    catalogue.close()
    stride, rng = amount("NISSA_TORTURE_FILE_STRIDE", quick=499, full=1), random.Random(12)
    detected: Counter[str] = Counter()
    for file in files:
        path = directory / file.path
        assert run_whole(read_back(directory, file)) == ""
        kind = path.stem.rpartition("-")[0]
        for _ in flips(path, iter(range(rng.randrange(stride), 8 * path.stat().st_size, stride))):
            assert run_whole(read_back(directory, file)), f"{file.path}: a flipped bit is not told"
            detected[kind] += 1
        told("D0-13 files read back so far", str(detected.total()))
    told("D0-13 files read back", f"{detected.total()} bits flipped, all detected: {dict(sorted(detected.items()))}")
    assert {"raw", "events", "series", "1m", "5m", "10m"} <= detected.keys()


class Sound(msgspec.Struct):
    """The content of an undamaged directory."""

    ledger: WideLedger
    samples: set[tuple[object, int]]
    events: set[str]
    windows: set[str]


def outcome(directory: Path, sound: Sound) -> str:
    """The effect of damage on a reader of the directory: refused, altered, less or harmless."""
    sink = io.BytesIO()
    try:
        with warnings.catch_warnings(), nissa.open(directory) as reader:
            warnings.simplefilter("ignore")
            reader.export(sink, '{job="ledger"}')
            events = {str(row) for row in reader.events().to_pylist()}
            tables = [reader.samples('{job="ledger"}', resolution=tier) for tier in ("1m", "5m", "10m")]
    except NissaError:
        return "refused"
    except Exception as error:  # refused too, but not in the words of an operator
        return f"refused with {type(error).__name__}"
    found = parse_export(sink.getvalue())
    windows = {str(row) for table in tables for row in table.to_pylist()}
    try:
        sound.ledger.check(found)
    except AssertionError:
        return "altered"
    if not events <= sound.events or not windows <= sound.windows:
        return "altered"
    there = {(labels, ts_ms) for labels, series in found.items() for ts_ms in series}
    return "harmless" if (there, events, windows) == (sound.samples, sound.events, sound.windows) else "less"


def sound_of(directory: Path, notes: Path) -> Sound:
    """Read the content of an undamaged directory."""
    ledger = workload.noted(notes)
    ledger.acknowledged.clear()  # outcome() finds missing samples
    sink = io.BytesIO()
    with nissa.open(directory) as reader:
        reader.export(sink, '{job="ledger"}')
        events = {str(row) for row in reader.events().to_pylist()}
        tables = [reader.samples('{job="ledger"}', resolution=tier) for tier in ("1m", "5m", "10m")]
    samples = {(labels, ts_ms) for labels, series in parse_export(sink.getvalue()).items() for ts_ms in series}
    assert len(samples) == sum(20 + 2 * has_packet(claim) for claim in ledger.claimed)
    return Sound(ledger, samples, events, {str(row) for table in tables for row in table.to_pylist()})


@pytest.mark.timeout(0)
def test_flipped_bits_of_a_whole_directory(tmp_path: Path) -> None:
    """Bits of any file, catalogue and settings too: read from outside, nothing is served otherwise than it was sent."""
    wanted, rng = amount("NISSA_TORTURE_DIRECTORY_FLIPS", quick=60, full=2_400), random.Random(11)
    directory, notes = tmp_path / "data", tmp_path / "notes"
    workload.main(str(directory), str(notes), repetitions="")  # what rot takes of a journal makes them new
    sound = sound_of(directory, notes)
    assert outcome(directory, sound) == "harmless"
    fates: Counter[str] = Counter()
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.stat().st_size]
    for path in files:
        for _ in flips(path, (rng.randrange(8 * path.stat().st_size) for _ in range(-(-wanted // len(files))))):
            kind = path.parent.name if path.parent != directory else path.name
            fates[f"{kind} {outcome(directory, sound)}"] += 1
    told("D0-13 directory", f"{fates.total()} bits flipped: {dict(sorted(fates.items()))}")
    assert not [name for name in fates if name.endswith("altered")], fates
