"""The series index: identity is never confused, limits hold, readers need no lock, saved series are restored."""

import itertools
import random
import threading
from functools import partial

import numpy as np
import pytest

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import active_series, fingerprints_of, restore_seen, seen_minutes_of
from nissa.model.errors import Malformed
from oracle.bodies import Rig, field, label, request_2, sample, series
from oracle.series import IndexTwin, Limits, Record, identity
from oracle.wire import varint

UP = [("__name__", "up")]
ANY = 60  # an unknown field number
SEPARATORS = "{}\",=\0\n\x1e\x1f;:|/\\'_. ab"


def test_joined_alike_is_not_the_same() -> None:
    """None of over a million pairs of label sets that are one text when joined naively is merged."""
    rng = random.Random(11)
    sets, pairs_count = {}, 0
    for number in range(80):
        text = "".join(rng.choices(SEPARATORS, k=12)) + str(number)
        cuts = list(itertools.combinations(range(1, len(text)), 3))
        pairs_count += len(cuts) * (len(cuts) - 1) // 2
        for i, j, k in cuts:
            labels = [("__name__", "m"), (text[:i], text[i:j]), (text[j:k], text[k:])]
            if len({name for name, _ in labels}) == 3:
                sets[identity(labels)] = labels
    assert pairs_count > 1_000_000
    rig = Rig()
    rig.decode(b"".join(map(series, sets.values())))
    assert rig.batch.refused == {}
    assert [tuple(labels) for labels in rig.labels()] == list(sets)


def test_separators_in_names_and_values_come_back() -> None:
    """Any text is a label name or value, and comes back as it is."""
    sets = [
        [("__name__", text), ("n" + text, text)]
        for text in (*SEPARATORS, '"},{"', "a\0b", "\u202eabc", "\u200b", "x" * 1_000)
    ]
    rig = Rig()
    rig.decode(b"".join(map(series, sets)))
    assert rig.labels() == sets


def test_normal_forms_are_different_texts() -> None:
    """Texts are bytes: composed and decomposed letters, confusables and cases make different series."""
    names = ["é", "e\u0301", "a", "\u0430", "A", "Å", "\u212b", "A\u030a"]
    rig = Rig()
    rig.decode(b"".join(series([("__name__", name)]) for name in names))
    assert rig.index.series_count == len(names)


def test_order_protocol_and_spelling_do_not_matter() -> None:
    """The same set in any order, with absent labels, in 1.0 and 2.0, interrupted by samples: one id."""
    pairs = [("__name__", "up"), ("b", "1"), ("a", "2"), ("é", "3")]
    rig = Rig()
    for order in itertools.permutations(pairs):
        rig.decode(series(order))
        rig.decode(series([*order, ("absent", "")]))
        rig.decode(request_2(order), 2)
        rig.decode(request_2([*order, ("absent", "")]), 2)
    halves = b"".join(label(*pair) for pair in pairs[:2]), b"".join(label(*pair) for pair in pairs[2:])
    rig.decode(field(1, halves[0] + sample() + halves[1]))
    rig.decode(field(1, sample() + halves[1] + halves[0]))
    long_spelt = b"\x0a" + varint(len(label("__name__", "up")) - 2, 1) + label("__name__", "up")[2:]
    rig.decode(field(1, long_spelt + halves[1] + label("b", "1") + sample()))
    assert rig.labels() == [sorted(pairs, key=lambda pair: pair[0].encode())]


def test_labels_are_sorted_by_bytes() -> None:
    """Sets of up to 60 labels in any order are sorted; a name that stands twice is found wherever it stands."""
    rng = random.Random(3)
    rig, twin = Rig(), IndexTwin()
    for _ in range(400):
        names = rng.sample(
            [f"{a}{b}" for a in "abcdeé日" for b in ("", "a", "aa", "b", "\0", "z", "~", "A")], rng.randrange(1, 55)
        )
        labels = [("__name__", "m"), *((name, "v") for name in names)]
        rng.shuffle(labels)
        if rng.random() < 0.3:
            labels.insert(rng.randrange(len(labels)), rng.choice(labels))
        record = Record(labels, [(60_000, 0)])
        twin.resolve([record], 1, 1 << 40)
        rig.decode(series(labels))
        assert rig.batch.refused == ({record.refusal: 1} if record.refusal else {})
    assert [tuple(labels) for labels in rig.labels()] == twin.series


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "name_missing"),
        ([("a", "b")], "name_missing"),
        ([("__name__", "")], "name_missing"),
        ([("__name__", "up"), ("", "b")], "label_name_empty"),
        ([("__name__", "up"), ("", "")], "label_name_empty"),
        ([("__name__", "up"), ("a", "b"), ("a", "b")], "label_duplicate"),
        ([("__name__", "up"), ("a", "b"), ("a", "c")], "label_duplicate"),
        ([("__name__", "up"), ("__name__", "up")], "label_duplicate"),
        ([("__name__", "up"), ("n" * 1_025, "b")], "label_too_long"),
        ([("__name__", "up"), ("n", "v" * 65_536)], "label_too_long"),
        ([("__name__", "up"), *((f"n{number}", "v") for number in range(64))], "labels_too_many"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_refused_label_sets(labels: list[tuple[str, str]], reason: str, version: int) -> None:
    """Each rule of a label set has its reason; the rest of the frame is kept, and nothing of the refused series."""
    rig = Rig()
    rig.decode(request_2(labels, UP) if version == 2 else series(labels) + series(UP), version)
    assert rig.batch.refused == rig.batch.refused_rows == {reason: 1}
    assert rig.labels() == [UP]
    assert rig.index.symbol_count == 2


def test_label_sets_at_their_limits_are_taken() -> None:
    """Exactly the longest and the most labels are kept; labels with an empty value do not count."""
    rig = Rig()
    most = [("__name__", "m"), *((f"n{number:02}", "v") for number in range(63))]
    longest = [("__name__", "m"), ("n" * 1_024, "v" * 65_535), ("twice", ""), ("twice", "")]
    rig.decode(series(most) + series(longest) + series([*most, *((f"absent{number}", "") for number in range(190))]))
    assert rig.batch.refused == {}
    assert rig.labels() == [sorted(most), longest[:2]]


@pytest.mark.parametrize("count", [254, 255, 256, 257, 258, 1_000])
def test_labels_on_the_wire_have_a_maximum(count: int) -> None:
    """A series may bring 256 labels; how many of them are present is the index's limit."""
    rig = Rig(bytes(32), 1_000_000, 256)
    pairs = [("__name__", "m"), *((f"n{number:04}", "v") for number in range(count - 1))]
    for version, body in ((1, series(pairs)), (2, request_2(pairs))):
        rig.decode(body, version)
        assert rig.batch.refused == ({} if count <= 256 else {"labels_too_many": 1})
    assert rig.labels() == ([pairs] if count <= 256 else [])


def test_labels_beyond_the_maximum_are_not_read() -> None:
    """A series with one label too many is refused for that, and later labels are not read."""
    pairs = [("__name__", "m"), *((f"n{number}", "v") for number in range(300))]
    rig = Rig()
    rig.decode(series([*pairs, ("last", b"\xff")]))
    assert rig.batch.refused == {"labels_too_many": 1}


def test_new_series_over_the_limit_are_refused() -> None:
    """With the limit reached, known series flow on in full; new ones are refused, counted and leave nothing."""
    rig = Rig()
    rig.decode(b"".join(series([("__name__", f"m{number}")]) for number in range(10)), admit_max=3)
    assert (rig.batch.samples, rig.batch.refused, rig.batch.series_new) == (3, {"series_limit": 7}, 3)
    assert rig.labels() == [[("__name__", f"m{number}")] for number in range(3)]
    before = rig.size()
    rig.decode(series([("__name__", "m9")], sample(), sample()) + series([("__name__", "m2")]), admit_max=0)
    assert (rig.batch.samples, rig.batch.refused, rig.batch.series_new) == (1, {"series_limit": 2}, 0)
    assert rig.size() == before
    assert rig.index.refused_total == 8


def test_admission_repeats_exactly() -> None:
    """A frame decoded again with as many new series as it was given admits the same ones, under the same ids."""
    rng = random.Random(8)
    frames = [b"".join(series([("__name__", f"m{rng.randrange(60)}")]) for _ in range(12)) for _ in range(30)]
    first, again = Rig(), Rig()
    for body in frames:
        first.decode(body, admit_max=max(40 - first.index.active_count, 0))
        rows, refused = first.rows(), first.batch.refused
        again.decode(body, admit_max=first.batch.series_new)
        assert (again.rows(), again.batch.refused) == (rows, refused)
    assert first.index.series_count == 40
    assert first.labels() == again.labels()


def test_idle_series_come_back_under_their_id() -> None:
    """A sweep makes series idle, which frees room; on return they count as new and keep their id."""
    rig = Rig()
    rig.decode(series(UP) + series([("__name__", "down")]), minute=10)
    rig.decode(series(UP), minute=20)
    assert rig.index.sweep(20) == 1
    assert seen_minutes_of(rig.index).tolist() == [20, 0]
    assert rig.index.active_count == 1
    rig.decode(series([("__name__", "down")]), minute=21, admit_max=0)
    assert rig.batch.refused == {"series_limit": 1}
    rig.decode(series([("__name__", "down")]), minute=21, admit_max=1)
    assert rig.batch.series_new == 1
    assert rig.batch.columns()[0].tolist() == [1]
    assert rig.size() == (2, 3, 2)


def test_a_refused_frame_keeps_no_series_alive() -> None:
    """Being seen in a malformed frame, or without a sample, does not keep a series from becoming idle."""
    rig = Rig()
    rig.decode(series(UP), minute=10)
    for body in (series(UP) + b"\x0a\x05", series(UP, field(2, b"\x08")), field(1, label(*UP[0]))):
        try:
            rig.decode(body, minute=30)
        except Malformed:
            assert len(rig.batch) == 0
    assert seen_minutes_of(rig.index).tolist() == [10]


def test_minutes_seen_are_restored() -> None:
    """restore_seen makes series as they were and the others idle; what cannot be is refused."""
    rig = Rig()
    rig.decode(series(UP) + series([("__name__", "down")]) + series([("__name__", "late")]), minute=10)
    restore_seen(rig.index, np.array([2, 0], np.uint32), np.array([7, 8], np.uint32))
    assert seen_minutes_of(rig.index).tolist() == [8, 0, 7]
    assert [part.tolist() for part in active_series(rig.index)] == [[2, 0], [7, 8]]
    assert rig.index.active_count == 2
    assert rig.index.sweep(8) == 1
    assert [part.tolist() for part in active_series(rig.index)] == [[0], [8]]
    for wrong, minutes in (([3], [1]), ([1], [0]), ([1, 1], [5, 5]), ([1], [])):
        with pytest.raises(IndexError):
            restore_seen(rig.index, np.array(wrong, np.uint32), np.array(minutes, np.uint32))


def filled() -> Rig:
    rig = Rig()
    rng = random.Random(2)
    sets = [[("__name__", f"m{rng.randrange(9)}"), (f"n{rng.randrange(9)}", rng.choice("ab日"))] for _ in range(300)]
    rig.decode(b"".join(map(series, sets)))
    return rig


def test_a_secret_has_a_length() -> None:
    """Fewer than 32 bytes are none."""
    with pytest.raises(ValueError, match="at least 32 bytes, got 31"):
        SeriesIndex(bytes(31))


def test_ranges_are_checked() -> None:
    """Series and symbols that do not exist are IndexErrors, also where the sum would wrap."""
    index = filled().index
    count, symbols = index.series_count, index.symbol_count
    for ask, total in ((partial(fingerprints_of, index), count), (index.pairs_of, count), (index.symbols_of, symbols)):
        ask(total, 0)
        ask(0, total)
        for first, size in ((0, total + 1), (total, 1), (total + 1, 0), (2**64 - 1, 2), (1, 2**64 - 1)):
            with pytest.raises(IndexError):
                ask(first, size)
    for last in (count, 2**32 - 1):
        with pytest.raises(IndexError):
            index.pairs_of_each(np.array([0, last], np.uint32))
    for ask_one in (index.labels, index.symbol_text):
        with pytest.raises(IndexError):
            ask_one(2**40)


def test_labels_of_some_series() -> None:
    """Labels of series in any order are those of each; of none there are none."""
    index = filled().index
    wanted = np.random.default_rng(3).permutation(index.series_count).astype(np.uint32)[:100]
    starts, pairs = index.pairs_of_each(wanted)
    for at, one in enumerate(wanted.tolist()):
        own = pairs[starts[at] : starts[at + 1]].tolist()
        assert [tuple(map(index.symbol_text, pair)) for pair in own] == index.labels(one)
    starts, pairs = index.pairs_of_each(np.empty(0, np.uint32))
    assert (starts.tolist(), pairs.shape) == ([0], (0, 2))


@pytest.mark.long
def test_readers_need_no_lock() -> None:
    """While the writer registers series, other threads read every published one in full."""
    rig = Rig()
    done = threading.Event()
    wrong: list[object] = []
    reads = [0, 0]

    def read(which: int) -> None:
        rng = random.Random(which)
        while not done.is_set() or not reads[which]:
            count = rig.index.series_count
            if not count:
                continue
            for one in (count - 1, rng.randrange(count)):
                number = dict(rig.index.labels(one)).get("n")
                if number != str(one) or rig.index.labels(one) != [
                    ("__name__", "m"),
                    (f"k{one % 97}", "v" * (one % 7 + 1)),
                    ("n", str(one)),
                ]:
                    wrong.append((one, rig.index.labels(one)))
            starts, pairs = rig.index.pairs_of(0, count)
            if int(starts[-1]) != len(pairs) or int(pairs.max()) >= rig.index.symbol_count:
                wrong.append(count)
            counts = rig.index.value_counts(-1)
            if counts[0] < count:
                wrong.append(("names", count))
            reads[which] += 1

    threads = [threading.Thread(target=read, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for first in range(0, 40_000, 400):
        rig.decode(
            b"".join(
                series([("__name__", "m"), (f"k{number % 97}", "v" * (number % 7 + 1)), ("n", str(number))])
                for number in range(first, first + 400)
            )
        )
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert rig.index.series_count == 40_000


def test_raw_forms_may_be_forgotten() -> None:
    """Many spellings of few series: the shortcuts are dropped when there are too many, and every id stays right."""
    rig = Rig()
    for first in range(0, 80_000, 8_000):
        body = b"".join(
            field(
                1,
                label("__name__", f"m{number % 5}")
                + field(1, field(1, b"a") + field(ANY, number))
                + sample(float(number)),
            )
            for number in range(first, first + 8_000)
        )
        rig.decode(body)
        assert rig.batch.columns()[0].tolist() == [number % 5 for number in range(first, first + 8_000)]
    assert rig.index.series_count == 5
    assert rig.index.memory_bytes < 8_000_000


def test_admission_agrees_with_the_twin() -> None:
    """Frames, sweeps and limits in any order: ids, refusals and activity are those of the twin."""
    rng = random.Random(21)
    rig, twin = Rig(), IndexTwin(Limits())
    for step in range(2_000):
        minute = 1 + step // 10
        if rng.random() < 0.1:
            assert rig.index.sweep(minute - 3 if minute > 3 else 0) == twin.sweep(max(minute - 3, 0))
        sets = [[("__name__", f"m{rng.randrange(80)}")] for _ in range(rng.randrange(8))]
        room = max(50 - twin.active_count, 0)
        records = [Record(labels, [(60_000, 0)]) for labels in sets]
        new = twin.resolve(records, minute, room)
        rig.decode(b"".join(map(series, sets)), minute=minute, admit_max=room)
        assert rig.batch.series_new == new
        assert rig.batch.columns()[0].tolist() == [record.series for record in records if record.series is not None]
        assert seen_minutes_of(rig.index).tolist() == twin.seen
        assert rig.size() == (len(twin.series), twin.symbol_count, twin.active_count)
