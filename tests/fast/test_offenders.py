"""Top offenders of the series limit: heavy names are always found, and no counter exceeds the true count."""

import random
import threading
from collections import Counter

import pytest

from oracle.bodies import Rig, series

COUNTERS = 32


class OffendersTwin:
    """Misra and Gries, slow and obvious."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def refuse(self, name: str) -> None:
        """One more refusal."""
        if name in self.counters or len(self.counters) < COUNTERS:
            self.counters[name] += 1
        else:
            self.counters = +Counter({one: count - 1 for one, count in self.counters.items()})

    def told(self) -> list[tuple[str, int]]:
        """The worst first."""
        return sorted(self.counters.items(), key=lambda one: (-one[1], one[0]))


def refuse(rig: Rig, names: list[str]) -> None:
    """One frame of a new series per name, none of which is admitted."""
    unique = iter(range(10**9))
    rig.decode(b"".join(series([("a", str(next(unique))), ("__name__", name)]) for name in names), admit_max=0)


@pytest.mark.parametrize("seed", range(6))
def test_it_counts_as_its_twin(seed: int) -> None:
    """Few names or many, a heavy one among them or none: the same counters as the slow twin has."""
    rng = random.Random(seed)
    rig, twin = Rig(), OffendersTwin()
    spread = rng.choice((5, 32, 33, 200, 10_000))
    names = [rng.choice(("heavy", f"m{rng.randrange(spread)}", f"m{rng.randrange(40)}")) for _ in range(6_000)]
    for first in range(0, len(names), 500):
        refuse(rig, names[first : first + 500])
        for name in names[first : first + 500]:
            twin.refuse(name)
        assert rig.index.top_offenders() == twin.told()
    truth = Counter(names)
    told = dict(rig.index.top_offenders())
    assert all(count <= truth[name] for name, count in told.items())
    assert all(name in told for name, count in truth.items() if count > len(names) / (COUNTERS + 1))
    assert rig.index.refused_total == len(names)


def test_only_the_limit_offends() -> None:
    """Admitted series, and series refused for another reason, are not counted."""
    rig = Rig()
    twice = series([("__name__", "m"), ("a", "1"), ("a", "2")])
    rig.decode(series([("__name__", "fine")]) + series([("a", "b")]) + twice)
    assert rig.index.top_offenders() == []
    rig.decode(series([("__name__", "fine")]) + series([("__name__", "over")]), admit_max=0)
    assert rig.index.top_offenders() == [("over", 1)]


def test_long_names_are_cut_off_where_shown() -> None:
    """Names alike for a hundred bytes and more are counted apart; no letter is cut in two."""
    rig = Rig()
    first, second, umlauts = "x" * 200 + "1", "x" * 200 + "2", "xü" * 100
    refuse(rig, [first, second, second, umlauts, umlauts, umlauts])
    (name, count), *others = rig.index.top_offenders()
    assert (umlauts.startswith(name), count) == (True, 3)
    assert len(name.encode()) in {111, 112}
    assert others == [("x" * 112, 2), ("x" * 112, 1)]


def test_readers_beside_the_writer() -> None:
    """A reader on another thread never sees a name that is half of one and half of another."""
    rig = Rig()
    names = [letter * 100 for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    done, wrong = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            wrong.extend(one for one in rig.index.top_offenders() if one[0] not in names)

    thread = threading.Thread(target=read)
    thread.start()
    rng = random.Random(3)
    for _ in range(10):
        refuse(rig, rng.choices(names, k=2_000))
    done.set()
    thread.join()
    assert not wrong
