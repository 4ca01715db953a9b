"""Series brought back from the series table: the index is the one that was saved, and what does not fit is told."""

import random

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import restore_series
from nissa.model.errors import InvariantBroken
from oracle.bodies import Rig, series


def saved(index: SeriesIndex) -> tuple[np.ndarray, ...]:
    """What ``restore_series`` takes, from what the index gives: one dictionary for names, one for values."""
    count = index.series_count
    starts, pairs = index.pairs_of(0, count)
    columns: list[np.ndarray] = []
    for side in (0, 1):
        used, places = np.unique(pairs[:, side], return_inverse=True)
        texts = [index.symbol_text(int(symbol)).encode() for symbol in used]
        offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        columns += [places.reshape(-1).astype(np.uint32), offsets, np.frombuffer(b"".join(texts) or b"", np.uint8)]
    return index.fingerprints_of(0, count), starts.astype(np.int64), *columns


def filled() -> Rig:
    """Some hundred series of few names and values."""
    rig = Rig()
    rng = random.Random(2)
    sets = [[("__name__", f"m{rng.randrange(9)}"), (f"n{rng.randrange(9)}", rng.choice("ab日"))] for _ in range(300)]
    rig.decode(b"".join(map(series, sets)))
    return rig


@pytest.mark.parametrize("minute", [0, 5])
def test_restore_gives_an_identical_index(minute: int) -> None:
    """An index restored from its saved columns has the same series and symbols, and goes on the same way."""
    rig, restored = filled(), Rig()
    restore_series(restored.index, *saved(rig.index), minute)
    assert restored.labels() == rig.labels()
    count = rig.index.series_count
    assert np.array_equal(restored.index.fingerprints_of(0, count), rig.index.fingerprints_of(0, count))
    symbols = rig.index.symbol_count
    assert restored.index.symbol_count == symbols
    assert {restored.index.symbol_text(n) for n in range(symbols)} == {rig.index.symbol_text(n) for n in range(symbols)}
    assert restored.index.active_count == (count if minute else 0)
    more = series([("__name__", "m1"), ("n1", "a")]) + series([("__name__", "new")])
    rig.decode(more)
    restored.decode(more)
    assert restored.rows() == rig.rows()
    assert restored.labels() == rig.labels()


def test_pieces_follow_one_another() -> None:
    """A table of several pieces, each with dictionaries of its own, and an empty one among them."""
    rig, restored = filled(), Rig()
    prints, starts, *text = saved(rig.index)
    for first, last in ((0, 100), (100, 100), (100, len(prints))):
        parts = [part[starts[first] : starts[last]] if at % 3 == 0 else part for at, part in enumerate(text)]
        restore_series(restored.index, prints[first:last], starts[first : last + 1] - starts[first], *parts, 1)
    assert restored.labels() == rig.labels()


def test_restore_refuses_what_does_not_fit() -> None:
    """Damaged columns of a series table are told as such; nothing outside them is read."""
    rig = filled()
    good = saved(rig.index)
    for which, change in (
        (0, lambda prints: prints[::-1].copy()),
        (0, lambda prints: np.repeat(prints, 2, 1)),
        (1, lambda starts: starts[:-1].copy()),
        (1, lambda starts: starts + 10**12),
        (1, lambda starts: starts[::-1].copy()),
        (2, lambda places: places + np.uint32(1)),
        (2, lambda places: places - np.uint32(1)),
        (2, lambda places: places[:5].copy()),
        (3, lambda offsets: offsets + 1),
        (3, lambda offsets: -offsets),
        (3, lambda offsets: offsets[:0].copy()),
        (4, lambda data: data[:-1].copy()),
        (5, lambda places: places[::-1].copy()),
        (6, lambda offsets: offsets[:2].copy()),
        (7, lambda data: np.full(len(data), ord("x"), np.uint8)),
    ):
        damaged = [change(part) if at == which else part for at, part in enumerate(good)]
        with pytest.raises(InvariantBroken):
            restore_series(Rig().index, *damaged, 0)
    restored = Rig()
    restore_series(restored.index, *good, 0)
    with pytest.raises(InvariantBroken, match="labels of an earlier one"):
        restore_series(restored.index, *good, 0)


def test_too_many_labels_are_no_series() -> None:
    """A series of the table has no more labels than one may bring on the wire."""
    prints, starts = np.zeros((1, 2), np.uint64), np.array([0, 257])
    places, offsets, text = np.zeros(257, np.uint32), np.array([0, 1]), np.frombuffer(b"a", np.uint8)
    with pytest.raises(InvariantBroken, match="more than 256 labels"):
        restore_series(Rig().index, prints, starts, places, offsets, text, places, offsets, text, 0)


def test_a_wrong_secret_is_noticed() -> None:
    """Series of another directory do not restore."""
    with pytest.raises(InvariantBroken, match="fingerprint"):
        restore_series(SeriesIndex(b"another secret, 32 bytes or more"), *saved(filled().index), 0)
