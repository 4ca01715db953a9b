"""Failure of a command: one line on standard error that says what and where, and an exit code that says whose fault.

0  done                                   2  the operator's: settings, arguments, a query
1  the outside: a lock, a disk, damage    70 Nissa's own broken invariant; please report it
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from nissa.cli.text_table import printable
from nissa.model.errors import BadQuery, ConfigInvalid, Damaged, InvariantBroken, NissaError
from nissa.model.secrets import hide_in_urls

OPERATOR = 2
OUTSIDE = 1
OWN = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
CATALOGUE = "catalogue.sqlite"  # as ``store/names.py``, which is not for --help
REBUILD = "nissa rebuild"


def exit_code(error: Exception) -> int:
    """The exit code for ``error``: who is at fault."""
    if isinstance(error, ConfigInvalid | BadQuery):
        return OPERATOR
    return OWN if isinstance(error, InvariantBroken) else OUTSIDE


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run ``command``; end the process with its fault in words instead of a traceback."""
    try:
        command()
    except NissaError as error:
        print(f"{name}: {printable(hide_in_urls(str(error)))}{_remedy_of(error)}", file=sys.stderr)
        sys.exit(exit_code(error))
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is buffered still goes nowhere
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        print(f"{name}: {printable(str(error))}", file=sys.stderr)
        sys.exit(OUTSIDE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _remedy_of(error: NissaError) -> str:
    """The command that may help; empty where none does."""
    if isinstance(error, Damaged) and Path(error.path).name == CATALOGUE and REBUILD not in str(error):
        return f"; {REBUILD} {printable(str(Path(error.path).parent))} rebuilds it from the files"
    return ""


def warning(name: str) -> Callable[[str], None]:
    """A function that prints a warning of the command ``name`` on standard error."""
    return lambda text: print(f"{name}: warning: {printable(hide_in_urls(text))}", file=sys.stderr)


def existing(path: Path) -> Path:
    """``path`` where something stands there. Raises: BadQuery: a mistyped path is not an empty directory."""
    if not path.exists():
        raise BadQuery(f"{path}: no such file or directory")
    return path
