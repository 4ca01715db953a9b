"""Facts about a running installation: what its API answers, and what its directory and its machine say."""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from nissa.cli.daemon_request import ask_daemon
from nissa.files.lock import LOCK_NAME
from nissa.files.names import CATALOGUE
from nissa.model.errors import NissaError, Unavailable

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 << 20
NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "fuse.sshfs", "fuse.s3fs"})
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
SECRETS: Final = ("password_file", "secret_file", "token_file", "credentials_file", "key_file")
EXPECTED: Final = {"/api/status": {"mode", "version"}}
TIMEX_BYTES: Final = 512  # more than struct timex has
CLOCK_ERROR: Final = 5  # adjtimex: the clock is not synchronised


class DirectoryFacts(msgspec.Struct, frozen=True):
    """The data directory and its disk. readable: paths that everybody may read. disk_bytes: of the file system, of
    which free_bytes are left for the daemon."""

    path: str
    exists: bool = False
    has_catalogue: bool = False
    file_system: str = ""
    readable: tuple[str, ...] = ()
    owner: int | None = None
    disk_bytes: int = 0
    free_bytes: int = 0


class ProcessFacts(msgspec.Struct, frozen=True):
    """The daemon's process, where it runs on this machine. files_max: its limit of open files. file_bytes_max: of the
    size of a file; None where there is none. swap_bytes: of its memory, in swap."""

    pid: int | None = None
    owner: int | None = None
    files_max: int | None = None
    file_bytes_max: int | None = None
    swap_bytes: int = 0


class MemoryFacts(msgspec.Struct, frozen=True):
    """Memory of the machine. swap_bytes: in use. waits_percent: share of the last 5 minutes in which processes waited
    for memory; None where the kernel does not say it."""

    bytes: int = 0
    swap_bytes: int = 0
    waits_percent: float | None = None


class Installation(msgspec.Struct, frozen=True):
    """Everything that is judged. error: why the API did not answer; the next three are empty then.

    readable_secrets: setting -> file of a secret that everybody may read.
    """

    api: str
    error: str = ""
    status: dict[str, Any] = {}
    accounting: dict[str, Any] = {}
    settings: dict[str, str] = {}
    directory: DirectoryFacts | None = None
    process: ProcessFacts = ProcessFacts()
    is_clock_synchronised: bool | None = None
    readable_secrets: dict[str, str] = {}
    memory: MemoryFacts = MemoryFacts()


def collect(api: str, directory: Path | None) -> Installation:
    """Ask a daemon, and look at its directory: the one given, or where it says that it is.

    Raises: BadQuery for an address that is none.
    """
    error, status, accounting, settings = "", {}, {}, {}
    try:
        status = _get(api, "/api/status")
        accounting = _get(api, "/api/v1/accounting")["data"]
        settings = _get(api, "/api/v1/status/flags")["data"]
    except NissaError as failed:
        error = str(failed)
    process = ProcessFacts()
    facts = None
    if directory is None and (told := Path(status.get("data_dir", ""))).is_absolute():
        directory = told
    if directory is not None:
        facts, process = look_at(directory), _process_of(directory)
    secrets = _readable_secrets(settings) if process.pid is not None else {}  # else its files are elsewhere
    clock, memory = _is_clock_synchronised(), memory_of_the_machine()
    return Installation(api, error, status, accounting, settings, facts, process, clock, secrets, memory)


def _get(api: str, path: str) -> Any:
    """The JSON of an answer. Raises: BadQuery, Unavailable, also where something else than Nissa answers."""
    answer = ask_daemon(api, path, None, TIMEOUT_S, ANSWER_BYTES_MAX)
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(answer)
        if isinstance(found, dict) and found.keys() >= EXPECTED.get(path, {"data"}):
            return found
    raise Unavailable(f"{api}{path}: the answer is not one of nissa-ingest; another program has the port")


def _readable_secrets(settings: dict[str, str]) -> dict[str, str]:
    """Setting -> file, of the files of secrets that everybody may read."""
    named = {name: Path(path) for name, path in _leaves("", settings) if name.endswith(SECRETS) and path}
    return {name: str(path) for name, path in named.items() if path.is_absolute() and _mode_of(path) & 0o004}


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """(dotted name, text) of settings, also inside of those that are mappings, such as sinks."""
    if isinstance(value, str) and value.startswith("{"):
        value = msgspec.json.decode(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, str):
        yield name, value


def look_at(directory: Path) -> DirectoryFacts:
    """The directory as it lies on disk."""
    if not directory.is_dir():
        return DirectoryFacts(str(directory))
    paths = [directory, *sorted(path for path in directory.iterdir() if path.is_file())]
    readable = tuple(str(path) for path in paths if _mode_of(path) & 0o004)
    if not _mode_of(directory) & 0o001:
        readable = ()  # nobody else gets to the files
    there = (directory / CATALOGUE).exists()
    owner, disk = directory.stat().st_uid, os.statvfs(directory)
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    return DirectoryFacts(str(directory), True, there, _file_system(directory), readable, owner, size, free)


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # replaced meanwhile, or not for this user to see
        return 0


def _file_system(directory: Path) -> str:
    """The kind of file system, as in /proc/self/mounts; empty where that cannot be read."""
    found, longest = "", -1
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    place = directory.resolve()
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        root = Path(point.encode().decode("unicode_escape"))
        if (root == place or root in place.parents) and len(root.parts) >= longest:
            found, longest = kind, len(root.parts)
    return found


def _process_of(directory: Path) -> ProcessFacts:
    """The process that LOCK names, if it is one of this machine and alive."""
    try:
        found = re.match(r"pid=(\d+) ", (directory / LOCK_NAME).read_text())
        if found is None:
            return ProcessFacts()
        room = Path("/proc") / found[1]
        owner = room.stat().st_uid
        swapped = re.search(r"^VmSwap:\s+(\d+) kB", (room / "status").read_text(), re.MULTILINE)
        limits = dict(re.findall(r"^Max (open files|file size) +(\d+)", (room / "limits").read_text(), re.MULTILINE))
    except OSError:
        return ProcessFacts()
    files_max, file_bytes_max = (int(limits[name]) if name in limits else None for name in ("open files", "file size"))
    return ProcessFacts(int(found[1]), owner, files_max, file_bytes_max, int(swapped[1]) << 10 if swapped else 0)


def memory_of_the_machine(proc: Path = Path("/proc")) -> MemoryFacts:
    """As the kernel says it. proc: where it does."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    kilobytes = {name: int(number) for name, number in _lines(proc / "meminfo", r"^(\w+):\s+(\d+) kB")}
    waits = dict(_lines(proc / "pressure" / "memory", r"^(some|full) .*\bavg300=([0-9.]+)"))
    swapped = max(kilobytes.get("SwapTotal", 0) - kilobytes.get("SwapFree", 0), 0) << 10
    return MemoryFacts(total, swapped, float(waits["some"]) if "some" in waits else None)


def _lines(path: Path, pattern: str) -> list[tuple[str, str]]:
    """Matches of a pattern with two groups; none where there is no such file."""
    try:
        return re.findall(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return []


def _is_clock_synchronised() -> bool | None:
    """False if the kernel says that nothing keeps its clock right; None where it cannot be asked."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != CLOCK_ERROR


def is_other_user(process: ProcessFacts) -> bool:
    """True if the command runs as another user than the daemon, and not as root."""
    return process.owner is not None and os.getuid() not in (0, process.owner)
