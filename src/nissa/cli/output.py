"""``--output``: where the bytes of a command go.

none, -                        standard output
a file, or a name without one  a file beside it, renamed when it is complete; mode and symbolic links stay
a FIFO, a device, a socket     written to as it is
"""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

STANDARD_OUTPUT = "-"

Write = Callable[[IO[bytes]], object]


def write_output(write: Write, output: Path | None) -> None:
    """Have ``write`` write to ``output``. Raises: OSError."""
    if output is None or str(output) == STANDARD_OUTPUT:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        mode = output.stat().st_mode
    except FileNotFoundError:
        mode = 0
    if mode and not stat.S_ISREG(mode):
        with output.open("wb") as file:
            write(file)
        return
    _replace(write, Path(os.path.realpath(output)), stat.S_IMODE(mode))


def _replace(write: Write, output: Path, mode: int) -> None:
    """mode: of the file that is replaced; 0 where there is none."""
    unfinished = output.with_name(output.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            if mode:
                os.fchmod(file.fileno(), mode)
            write(file)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
