"""Places that files of a data directory are copied to: a folder, or an object store behind ``obstore``.

Both take names as a data directory has them (``blocks/raw-….parquet``). A file appears under its name only when all of
it is there. Every call may take long and belongs on a thread of its own.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from nissa.files.checked_file import sync_directory
from nissa.files.names import UNFINISHED
from nissa.model.errors import ConfigInvalid, Unavailable

RETRY_S: Final = 30
PIECE_BYTES: Final = 1 << 20
_REASON: Final = re.compile(r'message: "([^"]+)"')
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/")
SCHEMES: Final = ("s3://", "gs://", "az://", "memory://")


class Destination(Protocol):
    """One place. Every method raises Unavailable where the place fails."""

    def names(self, prefix: str) -> dict[str, int]:
        """Name -> bytes of the files that are there and whose name begins so."""

    def put(self, name: str, source: BinaryIO) -> None:
        """Copy what is left to read of an open file; replaces one of that name."""

    def fetch(self, name: str, target: BinaryIO) -> bool:
        """Write the content of a file into an open one; False, with nothing written, where there is none."""

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None where there is none."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""


def destination_of(url: str, setting: str, *, private: bool = False) -> Destination:
    """The place that a setting names.

    private: files and folders that are made are for their owner alone.
    Raises: ConfigInvalid where it is no place, or needs a library that is not installed.
    """
    if url.startswith(SCHEMES):
        return BucketDestination(url, setting)
    if not url or _SCHEME.match(url):
        raise ConfigInvalid(
            setting, f"expected a folder, or s3://, gs:// or az:// with BUCKET/PREFIX, got {url[:200]!r}"
        )
    return FolderDestination(Path(url), private=private)


def is_inside(url: str, directory: Path) -> bool:
    """True of a folder that is ``directory`` or lies in it, behind symbolic links too."""
    return not url.startswith(SCHEMES) and Path(url).resolve().is_relative_to(directory.resolve())


class FolderDestination:
    """A folder, made where it is not there. private: what is made is for its owner alone."""

    def __init__(self, folder: Path, *, private: bool = False) -> None:
        self._folder = folder
        self._folder_mode, self._file_mode = (0o700, 0o600) if private else (0o750, 0o666)  # less the umask

    def names(self, prefix: str) -> dict[str, int]:
        """Name -> bytes."""
        try:
            place = self._folder / prefix
            found = [entry for entry in os.scandir(place) if entry.is_file()] if place.is_dir() else []
            return {f"{prefix}{entry.name}": entry.stat().st_size for entry in found}
        except OSError as error:
            raise disk_refused(self._folder, error) from None

    def put(self, name: str, source: BinaryIO) -> None:
        """Copy a file, synced before it has its name."""
        target = self._folder / name
        fresh = target.with_name(target.name + UNFINISHED)
        try:
            target.parent.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._file_mode)
            with os.fdopen(fd, "wb") as file:
                shutil.copyfileobj(source, file, PIECE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(target)
            sync_directory(target.parent)
        except OSError as error:
            raise disk_refused(target, error) from None

    def fetch(self, name: str, target: BinaryIO) -> bool:
        """Write the content of a file into an open one."""
        try:
            source = (self._folder / name).open("rb")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_refused(self._folder / name, error) from None
        with source:
            shutil.copyfileobj(source, target, PIECE_BYTES)
        return True

    def read(self, name: str) -> bytes | None:
        """The content of a file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk_refused(self._folder / name, error) from None

    def delete(self, name: str) -> None:
        """Delete a file."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise disk_refused(self._folder / name, error) from None


class BucketDestination:
    """A bucket, or a prefix in one. Credentials and endpoint are those of the environment (``AWS_…``)."""

    def __init__(self, url: str, setting: str) -> None:
        """Raises: ConfigInvalid where obstore is missing, or refuses the address."""
        try:
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError:
            raise ConfigInvalid(setting, "an object store needs the extra nissa[objects]") from None
        self._obstore: Any = obstore
        self._url, self._failures = url, (BaseError, OSError)
        try:
            self._store: Any = from_url(url)
        except self._failures as error:
            raise ConfigInvalid(setting, _one_line(error)) from None

    def names(self, prefix: str) -> dict[str, int]:
        """Name -> bytes."""
        try:
            pages = self._obstore.list(self._store, prefix=prefix or None)
            return {one["path"]: one["size"] for page in pages for one in page}
        except self._failures as error:
            raise self._unavailable(error) from None

    def put(self, name: str, source: BinaryIO) -> None:
        """Copy a file; objects appear whole."""
        try:
            self._obstore.put(self._store, name, source)
        except self._failures as error:
            raise self._unavailable(error) from None

    def fetch(self, name: str, target: BinaryIO) -> bool:
        """Write the content of an object into an open file."""
        try:
            target.writelines(self._obstore.get(self._store, name).stream(min_chunk_size=PIECE_BYTES))
        except FileNotFoundError:
            return False
        except self._failures as error:
            raise self._unavailable(error) from None
        return True

    def read(self, name: str) -> bytes | None:
        """The content of an object."""
        try:
            return bytes(self._obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None
        except self._failures as error:
            raise self._unavailable(error) from None

    def delete(self, name: str) -> None:
        """Delete an object."""
        try:
            self._obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except self._failures as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: BaseException) -> Unavailable:
        return Unavailable(f"{self._url}: {_one_line(error)}", RETRY_S)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the disk name the file. Raises: Unavailable."""
    try:
        yield
    except OSError as error:
        raise disk_refused(path, error) from error


def disk_refused(path: Path, error: OSError) -> Unavailable:
    """An error of the disk, with the file, and with the limit where one is reached."""
    hint = " (limit of the size of files: ulimit -f)" if error.errno == errno.EFBIG else ""
    return Unavailable(f"{path}: {error.strerror or error}{hint}", RETRY_S)


def _one_line(error: BaseException) -> str:
    """The message and the reason of an error of an object store, without the structure that it comes in."""
    text, _, structure = str(error).partition("Debug source:")
    reasons = _REASON.findall(structure)
    return " ".join([*text.split(), *([f"({reasons[-1]})"] if reasons else [])])[:300]
