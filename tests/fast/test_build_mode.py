"""The build says which it is."""

import os

from nissa._fast.build_mode import is_checked


def test_the_mode_is_told() -> None:
    """``is_checked`` is True or False, and agrees with NISSA_BUILD where that is set."""
    assert is_checked() in (True, False)
    mode = os.environ.get("NISSA_BUILD")
    if mode:
        assert is_checked() == (mode == "sanitize")
