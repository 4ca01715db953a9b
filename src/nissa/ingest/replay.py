"""Replays a journal on three threads: one reads ahead, one decodes, one seals heads that are full.

    reading thread              the caller's               sealing thread
    ──────────────              ────────────               ──────────────
    read, check, decompress ──► decode, admit, head ─────► Generation ──► block, catalogue
            ◄── slots to fill ──        │ next head          one at a time
                                        ▼
                                  pipeline, as live frames leave it

Memory is bounded: ``SLOTS`` decompressed bodies, the current head, and the one being sealed. If the disk refuses a
head, its rows are put back before those of the current one, and recovery continues.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import structlog

from nissa.codec.decompress import Decompressor
from nissa.config.tree import Config
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.journal.segment import JournalFrame
from nissa.model.errors import NissaError, Unavailable

SLOTS = 8
HEADS_MAX = 2  # so many times storage.seal_samples are replayed before anything is sealed: a usual journal holds less

log = structlog.get_logger()


class ReadFrame(msgspec.Struct, gc=False):
    """A frame of the journal with its body decompressed, or the error that this met.

    read_bytes: of the journal, up to the end of this frame.
    """

    entry: JournalFrame
    body: bytes | memoryview | NissaError
    read_bytes: int


@contextmanager
def frames_ahead(frames: Iterable[JournalFrame], decompressed_bytes_max: int) -> Iterator[Iterator[ReadFrame]]:
    """The frames, read and decompressed on a thread of their own. A body is good until the next frame is asked for.

    Errors of reading are raised to the caller that asks for the next frame.
    """
    free: queue.SimpleQueue[Decompressor | None] = queue.SimpleQueue()
    ready: queue.SimpleQueue[tuple[ReadFrame, Decompressor] | BaseException | None] = queue.SimpleQueue()
    for _ in range(SLOTS):
        free.put(Decompressor(decompressed_bytes_max))

    def read() -> None:
        read_bytes = 0
        try:
            for entry in frames:
                read_bytes += entry.end - entry.offset
                slot = free.get()
                if slot is None:
                    return
                ready.put((ReadFrame(entry, _decompressed(slot, entry), read_bytes), slot))
            ready.put(None)
        except BaseException as error:  # handed to the thread that asks
            ready.put(error)

    def given() -> Iterator[ReadFrame]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
            free.put(item[1])

    thread = threading.Thread(target=read, name="nissa-read-ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        free.put(None)
        thread.join()


def _decompressed(slot: Decompressor, entry: JournalFrame) -> bytes | memoryview | NissaError:
    try:
        return slot.decompress(entry.frame.body, entry.frame.encoding)
    except NissaError as error:
        return error.with_traceback(None)


class SealBehind:
    """Seals the pipeline's head on another thread whenever it weighs too much."""

    def __init__(self, pipeline: Pipeline, writer: FrozenHeadWriter, config: Config) -> None:
        self._pipeline, self._writer = pipeline, writer
        self._weight_max = HEADS_MAX * config.storage.seal_samples
        self._seal_samples = config.storage.seal_samples
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nissa-recovery-seal")
        self._under_way: tuple[FrozenHead, Future[None], int] | None = None

    def look(self, lsn: int) -> None:
        """Begin a seal where it is time. lsn: the last frame that was replayed."""
        pipeline = self._pipeline
        if pipeline.head.weight <= self._weight_max or not self._finish():
            return
        frozen_head, sealed_lsn = FrozenHead(pipeline, lsn), pipeline.sealed_lsn
        pipeline.head, pipeline.metadata_changed, pipeline.sealed_lsn = Head(), {}, lsn
        self._under_way = (frozen_head, self._pool.submit(self._writer.write, frozen_head), sealed_lsn)
        self._weight_max = self._seal_samples

    def close(self) -> None:
        """Wait for the seal under way."""
        try:
            self._finish()
        finally:
            self._pool.shutdown()

    def _finish(self) -> bool:
        """Wait for the seal under way; False, and its head is back in the pipeline, where the disk refused it."""
        if self._under_way is None:
            return True
        (frozen_head, future, sealed_lsn), self._under_way = self._under_way, None
        pipeline = self._pipeline
        try:
            future.result()
        except (OSError, Unavailable) as error:
            log.error("a part of the journal could not be sealed while it was replayed", reason=str(error))
            pipeline.head = frozen_head.head.followed_by(pipeline.head)
            changed = {note.name: note for note in frozen_head.metadata}
            pipeline.metadata_changed = {**changed, **pipeline.metadata_changed}
            pipeline.sealed_lsn = sealed_lsn
            self._weight_max = pipeline.head.weight + self._seal_samples
            return False
        frozen_head.complete(pipeline.tallies)
        return True
