"""Memory of a running query: an array counts against the limit as long as it exists.

    add(array)         counted once, whoever else holds it          check(+bytes)
    the array dies     noted, and given back at the next add        check(-bytes)

Memory is released at the next call, because a destructor must not raise. Arrays of the answer exist until the end.
"""

import weakref

import numpy as np

from nissa.model.allowance import Check

SMALL_BYTES = 16 * 1024  # arrays below this are not worth counting


class Holding:
    """The arrays of one evaluation, on one thread. peak_bytes: the most that was held, small arrays by themselves."""

    def __init__(self, check: Check) -> None:
        """check: called with what is held more or less; raises where that is too much."""
        self._check = check
        self._alive: set[int] = set()
        self._freed_bytes = 0
        self._held_bytes = 0
        self.peak_bytes = 0

    def add(self, *arrays: np.ndarray) -> None:
        """Count arrays that are held from now on. Raises: what ``check`` raises."""
        added_bytes = 0
        for array in arrays:
            if array.nbytes >= SMALL_BYTES and id(array) not in self._alive:
                self._alive.add(id(array))
                weakref.finalize(array, self._let_go, id(array), array.nbytes).atexit = False
                added_bytes += array.nbytes
        freed_bytes, self._freed_bytes = self._freed_bytes, 0
        self._held_bytes += added_bytes - freed_bytes
        self.peak_bytes = max(self.peak_bytes, self._held_bytes, sum(array.nbytes for array in arrays))
        self._check(added_bytes - freed_bytes)

    def _let_go(self, number: int, freed_bytes: int) -> None:
        self._alive.discard(number)
        self._freed_bytes += freed_bytes
