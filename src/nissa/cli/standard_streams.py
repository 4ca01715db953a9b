"""Opens standard input, output and error if the parent process has closed them.

With descriptor 0, 1 or 2 closed the next file or socket would take its number: what prints would write into it, and
libuv aborts the process. Such a descriptor is opened on /dev/null before anything else is.

At its end a command flushes its streams and leaves without Python's finalization: that ends threads wherever they are,
and one inside of a C++ library aborts the process after complete output.
"""

import os
import sys
from collections.abc import Callable

_DESCRIPTORS = (0, 1, 2)


def open_missing_streams() -> None:
    """Open descriptors 0 to 2 on /dev/null where they are closed, and the streams of ``sys`` on them."""
    for wanted in _DESCRIPTORS:
        try:
            os.fstat(wanted)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != wanted:
                os.dup2(opened, wanted)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def end_with(command: Callable[[], object]) -> None:
    """Run ``command``, flush the streams, and end the process with its exit code.

    An error other than SystemExit ends it as ever, with a traceback.
    """
    try:
        command()
        code: object = 0
    except SystemExit as end:
        code = end.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1  # the reader of the output went away
    os._exit(code or 0)
