"""The end of a journal damaged at every byte, read by readers and the engine: other acknowledged frames are there.

header │ frame │ frame │ … │ the last frame │ zeros
                           └── every byte of it: flipped, zeroed, cut off here
"""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from journeys.rig import Export, Ledger, connect, parse_export, post, running

import nissa
from nissa.config.tree import Config, Ingest, Storage
from nissa.model.frame import Codec, Encoding
from nissa.model.units import KIB
from nissa.query.reader import Reader

CLAIMS: Final = 4
# Readers meet every fifth damage of the last frame, and the engine every fifth of those.
READER_STRIDE: Final = int(os.environ.get("NISSA_TAIL_READER_STRIDE", "5"))
STRIDE: Final = int(os.environ.get("NISSA_TAIL_STRIDE", "5"))
SEGMENT_BYTES, BODY_BYTES_MAX = 64 * KIB, 16 * KIB
SMALL: Final = {
    "NISSA_STORAGE__SEGMENT_SIZE": str(SEGMENT_BYTES),
    "NISSA_INGEST__BODY_SIZE_MAX": str(BODY_BYTES_MAX),
}
CONFIG: Final = Config(ingest=Ingest(body_bytes_max=BODY_BYTES_MAX), storage=Storage(segment_bytes=SEGMENT_BYTES))

Damage = Callable[[bytearray, int], None]


def flipped(data: bytearray, at: int) -> None:
    """All bits of one byte."""
    data[at] ^= 0xFF


def zeroed(data: bytearray, at: int) -> None:
    """Nothing was written from here on."""
    data[at:] = bytes(len(data) - at)


def cut(data: bytearray, at: int) -> None:
    """The file ends here."""
    del data[at:]


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, Ledger, range]:
    """A directory as a kill leaves it, the ledger of what it acknowledged, and where the last frame stands."""
    ledger = Ledger(41)
    with running(tmp_path / "data", environment=SMALL) as daemon:
        link = connect(daemon.ingest_url)
        for _ in range(CLAIMS):
            claim = ledger.claim()
            body = ledger.body(claim)
            assert post(link, body) == 204
            ledger.oblige(claim)
        daemon.kill()
    data = segment_of(tmp_path / "data").read_bytes()
    body_at = data.index(body)
    before_at = data.index(ledger.body(claim - 1)) + len(ledger.body(claim - 1))
    return tmp_path / "data", ledger, range(-(-before_at // 8) * 8, body_at + len(body))


def segment_of(directory: Path) -> Path:
    """The segment that holds the frames: the first, others are made ahead."""
    return min((directory / "journal").glob("*.journal"))


def damages(last_frame: range) -> Iterator[tuple[Damage, int]]:
    """Bytes of the last frame, each hurt in one of 3 ways. (``tests/journal/test_recovery.py``: in all ways.)"""
    ways: tuple[Damage, ...] = (flipped, zeroed, cut)
    return ((ways[at % len(ways)], at) for at in last_frame[::READER_STRIDE])


def hurt(original: bytes, path: Path, damage: Damage, at: int) -> None:
    """Write the segment as the damage leaves it."""
    data = bytearray(original)
    damage(data, at)
    path.write_bytes(data)


def exported(reader: Reader) -> Export:
    """Everything a reader gives."""
    sink = io.BytesIO()
    reader.export(sink, '{job="ledger"}')
    return parse_export(sink.getvalue())


def without_last(ledger: Ledger) -> Ledger:
    """The same ledger, owed nothing of its last claim: that may be there or not, but not otherwise than it was sent."""
    other = Ledger(ledger.seed)
    other.base_ms, other.claimed = ledger.base_ms, ledger.claimed
    other.acknowledged = ledger.acknowledged - {max(ledger.claimed)}
    return other


def test_readers_lose_the_damaged_frame_at_most(killed: tuple[Path, Ledger, range]) -> None:
    """Whatever happens to any byte of the last frame, a reader gives all others, and that one whole or not at all."""
    directory, ledger, last_frame = killed
    owed, path = without_last(ledger), segment_of(directory)
    original = path.read_bytes()
    with nissa.open(directory) as reader:
        ledger.check(exported(reader))
        for damage, at in damages(last_frame):
            hurt(original, path, damage, at)
            reader.refresh()
            owed.check(exported(reader))


def test_the_engine_goes_on_behind_the_damage(killed: tuple[Path, Ledger, range], tmp_path: Path) -> None:
    """Opened on such a directory the engine has all others, takes the frame again, and then has them all."""
    directory, ledger, last_frame = killed
    owed, last = without_last(ledger), max(ledger.claimed)
    original = segment_of(directory).read_bytes()
    for number, (damage, at) in enumerate(list(damages(last_frame))[::STRIDE]):
        place = tmp_path / f"damaged-{number}"
        shutil.copytree(directory, place)
        hurt(original, segment_of(place), damage, at)
        with nissa.Engine(place, CONFIG) as engine:
            with nissa.open(place) as reader:
                owed.check(exported(reader))
            engine.ingest(ledger.body(last), Codec.REMOTE_WRITE_1, Encoding.SNAPPY)
        with nissa.open(place) as reader:
            ledger.check(exported(reader))
            assert not any(counters.unaccounted for counters in reader.accounting().values())
        shutil.rmtree(place)
