"""The bytes of one journal segment: its name, its header, its frames, and reading them back one by one.

    +----------------+---------+---------+-----+-----------------------+
    | segment header | frame 1 | frame 2 | ... | zeros (preallocated)  |
    +----------------+---------+---------+-----+-----------------------+
      64 bytes         64 bytes of header + body + zeros up to a multiple of 8

The picture of every field is in ``docs/format/journal.md``; numbers are little endian, checksums CRC-32C.

A frame is valid at an offset when its magic stands there, it names the uuid of this segment, it ends inside the file,
and its checksum over header and body holds. Inside a segment LSNs rise by one and each frame carries the checksum of
the one before it, so that a frame in the wrong place, though whole, is found out.

This file knows one segment at a time. It does not know what an acknowledgement is, nor which damage matters
(``recovery.py``), nor how bytes become durable (``journal.py``).
"""

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
from google_crc32c import extend, value

from nissa.model.context import decode_context
from nissa.model.errors import Damaged, UnknownFormat
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import KIB, MIB

VERSION = 1
LSN_MAX = 2**63 - 1
HEADER_BYTES = 64  # of a segment, and of a frame
SUFFIX = ".journal"
PREPARED_NAME = "next.prepared"  # a segment made ahead; it has no frames and may be deleted at any time

_SEGMENT_MAGIC = b"NISSAJ01"
_FRAME_MAGIC = b"NSF1"
_SEGMENT = struct.Struct("<8sII16sQqQ4s")  # magic version reserved uuid first_lsn created_ms after_lsn reserved
_FRAME = struct.Struct("<4sI16sQQqBBBBII")  # magic length uuid lsn durable_lsn received_ms codec … prev_crc
_CRC = struct.Struct("<I")
_CONTEXT_LENGTH = struct.Struct("<I")
_CHECKED_BYTES = HEADER_BYTES - _CRC.size
_UUID_OFFSET = 8  # of the uuid inside a frame header
_DELIMITED = 1  # bits of flags
_CONTEXT = 2
_FLAGS = _DELIMITED | _CONTEXT

PADDING = tuple(bytes(count) for count in range(8))
_CODECS = {int(codec): codec for codec in Codec}
_ENCODINGS = {int(encoding): encoding for encoding in Encoding}
_SOURCES = {int(source): source for source in Source}
_NAME = re.compile(r"(\d{20})" + re.escape(SUFFIX))

# One read. Larger than a usual frame, smaller than a second-level cache, so the copy into a body stays in cache.
_WINDOW_BYTES = 1 * MIB
_PAGE_BYTES = 4 * KIB


class SegmentHeader(msgspec.Struct, frozen=True):
    """The first 64 bytes of a segment.

    first_lsn: LSN of its first frame. after_lsn: the last LSN acknowledged when the segment was opened: frames of
    earlier segments up to it must be there, frames of earlier segments beyond it are void (written again here, or given
    up). crc: its own checksum, which the first frame carries on; None when the header is damaged and these are guesses.
    """

    uuid: bytes
    first_lsn: int
    after_lsn: int
    created_ms: int
    crc: int | None


class JournalFrame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it stands in a segment.

    lsn: its sequence number. durable_lsn: the last LSN acknowledged when it was written. new_series: how many new
    series it was allowed. offset and end: where it starts and where the next one starts, in bytes.
    """

    lsn: int
    durable_lsn: int
    new_series: int
    frame: Frame
    offset: int
    end: int
    crc: int
    prev_crc: int


def segment_name(first_lsn: int) -> str:
    """The file name of a segment; names sort as LSNs do."""
    return f"{first_lsn:020d}{SUFFIX}"


def first_lsn_of(name: str) -> int | None:
    """The LSN in a segment's file name, or None where the name is not that of a segment."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and int(match[1]) <= LSN_MAX else None


def frame_bytes(content_bytes: int) -> int:
    """Bytes in a segment of a frame whose body, and context in front of it, have so many."""
    return HEADER_BYTES + (content_bytes + 7 & ~7)


def stored_bytes(frame: Frame) -> int:
    """Bytes of ``frame`` in a segment."""
    context_bytes = _CONTEXT_LENGTH.size + len(frame.context) if frame.context else 0
    return frame_bytes(context_bytes + len(frame.body))


def encode_segment_header(uuid: bytes, *, first_lsn: int, after_lsn: int, created_ms: int) -> tuple[bytes, int]:
    """Return the 64 bytes that open a segment, and their checksum.

    uuid: 16 bytes, of the segment. first_lsn: of its first frame. after_lsn: last LSN before the segment. created_ms:
    Unix milliseconds.
    """
    checked = _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, 0, uuid, first_lsn, created_ms, after_lsn, b"")
    crc = value(checked)
    return checked + _CRC.pack(crc), crc


def decode_segment_header(data: bytes, path: Path) -> SegmentHeader | None:
    """The header in ``data``, or None where its bytes do not hold together.

    Raises: UnknownFormat where they do, and a newer version wrote them.
    """
    if len(data) < HEADER_BYTES or data[:6] != _SEGMENT_MAGIC[:6]:
        return None
    (crc,) = _CRC.unpack_from(data, _CHECKED_BYTES)
    if value(data[:_CHECKED_BYTES]) != crc:
        return None
    magic, version, _, uuid, first_lsn, created_ms, after_lsn, _ = _SEGMENT.unpack_from(data)
    if magic != _SEGMENT_MAGIC or version != VERSION:
        raise UnknownFormat(f"{path}: journal version {version}, this Nissa reads {VERSION}; nothing was changed")
    return SegmentHeader(uuid, first_lsn, after_lsn, created_ms, crc)


def encode_frame_header(
    frame: Frame, uuid: bytes, *, lsn: int, durable_lsn: int, new_series: int, prev_crc: int
) -> tuple[bytes, int]:
    """Return header and context in front of a body, and the checksum over all three. The body is read, not copied.

    uuid: of the segment. lsn: of this frame. durable_lsn: last durable LSN when it was appended. new_series: number of
    series it added to the index. prev_crc: checksum of the frame before. Padding after the body completes a multiple of
    8 bytes.
    """
    body, flags, context = frame.body, _DELIMITED if frame.delimited else 0, b""
    if frame.context:
        context, flags = _CONTEXT_LENGTH.pack(len(frame.context)) + frame.context, flags | _CONTEXT
    checked = _FRAME.pack(
        _FRAME_MAGIC,
        len(context) + len(body),
        uuid,
        lsn,
        durable_lsn,
        frame.received_ms,
        frame.codec,
        frame.encoding,
        frame.source,
        flags,
        new_series,
        prev_crc,
    )
    crc = value(checked)
    if context:
        crc = extend(crc, context)
    crc = extend(crc, body)
    return checked + _CRC.pack(crc) + context, crc


class SegmentFile:
    """One segment open for reading through a sliding window. The file may grow or shrink meanwhile (a running daemon).

    unreadable_bytes: pages the disk refused to give, read as zeros.
    """

    def __init__(self, path: Path, window_bytes: int = _WINDOW_BYTES) -> None:
        """Open ``path``. window_bytes: how much is read at once.

        Raises: Damaged where it is a link or no regular file; OSError where it cannot be opened.
        """
        self.path = path
        self.unreadable_bytes = 0
        self._window = b""
        self._window_offset = 0
        self._window_bytes = window_bytes
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if path.is_symlink():
                raise Damaged(str(path), "a symbolic link where a journal segment is expected") from error
            raise
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.close()
            raise Damaged(str(path), "not a regular file")

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """Bytes in the file now, preallocated ones included."""
        return os.fstat(self._fd).st_size

    def header(self) -> SegmentHeader | None:
        """The segment's header, or None where it is damaged. Raises: UnknownFormat."""
        return decode_segment_header(self._read(0, HEADER_BYTES), self.path)

    def frame_at(self, offset: int, uuid: bytes | None, *, fresh: bool = False) -> JournalFrame | None:
        """The valid frame at ``offset``, or None. uuid None takes any segment's; fresh reads the file anew."""
        if fresh:
            self._window = b""
        data, at = self._seek(offset, HEADER_BYTES)
        if len(data) - at < HEADER_BYTES or data[at : at + 4] != _FRAME_MAGIC:
            return None
        fields = _FRAME.unpack_from(data, at)
        length = fields[1]
        if uuid is not None and fields[2] != uuid:
            return None
        end = offset + frame_bytes(length)
        head = data[at : at + HEADER_BYTES]
        if at + HEADER_BYTES + length > len(data):
            if offset + HEADER_BYTES + length > self.size_bytes:
                return None
            data, at = self._seek(offset, HEADER_BYTES + length)
        body = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        (crc,) = _CRC.unpack_from(head, _CHECKED_BYTES)
        if len(body) != length or extend(value(head[:_CHECKED_BYTES]), body) != crc:
            return None
        return self._frame(fields, body, offset, end, crc)

    def uuid_at(self, offset: int) -> bytes:
        """The segment uuid that the frame at ``offset`` names."""
        return self._read(offset + _UUID_OFFSET, 16)

    def frames_after(self, offset: int, uuid: bytes | None) -> Iterator[JournalFrame]:
        """Every valid frame that starts at or behind ``offset``, wherever it starts on a multiple of 8."""
        needle, lead = (_FRAME_MAGIC, 0) if uuid is None else (uuid, _UUID_OFFSET)
        self._window = b""
        behind = offset
        while (at := self._data_offset(behind)) is not None:
            data, start = self._seek(at, HEADER_BYTES)
            found = data.find(needle, start + lead)
            if found < 0:
                behind = at + max(len(data) - start - HEADER_BYTES & ~7, 8)
                continue
            at += found - lead - start
            frame = self.frame_at(at, uuid) if at % 8 == 0 else None
            if frame is not None:
                yield frame
            behind = frame.end if frame is not None else at + 8 - at % 8

    def data_end(self, offset: int) -> int:
        """End of the last nonzero byte behind ``offset``; ``offset`` where there is none."""
        end, at = offset, offset
        while (start := self._data_offset(at)) is not None:
            self._window = b""
            data, _ = self._seek(start, _WINDOW_BYTES)
            kept = len(data.rstrip(b"\0"))
            end = start + kept if kept else end
            at = start + _WINDOW_BYTES
        return end

    def _frame(self, fields: tuple[int, ...], body: bytes, offset: int, end: int, crc: int) -> JournalFrame:
        _, _, _, lsn, durable_lsn, received_ms, codec, encoding, source, flags, new_series, prev_crc = fields
        if codec not in _CODECS or encoding not in _ENCODINGS or source not in _SOURCES or flags & ~_FLAGS:
            raise UnknownFormat(
                f"{self.path}: the frame at byte {offset} (lsn {lsn}) has codec {codec}, encoding {encoding}, source "
                f"{source}, flags {flags}: a newer Nissa wrote it; nothing was changed"
            )
        context = b""
        if flags & _CONTEXT:
            context, body = self._split(body, offset, lsn)
        delimited = bool(flags & _DELIMITED)
        frame = Frame(_CODECS[codec], _ENCODINGS[encoding], _SOURCES[source], received_ms, body, delimited, context)
        return JournalFrame(lsn, durable_lsn, new_series, frame, offset, end, crc, prev_crc)

    def _split(self, content: bytes, offset: int, lsn: int) -> tuple[bytes, bytes]:
        """Context and body of a frame whose checksum holds. Raises: UnknownFormat for a context not read here."""
        start = _CONTEXT_LENGTH.size
        try:
            end = start + _CONTEXT_LENGTH.unpack_from(content)[0]
            if end > len(content):
                raise ValueError(f"it ends at byte {end} of {len(content)}")
            decode_context(content[start:end])
        except (ValueError, struct.error) as error:
            raise UnknownFormat(
                f"{self.path}: the context of the frame at byte {offset} (lsn {lsn}) cannot be read: {error}; a newer "
                "Nissa wrote it; nothing was changed"
            ) from error
        return content[start:end], content[end:]

    def _seek(self, offset: int, length: int) -> tuple[bytes, int]:
        """A window that holds ``length`` bytes from ``offset`` (fewer at the end of the file), and where they start."""
        at = offset - self._window_offset
        if at < 0 or at + length > len(self._window):
            self._window = self._read(offset, max(length, self._window_bytes))
            self._window_offset = offset
            at = 0
        return self._window, at

    def _read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._fd, length, offset)
            if len(data) == length or offset + len(data) >= self.size_bytes:
                return data
        except OSError:
            data = b""
        return self._read_pages(offset, min(length, max(self.size_bytes - offset, 0)))

    def _read_pages(self, offset: int, length: int) -> bytes:
        """``_read`` in small pieces, for a disk that refuses some of them or answers short."""
        pieces = []
        at, end = offset, offset + length
        while at < end:
            size = min(_PAGE_BYTES - at % _PAGE_BYTES, end - at)
            try:
                piece = os.pread(self._fd, size, at)
            except OSError:
                self.unreadable_bytes += size
                piece = bytes(size)
            if not piece:
                break
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)

    def _data_offset(self, offset: int) -> int | None:
        """The next offset that may hold something else than preallocated zeros, or None."""
        if offset >= self.size_bytes:
            return None
        try:
            return max(offset, os.lseek(self._fd, offset, os.SEEK_DATA) & ~7)
        except OSError as error:  # ENXIO: nothing but a hole behind; anything else: a file system that cannot tell
            return None if error.errno == errno.ENXIO else offset
