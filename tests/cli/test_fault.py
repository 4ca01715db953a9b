"""Exit codes and messages of commands that fail."""

import pytest

from nissa.cli.fault import INTERRUPTED, OPERATOR, OUTSIDE, OWN, run_command
from nissa.model.errors import BadQuery, ConfigInvalid, Damaged, DirectoryLocked, InvariantBroken

CASES = [
    (ConfigInvalid("a.b", "no"), OPERATOR),
    (BadQuery("no"), OPERATOR),
    (DirectoryLocked("no"), OUTSIDE),
    (Damaged("file", "no"), OUTSIDE),
    (PermissionError(13, "no"), OUTSIDE),
    (InvariantBroken("no"), OWN),
    (KeyboardInterrupt(), INTERRUPTED),
]


@pytest.mark.parametrize(("error", "code"), CASES)
def test_an_exit_code_says_whose_fault_it_is(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors on purpose end in one line and their exit code, without a traceback."""

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command("nissa x", fail)
    assert caught.value.code == code
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told == "" or told.startswith("nissa x: ")


def test_what_is_not_foreseen_keeps_its_traceback() -> None:
    """A mistake of Nissa's own is not dressed up."""
    with pytest.raises(ZeroDivisionError):
        run_command("nissa x", lambda: 1 / 0)
