"""Descriptors 0 to 2 are there, whatever the parent closed."""

import subprocess
import sys

import pytest

LOOK = (
    "from nissa.cli.standard_streams import open_missing_streams; open_missing_streams(); import os, sys; "
    "print('out'); print('err', file=sys.stderr); sys.stdin.read(); [os.fstat(one) for one in range(3)]; "
    "os._exit(10 + os.open('/', os.O_RDONLY))"
)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_opened(closed: str) -> None:
    """Streams work, and the next file does not take their number."""
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, LOOK]
    assert subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode >= 13


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("print('text', end='')", 0, "text", ""),
        ("print('text', end=''); sys.exit(3)", 3, "text", ""),
        ("sys.exit('why')", 1, "", "why\n"),
        ("sys.exit(None)", 0, "", ""),
    ],
)
def test_a_command_ends_with_its_code_and_whole_output(command: str, code: int, out: str, err: str) -> None:
    """Buffered output is flushed; nothing registered for the end of the interpreter runs."""
    program = (
        "import atexit, sys; from nissa.cli.standard_streams import end_with; "
        f"atexit.register(print, 'late'); end_with(lambda: exec({command!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_reader_that_leaves_ends_a_command_silently() -> None:
    """A closed pipe, as of ``| head``, gives exit code 141 and nothing on standard error."""
    program = (
        "from nissa.cli.fault import run_command; from nissa.cli.standard_streams import end_with; "
        "end_with(lambda: run_command('nissa', lambda: [print('x' * 1_000) for _ in range(1_000)]))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.read(10) == b"x" * 10
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 141


def test_an_unexpected_error_has_its_traceback() -> None:
    """An unexpected error ends the process with a traceback, as without ``end_with``."""
    program = "from nissa.cli.standard_streams import end_with; end_with(lambda: 1 / 0)"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
