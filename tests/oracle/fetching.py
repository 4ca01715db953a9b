"""Peers that are fetched once and kept in the temporary directory: one process fetches, the others wait for it."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept(kind: str, name: str = "") -> Iterator[Path]:
    """The folder that keeps what is fetched; no other process is in this block meanwhile, as xdist runs several."""
    place = Path(tempfile.gettempdir()) / f"nissa-{kind}-{os.getuid()}" / name
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
