"""Progress of an import, in a file of the operator's: what was acknowledged is not sent again.

    $XDG_STATE_HOME/nissa/import-<hash of source and target>.json        ~/.local/state without it
    {"source": "/backup/up.jsonl", "target": "http://…", "stamp": "…", "position": [8388608, 41], "samples": 1200000}

The file is written about once a second and goes when the import is complete. Sending something twice is no harm, so
nothing depends on it but time.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

WRITE_INTERVAL_MS = 1_000


class ImportProgress(msgspec.Struct):
    """State of one input. stamp: size and time of change, or the range of time; another one begins anew."""

    source: str
    target: str
    stamp: str
    position: tuple[int, int] = (0, 0)
    samples: int = 0


class ProgressFile:
    """The file of one input."""

    def __init__(self, source: str, target: str, stamp: str, environment: Mapping[str, str]) -> None:
        """environment: of the process."""
        state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", ".")) / ".local" / "state")
        name = hashlib.sha256(f"{source}\0{target}".encode()).hexdigest()[:16]
        self.path = Path(state) / "nissa" / f"import-{name}.json"
        self._fresh = ImportProgress(source, target, stamp)
        self._written_ms = 0

    def read(self) -> ImportProgress:
        """State to go on from; that of the beginning where there is no file, or another input had it."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=ImportProgress)
        except (OSError, msgspec.MsgspecError):
            return msgspec.structs.replace(self._fresh)
        fresh = self._fresh
        same = (found.source, found.target, found.stamp) == (fresh.source, fresh.target, fresh.stamp)
        return found if same else msgspec.structs.replace(fresh)

    def write(self, progress: ImportProgress, now_ms: int, *, at_once: bool = False) -> None:
        """Note progress, if the last time was long enough ago. now_ms: a monotonic clock. Raises: OSError."""
        if not at_once and now_ms - self._written_ms < WRITE_INTERVAL_MS:
            return
        self._written_ms = now_ms
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(progress))
        fresh.replace(self.path)

    def remove(self) -> None:
        """The import is complete."""
        self.path.unlink(missing_ok=True)
