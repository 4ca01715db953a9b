"""Pieces of an import: what is sent at once, and the readers of text that make them.

    JSON lines      ──► parsed here, as columns               a line at fault is named by its number in the file
    OpenMetrics     ──► sent as text, whole lines at a time,  behind the TYPE lines of the family it goes on with

A piece says where in the input its end is, so that an interrupted import goes on there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from nissa.codec.import_lines import SeriesLine, encode_lines, read_lines
from nissa.model.errors import BadQuery
from nissa.model.frame import Codec
from nissa.model.text_faults import LineFault
from nissa.model.units import MIB

BLOCK_BYTES = 8 * MIB  # read at a time
TEXT_BYTES = 4 * MIB  # of OpenMetrics, sent at a time
LINE_BYTES_MAX = 256 * MIB
SAMPLES_AIM = 500_000  # of a piece in columns: 4 MiB of values
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class Fault(msgspec.Struct, frozen=True):
    """One record that was not taken: its line or row, from 1; 0 where that is not known."""

    line: int
    words: str


class ImportPiece(msgspec.Struct, frozen=True):
    """A body to send. position: where in the input its end is, in units of its reader, and lines up to there.

    first_line: number of the body's first line in the input. faults: records that are left out of it.
    """

    codec: Codec
    body: bytes
    position: tuple[int, int]
    first_line: int = 1
    faults: tuple[Fault, ...] = ()
    refused: int = 0


class ImportReader(Protocol):
    """Reads an input from a position on. done, total: how far it is, in bytes or milliseconds."""

    total: int

    @property
    def done(self) -> int: ...

    def pieces(self, position: tuple[int, int]) -> Iterator[ImportPiece]: ...


class TextFile:
    """A text file, compressed or not, as blocks of whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self.total = path.stat().st_size

    @property
    def done(self) -> int:
        """Bytes of the file that have been read."""
        return self.total if self._file is None or self._file.closed else self._file.tell()

    def blocks(self, size: int, position: int) -> Iterator[tuple[bytes, int]]:
        """Blocks of whole lines of about ``size`` bytes, and the position behind each, in decompressed bytes."""
        import pyarrow as pa

        with self._path.open("rb") as self._file:
            kind = self._kind()
            self._file.seek(0)
            source: Any = pa.PythonFile(self._file, "r")
            stream = pa.CompressedInputStream(source, kind) if kind else source
            left = position
            while left:
                skipped = len(stream.read(min(left, size)))
                if not skipped:
                    raise BadQuery(f"{self._path}: it is shorter than where the import stopped; use --restart")
                left -= skipped
            held = b""
            while block := stream.read(size):
                end = block.rfind(b"\n") + 1
                if not end:
                    held += block
                    if len(held) > LINE_BYTES_MAX:
                        raise BadQuery(f"{self._path}: a line is longer than {LINE_BYTES_MAX} bytes")
                    continue
                whole, held = held + block[:end], block[end:]
                position += len(whole)
                yield whole, position
            if held:
                yield held, position + len(held)

    def _kind(self) -> str | None:
        self._file.seek(0)
        magic = self._file.read(4)
        return next((kind for begin, kind in _MAGIC.items() if magic.startswith(begin)), None)


class JsonLinesReader:
    """JSON lines of Nissa and VictoriaMetrics."""

    def __init__(self, path: Path) -> None:
        self._file = TextFile(path)
        self.total = self._file.total

    @property
    def done(self) -> int:
        """Bytes of the file that have been read."""
        return self._file.done

    def pieces(self, position: tuple[int, int]) -> Iterator[ImportPiece]:
        """Pieces of about SAMPLES_AIM samples. Memory: that of a few blocks."""
        lines = position[1]
        for block, at in self._file.blocks(BLOCK_BYTES, position[0]):
            read = read_lines(block)
            faults = tuple(Fault(lines + fault.line, _words(fault)) for fault in read.faults)
            groups = list(_grouped([line for _, _, line in read.lines]))
            for number, group in enumerate(groups or [[]], 1):
                last = number >= len(groups)
                # Only behind the last group of a block may an import go on: the others say where the block begins.
                lines_after = lines + block.count(b"\n") if last else lines
                place = (at, lines_after) if last else position
                told = (faults, read.refused) if last else ((), 0)
                yield ImportPiece(Codec.NISSA_COLUMNS, encode_lines(group), place, lines + 1, *told)
            position, lines = (at, lines_after), lines_after


def _grouped(lines: list[SeriesLine]) -> Iterator[list[SeriesLine]]:
    group: list[SeriesLine] = []
    samples = 0
    for line in lines:
        if group and samples + len(line.values) > SAMPLES_AIM:
            yield group
            group, samples = [], 0
        group.append(line)
        samples += len(line.values)
    if group:
        yield group


class OpenMetricsReader:
    """OpenMetrics text with timestamps."""

    def __init__(self, path: Path) -> None:
        self._file = TextFile(path)
        self.total = self._file.total

    @property
    def done(self) -> int:
        """Bytes of the file that have been read."""
        return self._file.done

    def pieces(self, position: tuple[int, int]) -> Iterator[ImportPiece]:
        """Pieces of about TEXT_BYTES, each a whole exposition."""
        lines, head = position[1], b""
        for block, at in self._file.blocks(TEXT_BYTES, position[0]):
            body = block.replace(b"\n# EOF\n", b"\n").removesuffix(b"\n# EOF").removeprefix(b"# EOF\n")
            text = head + body + (b"" if body.endswith(b"\n") or not body else b"\n") + b"# EOF\n"
            first_line = lines + 1 - head.count(b"\n")
            lines += block.count(b"\n")
            head = _family_head(head, block)
            yield ImportPiece(Codec.EXPOSITION, text, (at, lines), first_line)


def _family_head(before: bytes, block: bytes) -> bytes:
    """The TYPE line of the family that a block ends in: the next block may go on with it."""
    at = max(block.rfind(b"\n# TYPE "), 0 if block.startswith(b"# TYPE ") else -1)
    if at < 0:
        return before
    start = at + 1 if block[at : at + 1] == b"\n" else at
    return block[start : block.find(b"\n", start) + 1]


def _words(fault: LineFault) -> str:
    return f"{fault.reason}: {fault.words}" if fault.words else fault.reason
