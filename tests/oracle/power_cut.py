"""A disk that forgets: real files, but at a power cut every 512-byte sector that was not synced may be lost.

``PowerCutDisk(monkeypatch, rng)`` counts the calls that touch the disk; ``cut_at`` raises PowerCut in place of the call
with that number (a write is done in part before), ``fail(call, code)`` answers errnos.
``forget()`` then does what a power cut may do: it gives a random choice of the sectors written since the last sync of
their file what stood in them before, and undoes a random choice of the renames that no directory sync followed.
"""

import os
import random
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECTOR_BYTES = 512
CALLS = ("open", "posix_fallocate", "pwritev", "fsync", "fdatasync", "rename", "unlink", "ftruncate")


class PowerCut(BaseException):
    """The machine stops here. No handler of errors sees it."""


class PowerCutDisk:
    """Counts, cuts, fails and forgets. calls: how often each call was made; log: (call, file descriptor) in order."""

    def __init__(self, monkeypatch: Any, rng: random.Random) -> None:
        self.rng = rng
        self.cut_at: int | None = None
        self.count = 0
        self.calls: Counter[str] = Counter()
        self.failed_fds: set[int] = set()
        self.touched_after_failure: list[str] = []
        self._errors: dict[str, Callable[[int], int]] = {}
        self._unsynced: dict[int, tuple[int, list[tuple[int, bytes]]]] = {}  # fd -> own handle of the file, sectors
        self._closed_unsynced: list[tuple[int, list[tuple[int, bytes]]]] = []
        self._renames: list[tuple[str, str, bytes | None]] = []
        self._real = {name: getattr(os, name) for name in CALLS}
        self._close = os.close
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrap(name))
        monkeypatch.setattr(os, "close", self._closed)

    def fail(self, call: str, code: Callable[[int], int]) -> None:
        """Let ``code(number of the call, from 1)`` decide the errno of each ``call``; 0 lets it through."""
        self._errors[call] = code

    def forget(self) -> None:
        """Undo some of the unsynced writes and renames at random, as a power cut may."""
        for source, target, replaced in reversed(self._renames):
            if self.rng.random() < 0.5 and Path(target).exists():
                self._real["rename"](target, source)
                if replaced is not None:
                    Path(target).write_bytes(replaced)
        self._renames.clear()
        for handle, sectors in (*self._unsynced.values(), *self._closed_unsynced):
            size = os.fstat(handle).st_size
            for start, before in reversed(sectors):
                if self.rng.random() < 0.5 and start < size:
                    self._real["pwritev"](handle, [before[: size - start]], start)
            self._close(handle)
        self._unsynced.clear()
        self._closed_unsynced.clear()

    def _wrap(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            self.calls[name] += 1
            fd = args[0] if args and isinstance(args[0], int) else -1
            if fd in self.failed_fds:
                self.touched_after_failure.append(name)
            if self.cut_at is not None and self.count >= self.cut_at:
                if name == "pwritev":
                    self._write_in_part(*args)
                raise PowerCut
            code = self._errors.get(name, lambda _: 0)(self.calls[name])
            if code:
                if name in ("pwritev", "fsync", "fdatasync"):
                    self.failed_fds.add(fd)
                raise OSError(code, os.strerror(code))
            return self._do(name, *args, **kwargs)

        return call

    def _do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        replaced = None
        if name == "rename" and Path(args[1]).exists():
            replaced = Path(args[1]).read_bytes()
        if name == "pwritev":
            self._note_write(args[0], args[2], sum(map(len, args[1])))
        result = self._real[name](*args, **kwargs)
        if name in ("fsync", "fdatasync"):
            self._note_sync(args[0])
        elif name == "rename":
            self._renames.append((str(args[0]), str(args[1]), replaced))
        return result

    def _note_write(self, fd: int, offset: int, length: int) -> None:
        """Keep what stands in the sectors that are about to be written."""
        if fd not in self._unsynced:
            self._unsynced[fd] = (self._real["open"](f"/proc/self/fd/{fd}", os.O_RDWR), [])
        handle, sectors = self._unsynced[fd]
        for start in range(offset - offset % SECTOR_BYTES, offset + length, SECTOR_BYTES):
            before = os.pread(handle, SECTOR_BYTES, start)
            sectors.append((start, before + bytes(SECTOR_BYTES - len(before))))

    def _note_sync(self, fd: int) -> None:
        unsynced = self._unsynced.pop(fd, None)
        if unsynced is not None:
            self._close(unsynced[0])
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            self._renames.clear()

    def _write_in_part(self, fd: int, buffers: list[bytes], offset: int) -> None:
        data = b"".join(buffers)
        data = data[: self.rng.randrange(len(data) + 1)]
        if data:
            self._note_write(fd, offset, len(data))
            self._real["pwritev"](self._unsynced[fd][0], [data], offset)  # part of a block: not through a direct file

    def _closed(self, fd: int) -> None:
        self.failed_fds.discard(fd)
        unsynced = self._unsynced.pop(fd, None)
        if unsynced is not None:
            self._closed_unsynced.append(unsynced)
        self._close(fd)
