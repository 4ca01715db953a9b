"""Series restored from the series table: the index equals the saved one, and columns that do not fit are refused."""

import random

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa._fast.series_drop import dropped_series
from nissa._fast.series_restore import fingerprints_of, give_out_ids, restore_series
from nissa.model.errors import InvariantBroken
from oracle.bodies import Rig, series


def saved(index: SeriesIndex) -> tuple[np.ndarray, ...]:
    """Arguments of ``restore_series`` from an index, with one dictionary for names and one for values."""
    count = index.series_count
    starts, pairs = index.pairs_of(0, count)
    columns: list[np.ndarray] = []
    for side in (0, 1):
        used, places = np.unique(pairs[:, side], return_inverse=True)
        texts = [index.symbol_text(int(symbol)).encode() for symbol in used]
        offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        columns += [places.reshape(-1).astype(np.uint32), offsets, np.frombuffer(b"".join(texts) or b"", np.uint8)]
    return np.arange(count, dtype=np.uint32), fingerprints_of(index, 0, count), starts.astype(np.int64), *columns


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
    assert np.array_equal(fingerprints_of(restored.index, 0, count), fingerprints_of(rig.index, 0, count))
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
    ids, prints, starts, *text = saved(rig.index)
    for first, last in ((0, 100), (100, 100), (100, len(prints))):
        parts = [part[starts[first] : starts[last]] if at % 3 == 0 else part for at, part in enumerate(text)]
        restore_series(
            restored.index, ids[first:last], prints[first:last], starts[first : last + 1] - starts[first], *parts, 1
        )
    assert restored.labels() == rig.labels()


def test_restore_refuses_what_does_not_fit() -> None:
    """Damaged columns of a series table are refused, and nothing outside of them is read."""
    rig = filled()
    good = saved(rig.index)
    for which, change in (
        (0, lambda ids: ids[::-1].copy()),
        (0, lambda ids: ids[:-1].copy()),
        (0, lambda ids: np.where(ids == 7, 6, ids).astype(np.uint32)),
        (0, lambda ids: np.where(ids == ids[-1], 2**31, ids).astype(np.uint32)),
        (1, lambda prints: prints[::-1].copy()),
        (1, lambda prints: np.repeat(prints, 2, 1)),
        (2, lambda starts: starts[:-1].copy()),
        (2, lambda starts: starts + 10**12),
        (2, lambda starts: starts[::-1].copy()),
        (3, lambda places: places + np.uint32(1)),
        (3, lambda places: places - np.uint32(1)),
        (3, lambda places: places[:5].copy()),
        (4, lambda offsets: offsets + 1),
        (4, lambda offsets: -offsets),
        (4, lambda offsets: offsets[:0].copy()),
        (5, lambda data: data[:-1].copy()),
        (6, lambda places: places[::-1].copy()),
        (7, lambda offsets: offsets[:2].copy()),
        (8, lambda data: np.full(len(data), ord("x"), np.uint8)),
    ):
        damaged = [change(part) if at == which else part for at, part in enumerate(good)]
        with pytest.raises(InvariantBroken):
            restore_series(Rig().index, *damaged, 0)


def test_fingerprints_are_made_anew_where_their_key_is_lost() -> None:
    """With ``signed`` false the fingerprints of the table are ignored, and computed from the labels."""
    rig, restored = filled(), Rig()
    ids, prints, *labels = saved(rig.index)
    restore_series(restored.index, ids, np.zeros_like(prints), *labels, 0, signed=False)
    assert fingerprints_of(restored.index, 0, len(prints)).tolist() == prints.tolist()


def test_series_that_are_not_known_by_their_labels_keep_their_ids() -> None:
    """New ones with the same labels come beside them: both are answered, and new samples belong to the later ones."""
    rig, restored = filled(), Rig()
    ids, *columns = saved(rig.index)
    restore_series(restored.index, ids, *columns, 0, known=False)
    restored.decode(series(rig.index.labels(7)))
    assert restored.batch.columns()[0].tolist() == [len(ids)]
    restore_series(restored.index, ids + np.uint32(1_000), *columns, 0)
    dropped = dropped_series(restored.index).tolist()
    assert dropped == [len(ids)]
    assert restored.index.filter(()).tolist() == [*ids.tolist(), *(ids + 1_000).tolist()]


def test_ids_only_go_up() -> None:
    """A piece behind others has ids behind theirs, and no more ids are given out than there are."""
    good, restored = saved(filled().index), Rig()
    restore_series(restored.index, *good, 0)
    with pytest.raises(InvariantBroken, match="do not ascend behind"):
        restore_series(restored.index, *good, 0)
    with pytest.raises(InvariantBroken, match="more than there are"):
        give_out_ids(restored.index, 2**31)


def test_gaps_in_ids_stay() -> None:
    """Series are restored under their ids, ids between them stay unused, and new ids follow the last given out."""
    rig, restored = filled(), Rig()
    ids, *columns = saved(rig.index)
    some = ids * np.uint32(3) + np.uint32(5)
    restore_series(restored.index, some, *columns, 0)
    give_out_ids(restored.index, 5_000)
    index = restored.index
    assert (index.series_count, index.known_count) == (5_000, len(ids))
    assert index.filter(()).tolist() == some.tolist()
    starts, pairs = index.pairs_of(0, 5_000)
    whole, same = rig.index.pairs_of(0, len(ids))
    assert len(pairs) == len(same)
    for one in range(5_000):
        place, rest = divmod(one - 5, 3)
        if rest or not 0 <= place < len(ids):
            assert starts[one] == starts[one + 1]
            with pytest.raises(IndexError):
                index.labels(one)
        else:
            assert index.labels(one) == rig.index.labels(place)
            assert starts[one + 1] - starts[one] == whole[place + 1] - whole[place]
            assert index.pairs_of(one, 1)[1].tolist() == pairs[starts[one] : starts[one + 1]].tolist()
    assert fingerprints_of(index, 8, 1).tolist() == columns[0][1:2].tolist()
    with pytest.raises(IndexError):
        fingerprints_of(index, 5, 2)
    restored.decode(series([("__name__", "m1"), ("n1", "a")]) + series([("__name__", "new")]))
    assert restored.batch.columns()[0][1] == 5_000


def test_of_two_series_with_the_same_labels_the_later_one_counts() -> None:
    """The earlier series had been dropped when the later one came, so it is never answered."""
    rig, restored = filled(), Rig()
    ids, *columns = saved(rig.index)
    restore_series(restored.index, ids, *columns, 0)
    restore_series(restored.index, ids + np.uint32(1_000), *columns, 0)
    assert restored.index.known_count == len(ids)
    assert restored.index.filter(()).tolist() == (ids + 1_000).tolist()
    assert dropped_series(restored.index).tolist() == ids.tolist()
    restored.decode(series(rig.index.labels(7)))
    assert restored.batch.columns()[0].tolist() == [1_007]


def test_too_many_labels_are_no_series() -> None:
    """A series of the table has no more labels than one may bring on the wire."""
    prints, starts = np.zeros((1, 2), np.uint64), np.array([0, 257])
    places, offsets, text = np.zeros(257, np.uint32), np.array([0, 1]), np.frombuffer(b"a", np.uint8)
    with pytest.raises(InvariantBroken, match="more than 256 labels"):
        restore_series(
            Rig().index, np.zeros(1, np.uint32), prints, starts, places, offsets, text, places, offsets, text, 0
        )


def test_a_wrong_secret_is_noticed() -> None:
    """Series of another directory do not restore."""
    with pytest.raises(InvariantBroken, match="fingerprint"):
        restore_series(SeriesIndex(b"another secret, 32 bytes or more"), *saved(filled().index), 0)
