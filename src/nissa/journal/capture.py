"""Captures: received frames recorded in a file, for replay.

Three forms are read, recognised by their first bytes:

* a journal segment (magic ``NISSAJ``): what ``--capture FILE`` writes, and any file of a ``journal/`` directory;
* a directory: a journal, or a data directory with one in it;
* the recorded form (magic of zstd): records of <u32 length><i64 receive time, ms><snappy body of remote write 1.0>,
  little endian, one behind the other, the whole compressed with zstd.

One form is written: a single journal segment under any file name, not preallocated.
"""

import contextlib
import io
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nissa.journal.recovery import RecoveryReport, read_journal, read_segment, segment_paths
from nissa.journal.segment import PADDING, encode_frame_header, encode_segment_header
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import KIB, MIB

RECORD_BYTES_MAX = 32 * MIB  # as much as the hot endpoint takes in one body
_SEGMENT_MAGIC = b"NISSAJ"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_RECORD = struct.Struct("<Iq")  # length, receive time in ms
_BUFFER_BYTES = 256 * KIB


def read_capture(path: Path, report: RecoveryReport | None = None) -> Iterator[Frame]:
    """Every frame of a capture, in the order received.

    ``report.bytes`` rises towards ``capture_bytes(path)`` while reading goes on; damage inside segments is counted in
    it.
    Raises: Malformed where ``path`` is none of the three forms, or a record ends early; Damaged; UnknownFormat.
    """
    report = report if report is not None else RecoveryReport()
    if path.is_dir():
        return (entry.frame for entry in read_journal(_journal_in(path), 0, report))
    with path.open("rb") as file:
        magic = file.read(len(_SEGMENT_MAGIC))
    if magic == _SEGMENT_MAGIC:
        return (entry.frame for entry in read_segment(path, report))
    if magic.startswith(_ZSTD_MAGIC):
        return _recorded(path, report)
    raise Malformed(f"{path}: neither a journal segment nor a recorded capture; it begins with {magic!r}", 0)


def capture_bytes(path: Path) -> int:
    """Bytes of a capture on disk, the end of a progress bar."""
    if path.is_dir():
        return sum(segment.stat().st_size for segment in segment_paths(_journal_in(path)))
    return path.stat().st_size


class CaptureWriter:
    """Writes frames to a new capture file. Buffered: a crash may lose frames. Not thread-safe."""

    def __init__(self, path: Path, created_ms: int) -> None:
        """Start a capture. Raises: FileExistsError, for a capture is never overwritten; OSError."""
        self._uuid = uuid.uuid4().bytes
        self._lsn = 0
        header, self._crc = encode_segment_header(self._uuid, first_lsn=1, after_lsn=0, created_ms=created_ms)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._file = io.BufferedWriter(io.FileIO(fd, "w"), _BUFFER_BYTES)
        self._file.write(header)
        self._file.flush()  # a capture from its first moment, whatever happens before the first frame

    def append(self, frame: Frame, new_series: int = 0) -> None:
        """Add ``frame``. Raises: OSError."""
        head, crc = encode_frame_header(
            frame,
            self._uuid,
            lsn=self._lsn + 1,
            durable_lsn=self._lsn,
            new_series=new_series,
            prev_crc=self._crc,
        )
        self._file.write(head)
        self._file.write(frame.body)
        self._file.write(PADDING[-(len(head) + len(frame.body)) % 8])
        self._lsn += 1
        self._crc = crc

    def flush(self) -> None:
        """Hand the buffered frames to the kernel. Raises: OSError."""
        self._file.flush()

    def close(self) -> None:
        """Flush, sync and close. Raises: OSError."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            with contextlib.suppress(OSError):  # flush has raised it already
                self._file.close()


def _journal_in(directory: Path) -> Path:
    inside = directory / "journal"
    return inside if inside.is_dir() else directory


def _recorded(path: Path, report: RecoveryReport) -> Iterator[Frame]:
    import pyarrow as pa  # heavy, and only replay needs it: the daemon must be ready before it loads

    offset = 0
    with path.open("rb") as raw, pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd") as stream:
        while head := _read_up_to(stream, _RECORD.size, path):
            length, received_ms = _RECORD.unpack(head) if len(head) == _RECORD.size else (-1, 0)
            if not 0 <= length <= RECORD_BYTES_MAX:
                raise Malformed(f"{path}: a truncated record header, or an invalid record length ({length})", offset)
            body = _read_up_to(stream, length, path)
            if len(body) != length:
                raise Malformed(f"{path}: a record of {length} bytes is truncated after {len(body)}", offset)
            offset += _RECORD.size + length
            report.frames += 1
            report.bytes = raw.tell()
            yield Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.REPLAY, received_ms, body)


def _read_up_to(stream: Any, length: int, path: Path) -> bytes:
    """``length`` bytes of what ``stream`` decompresses, or fewer at the end. Raises: Malformed; OSError."""
    pieces = bytearray()
    try:
        while len(pieces) < length and (piece := stream.read(length - len(pieces))):
            pieces += piece
    except OSError as error:
        if error.errno is not None:  # the disk; without a number it is the decompressor that speaks
            raise
        raise Malformed(f"{path}: {error}") from error
    return bytes(pieces)
