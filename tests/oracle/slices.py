"""Work in slices that is ended before it is done."""

from typing import Any

from nissa.model.slices import Slices


def end_after(work: Slices[Any], slices: int) -> None:
    """Run so many slices, then end the work, as when the engine closes; AssertionError where it had ended before."""
    for _ in range(slices):
        assert next(work, None) is not None
    work.close()
