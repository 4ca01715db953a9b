"""How a command fails: one line on standard error that says what and where, and an exit code that says whose fault.

0  done                                   2  the operator's: settings, arguments, a query
1  the outside: a lock, a disk, damage    70 Nissa's own broken invariant; please report it
"""

import sys
from collections.abc import Callable
from pathlib import Path

from nissa.model.errors import BadQuery, ConfigInvalid, InvariantBroken, NissaError

OPERATOR = 2
OUTSIDE = 1
OWN = 70
INTERRUPTED = 130
PIPE_CLOSED = 141


def exit_code(error: Exception) -> int:
    """The exit code that tells whose fault ``error`` is."""
    if isinstance(error, ConfigInvalid | BadQuery):
        return OPERATOR
    return OWN if isinstance(error, InvariantBroken) else OUTSIDE


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run ``command``; end the process with its fault in words instead of a traceback."""
    try:
        command()
    except NissaError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        sys.stderr.close()
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(OUTSIDE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def existing(path: Path) -> Path:
    """``path`` where something stands there. Raises: BadQuery: a mistyped path is not an empty directory."""
    if not path.exists():
        raise BadQuery(f"{path}: no such file or directory")
    return path
