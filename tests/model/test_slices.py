"""Work in slices: run at once, it gives its result; ended, it cleans up."""

import pytest

from nissa.model.slices import Slices, run_whole
from oracle.slices import end_after


def work(done: list[str], *, fails: bool = False) -> Slices[int]:
    """Two slices and a result."""
    try:
        yield 0.0
        done.append("first")
        yield 60.0
        if fails:
            raise OSError("no space")
        done.append("second")
    finally:
        done.append("closed")
    return 7


def test_all_slices_are_run_without_rests() -> None:
    """The result is returned, and errors of the work are raised."""
    done: list[str] = []
    assert run_whole(work(done)) == 7
    assert done == ["first", "second", "closed"]
    with pytest.raises(OSError, match="no space"):
        run_whole(work(done, fails=True))


def test_work_that_is_ended_cleans_up() -> None:
    """Work that is ended between two slices runs its clean-up."""
    done: list[str] = []
    end_after(work(done), 2)
    assert done == ["first", "closed"]
