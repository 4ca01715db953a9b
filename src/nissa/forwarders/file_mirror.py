"""Makes a destination hold the sealed files of a data directory, so that ``nissa.open`` reads it.

    catalogue ──copy──► names of blocks and series segments ──► those that are not there yet are copied, checked
                                                            ──► the copy of the catalogue takes its name
                                                            ──► what it does not name is deleted

Files never change, so one of the same name and size is the same. Whoever reads the destination meanwhile finds the old
catalogue with its files, or the new one. Not copied are the journal, and what is not sealed yet. A file that is merged
or expired while it is copied makes the run begin again. A file that is damaged here is not copied.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.catalogue.sqlite_file import copy_database
from nissa.files.checked_file import CheckedReader, FileGone
from nissa.files.destinations import Destination
from nissa.files.lock import LOCK_NAME
from nissa.files.names import BLOCKS, CATALOGUE, SERIES
from nissa.ingest.settings import SETTINGS
from nissa.model.errors import ConfigInvalid, Damaged, Unavailable

OWNER: Final = "instance.txt"  # which data directory the destination is a copy of
ATTEMPTS_MAX: Final = 5
RETRY_S: Final = 5
READ_BYTES: Final = 1 << 20

log = structlog.get_logger()


class MirrorResult(msgspec.Struct, frozen=True):
    """Outcome of one run. files, bytes: copied. damaged: files that were not, as they are damaged here."""

    files: int = 0
    bytes: int = 0
    deleted: int = 0
    damaged: int = 0


class FileMirror:
    """One destination. For one thread."""

    def __init__(self, directory: Path, destination: Destination, setting: str) -> None:
        """directory: the data directory. setting: path of the sink in the configuration, for messages."""
        self._directory, self._destination, self._setting = directory, destination, setting
        self._damaged: set[str] = set()

    def run(self, go_on: Callable[[], bool]) -> MirrorResult:
        """Copy missing files, and delete files no longer named. go_on: False ends it early, with nothing deleted.

        Raises: Unavailable; ConfigInvalid where the destination holds another data directory; Damaged.
        """
        for _ in range(ATTEMPTS_MAX):
            with tempfile.TemporaryDirectory(prefix="nissa-mirror-") as place:
                try:
                    return self._run(Path(place), go_on)
                except FileNotFoundError:  # merged or expired meanwhile
                    continue
        raise Unavailable(f"files were replaced {ATTEMPTS_MAX} times while they were copied", RETRY_S)

    def _run(self, place: Path, go_on: Callable[[], bool]) -> MirrorResult:
        copy_database(self._directory / CATALOGUE, place / CATALOGUE)
        with closing(Catalogue.open(place, readonly=True)) as catalogue:
            named: list[BlockRow | SeriesSegment] = [*catalogue.blocks(), *catalogue.series_segments()]
            wanted = {one.path: one for one in named}
            self._own(catalogue.instance, place)
        there = {**self._destination.names(f"{BLOCKS}/"), **self._destination.names(f"{SERIES}/")}
        files = size = damaged = 0
        for name, one in wanted.items():
            if not go_on():
                return MirrorResult(files, size)
            if there.get(name) == one.bytes:
                continue
            if self._is_damaged(name, one):
                damaged += 1
                continue
            self._put(name, self._directory / name)
            files, size = files + 1, size + one.bytes
        self._put(SETTINGS, self._directory / SETTINGS)
        self._put(CATALOGUE, place / CATALOGUE)
        gone = [name for name in there if name not in wanted]
        for name in gone:
            self._destination.delete(name)
        return MirrorResult(files, size, len(gone), damaged)

    def _put(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self._destination.put(name, source)

    def _own(self, instance: str, place: Path) -> None:
        """Mark the destination as a copy of this directory. Raises: ConfigInvalid where it is anything else."""
        found = self._destination.read(OWNER)
        if self._destination.read(LOCK_NAME) is not None or (found is None and self._destination.names(f"{BLOCKS}/")):
            expected = "expected an empty place, or one that this sink has filled"
            raise ConfigInvalid(self._setting, f"is a data directory, and files would be deleted there: {expected}")
        if found is None:
            (place / OWNER).write_text(f"{instance}\n")
            self._put(OWNER, place / OWNER)
        elif found.decode("utf-8", "replace").strip() != instance:
            raise ConfigInvalid(self._setting, f"holds the files of another data directory ({OWNER})")

    def _is_damaged(self, name: str, one: BlockRow | SeriesSegment) -> bool:
        """Read all of a file against its checksums. Raises: FileNotFoundError."""
        path = self._directory / name
        try:
            with closing(CheckedReader(path, one.seal)) as reader:
                while reader.read(READ_BYTES):
                    pass
        except FileGone:
            raise FileNotFoundError(path) from None
        except Damaged as error:
            if name not in self._damaged:
                log.error("a damaged file is not copied", sink=self._setting, reason=str(error))
                self._damaged.add(name)
            return True
        return False
