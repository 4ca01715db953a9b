"""Long work cut into slices: a generator that yields where other work may have its turn, and returns the result.

    merge    read, merge, write a row group ─ yield 0.0 ─ the next one ─ yield 0.0 ─ … ─ publish ─ return the block
    scrub    read 1 MiB ─ yield 0.1 ─ …                                   0.1: seconds of rest before the next slice

The caller decides between two slices what runs next, and may end the work there for good by ``close()``: it
leaves nothing behind then, as after an error.
"""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Slices = Generator[float, None, Result]


def run_whole(work: Slices[Result]) -> Result:
    """Run all slices at once, without rests. work: not begun yet. Returns its result. Raises: as it does."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
