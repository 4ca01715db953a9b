"""The build says which it is."""

import os

from nissa._fast.build_mode import is_checked


def test_the_mode_is_told() -> None:
    """A plain yes or no; where NISSA_BUILD says what is tested, the answer it means."""
    assert is_checked() in (True, False)
    mode = os.environ.get("NISSA_BUILD")
    if mode:
        assert is_checked() == (mode in ("checked", "sanitize"))
