"""Replaying on several threads: the frames come in order, what fails comes to the caller, and nothing is lost."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from cramjam import snappy

from nissa.ingest import replay
from nissa.ingest.replay import frames_ahead
from nissa.journal.journal import Journal, read_journal
from nissa.journal.segment import JournalFrame
from nissa.model.durability import parse_durability
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.engine import NOW_MS, ONE, BadDisk, Rig, config_of


def journaled(path: Path, bodies: list[tuple[bytes, Encoding]]) -> list[JournalFrame]:
    """Frames with these bodies, as a journal gives them back."""
    journal = Journal(path, durability=parse_durability("os"), segment_bytes=1 << 16, clock=lambda: NOW_MS)
    for body, encoding in bodies:
        journal.append(Frame(Codec.REMOTE_WRITE_1, encoding, Source.HTTP, NOW_MS, body), 0)
    journal.commit()
    journal.close()
    return list(read_journal(path))


def test_bodies_come_decompressed_and_in_order(tmp_path: Path) -> None:
    """More frames than slots, of several encodings; one that cannot be decompressed comes as its error."""
    plain = [bytes([at % 256]) * (at + 1) for at in range(3 * replay.SLOTS)]
    bodies = [
        (bytes(snappy.compress_raw(body)), Encoding.SNAPPY) if at % 2 else (body, Encoding.IDENTITY)
        for at, body in enumerate(plain)
    ]
    bodies[5] = (b"\xff", Encoding.SNAPPY)
    entries = journaled(tmp_path / "journal", bodies)
    with frames_ahead(entries, 1_000) as frames:
        for at, frame in enumerate(frames):
            assert frame.entry is entries[at]
            assert frame.read_bytes == sum(entry.end - entry.offset for entry in entries[: at + 1])
            if at == 5:
                assert isinstance(frame.body, Malformed)
            else:
                assert not isinstance(frame.body, Malformed)
                assert bytes(frame.body) == plain[at]
    assert at == len(plain) - 1


def test_the_reader_ends_with_whoever_reads(tmp_path: Path) -> None:
    """If the caller stops in the middle, no thread is left running; errors of reading are raised to the caller."""
    entries = journaled(tmp_path / "journal", [(b"x", Encoding.IDENTITY)] * 40)
    with frames_ahead(entries, 1_000) as frames:
        next(frames)

    def failing() -> Iterator[JournalFrame]:
        yield entries[0]
        raise OSError(errno.EIO, "the disk")

    with frames_ahead(failing(), 1_000) as frames, pytest.raises(OSError, match="the disk"):
        list(frames)


def test_a_disk_that_is_full_for_one_seal(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head that could not be sealed goes back in front of the next one, metadata and duplicates with it."""
    for turn in range(60):
        rig.keep([*((f"m{at}", NOW_MS + turn, ONE) for at in range(9)), ("m0", NOW_MS + turn, ONE)])
    rig.config = config_of(storage={"seal_samples": 50})
    rig.engine.close()
    disk = BadDisk(monkeypatch, "write", errno.ENOSPC)
    disk.failing = True
    real = replay.SealBehind._finish

    def finish(self: replay.SealBehind) -> bool:
        done = real(self)
        disk.failing = disk.failing and done
        return done

    monkeypatch.setattr(replay.SealBehind, "_finish", finish)
    rig.engine = rig._open()
    assert disk.calls > 0
    assert not disk.failing
    assert rig.engine.status().facts()["blocks"]["count"] > 0
    rig.check()
    rig.crash()
    rig.check()
