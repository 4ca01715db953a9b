"""Imports beside live samples: windows are those of all samples wherever these can be known, and are never patched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nissa.files.names import IMPORT_KIND, is_tier_kind
from nissa.ingest.engine import Engine
from nissa.ingest.import_fold import ImportFolder
from nissa.model.frame import Source
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.receipt import Receipt
from nissa.model.selector import read_selector
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.verify import verify_tiers
from nissa.store.verify import verify_directory
from oracle.columns import bits_of
from oracle.engine import NOW_MS, Rig, config_of, wait_until
from oracle.ladder import same_bits, sketch_bytes, sketches_of, wider, windows_of

NAMES = ("count", "nans", "sum", "min", "max", "first", "last", "m2", "resets", "carry")
ALWAYS = (-(2**63), 2**63 - 1)
Samples = list[tuple[str, int, int]]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine with the default ladder."""
    rig = Rig(tmp_path / "data", config_of())
    try:
        yield rig
    finally:
        rig.engine.close()


def series_ids(rig: Rig) -> dict[str, int]:
    index = rig.engine.index
    return {dict(index.labels(series))["__name__"]: series for series in range(index.series_count)}


def import_all(rig: Rig, samples: Samples) -> None:
    """Import in frames of 500, and wait until all is folded."""
    for first in range(0, len(samples), 500):
        outcome = rig.send(samples[first : first + 500], Source.IMPORT)
        assert isinstance(outcome, Receipt), outcome
        assert outcome.samples == len(samples[first : first + 500]), outcome
    fold(rig)


def fold(rig: Rig) -> None:
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["imports"]["waiting"] == 0, 20)


def windows(rig: Rig, place: int) -> dict[tuple[int, int], tuple[Any, ...]]:
    """(series, start) -> numbers, and the sketch."""
    found = {}
    for batch in read_windows(rig.engine.snapshot(), place, WindowRequest(None, *ALWAYS)):
        for at, key in enumerate(zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True)):
            sketch = None
            if batch.sketch is not None:
                first, end = batch.sketch.offsets[at : at + 2]
                sketch = batch.sketch.data[first:end].tobytes()
            found[key] = (*(getattr(batch, name)[at].item() for name in NAMES), sketch)
    return found


def twin(rig: Rig, samples: Samples, place: int) -> dict[tuple[int, int], tuple[Any, ...]]:
    ids = series_ids(rig)
    rows = [(ids[name], ts_ms, bits) for name, ts_ms, bits in samples]
    expected = windows_of(rows, DEFAULT_TIERS[0].interval_ms)
    for tier in DEFAULT_TIERS[1 : place + 1]:
        expected = wider(expected, tier.interval_ms)
    sketches = sketches_of(rows, DEFAULT_TIERS[place].interval_ms) if place else {}
    return {
        key: (*(row[name] for name in NAMES), sketch_bytes(sketches[key]) if place else None)
        for key, row in expected.items()
    }


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Equal bit for bit, the sketch last."""
    numbers = zip(one[:-1], other[:-1], strict=True)
    return one[-1] == other[-1] and all(same_bits(float(left), float(right)) for left, right in numbers)


def history(rng: np.random.Generator, names: int, count: int, first_ms: int, last_ms: int) -> Samples:
    times = rng.integers(first_ms, last_ms, count).tolist()
    return [
        (f"m{rng.integers(names)}", ts_ms, int(np.float64(round(float(rng.normal()), 3)).view(np.uint64)))
        for ts_ms in times
    ]


def check_all(rig: Rig, samples: Samples) -> None:
    """Each tier has the windows of all these samples, as far back as it keeps any."""
    for place, tier in enumerate(DEFAULT_TIERS):
        above = DEFAULT_TIERS[min(place + 1, 3)].interval_ms
        from_ms = -(-(rig.now_ms - tier.retention_ms) // above) * above if place < 3 else 0
        found, expected = windows(rig, place), twin(rig, samples, place)
        expected = {key: row for key, row in expected.items() if key[1] >= from_ms}
        assert {key for key in found if key[1] >= from_ms} == expected.keys(), place
        for key, row in expected.items():
            assert same(found[key], row), (place, key, found[key], row)
    reports = list(verify_tiers(rig.path))
    assert not any(report.count for report in reports), reports
    assert verify_directory(rig.path).sound


def tier_blocks(rig: Rig) -> set[str]:
    """Paths of all blocks of windows."""
    return {block.path for block in rig.engine.snapshot().blocks if is_tier_kind(block.kind)}


def all_ages(rng: np.random.Generator, names: int, count: int, now_ms: int) -> Samples:
    """Samples of sixty days, more of the newer ones."""
    samples = [history(rng, names, count, now_ms - age_ms, now_ms) for age_ms in (60 * DAY_MS, 8 * DAY_MS, DAY_MS)]
    return [sample for part in samples for sample in part]


@pytest.mark.long
def test_history_is_folded_into_the_tier_of_its_age(rig: Rig) -> None:
    """An import into an empty directory gives, at each age, the windows of a batch; again nothing changes."""
    samples = all_ages(np.random.default_rng(1), 5, 300, NOW_MS)
    import_all(rig, samples)
    check_all(rig, samples)
    before = tier_blocks(rig)
    import_all(rig, samples)
    assert tier_blocks(rig) == before
    rig.restart()
    fold(rig)
    check_all(rig, samples)


def test_what_was_sealed_before_a_kill_is_folded_after_the_start(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more needs to be sealed for it."""
    samples = all_ages(np.random.default_rng(5), 3, 100, NOW_MS)
    with monkeypatch.context() as patch:
        patch.setattr(ImportFolder, "advance", lambda *_: iter(()))
        assert isinstance(rig.send(samples, Source.IMPORT), Receipt)
        rig.engine.flush()
        rig.engine.close()
    rig.engine = rig._open()
    assert rig.engine.status().facts()["head"]["samples"] == 0
    wait_until(lambda: rig.engine.status().facts()["imports"]["waiting"] == 0, 20)
    check_all(rig, samples)


def test_a_seal_before_the_fold_lets_the_ladder_go_first(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window gets a sample stored like a live one, then an imported one, both sealed once the ladder was written."""
    window_ms = NOW_MS // (5 * MINUTE_MS) * 5 * MINUTE_MS - 350 * MINUTE_MS
    earlier = [("m", NOW_MS - 8 * HOUR_MS, bits_of(1.0)), ("m", NOW_MS - MINUTE_MS, bits_of(2.0))]
    stored, imported = [("m", window_ms + 1000, bits_of(3.0))], [("m", window_ms + 2000, bits_of(4.0))]
    advance, sealed = ImportFolder.advance, []

    def seal_and_advance(*arguments: Any) -> Any:
        if not sealed:
            sealed.append(rig.send(stored, Source.IMPORT))
            rig.now_ms += 40 * MINUTE_MS
            sealed.append(rig.send(imported, Source.IMPORT))
            rig.engine.flush()
        return advance(*arguments)

    monkeypatch.setattr(ImportFolder, "advance", seal_and_advance)
    import_all(rig, earlier)
    wait_until(lambda: len(sealed) == 2)
    fold(rig)
    check_all(rig, earlier + stored + imported)
    assert imports(rig)["kept"] == 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_imports_in_any_order_beside_live_samples(rig: Rig, seed: int) -> None:
    """Imports in parts and again, live and late samples, seals, restarts and kills: always the windows of a batch."""
    rng = np.random.default_rng(seed)
    everything: Samples = []
    for turn in range(8):
        rig.now_ms += int(rng.integers(1, 20)) * MINUTE_MS
        samples = all_ages(rng, 4, 25, rig.now_ms - 2 * MINUTE_MS)
        samples += [everything[at] for at in rng.integers(0, max(len(everything), 1), 20).tolist() if everything]
        live = history(rng, 4, 40, rig.now_ms - 5 * HOUR_MS, rig.now_ms)
        for part in (samples, live):
            outcome = rig.send(part, Source.HTTP if part is live else Source.IMPORT)
            assert isinstance(outcome, Receipt), outcome
            assert outcome.samples == len(part), outcome
            everything += part
        step = rng.integers(5)
        if step == 0:
            rig.restart()
        elif step == 1:
            rig.crash()
        elif step < 4:
            rig.engine.flush()
        if turn % 4 == 3:
            fold(rig)
            check_all(rig, everything)


def imports(rig: Rig) -> dict[str, int]:
    """Facts of the status."""
    return dict(rig.engine.status().facts()["imports"])


def test_windows_whose_samples_are_gone_stay(tmp_path: Path) -> None:
    """After retention the same import changes nothing, another one is left out of these windows, and counted."""
    steady_ms = 0
    rig = Rig(tmp_path / "data", config_of())
    rig.engine.close()
    rig.engine = Engine(rig.path, rig.config, lambda: rig.now_ms, lambda: ("boot", steady_ms))
    try:
        start_ms = NOW_MS // DAY_MS * DAY_MS - 3 * DAY_MS
        samples = [("m", start_ms + at * 10_000, bits_of(float(at))) for at in range(600)]
        import_all(rig, samples)
        before = [windows(rig, place) for place in range(4)]
        steady_ms += 7 * HOUR_MS
        rig.now_ms += 7 * HOUR_MS
        wait_until(lambda: not any(block.kind == IMPORT_KIND for block in rig.engine.snapshot().blocks))
        others = [("m", ts_ms + 1, bits_of(0.5)) for _, ts_ms, _ in samples[:30]]
        import_all(rig, others)
        assert (imports(rig)["kept"], imports(rig)["kept_samples"]) == (1, len(others))
        import_all(rig, samples)
        assert (imports(rig)["there"], imports(rig)["kept_samples"]) == (20, len(others))
        assert [windows(rig, place) for place in range(4)] == before
        import_all(rig, [("m", start_ms - 1, bits_of(1.0))])
        for place, tier in enumerate(DEFAULT_TIERS[1:], 1):
            after = windows(rig, place)
            first_ms = (start_ms - 1) // tier.interval_ms * tier.interval_ms
            assert after.keys() - before[place].keys() == {(0, first_ms)}
            assert {key: after[key] for key in before[place]} == before[place]
    finally:
        rig.engine.close()


@pytest.mark.long
def test_deleted_and_imported_again(rig: Rig) -> None:
    """A deletion takes imported samples out, waiting ones too; imported afterwards they are there again."""
    samples = all_ages(np.random.default_rng(3), 2, 60, NOW_MS)
    import_all(rig, samples)
    assert isinstance(rig.send([("m0", NOW_MS - 3 * DAY_MS, bits_of(5.0))], Source.IMPORT), Receipt)
    assert rig.engine.admin.delete_series([read_selector('{__name__="m0"}')], ALWAYS) is not None
    fold(rig)
    left = [sample for sample in samples if sample[0] != "m0"]
    check_all(rig, left)
    import_all(rig, samples)
    check_all(rig, samples)


def test_repeated_rows_are_duplicates(rig: Rig) -> None:
    """Equal samples of one import, and those that go with live samples, are counted as duplicates when sealed."""
    samples = [("m", NOW_MS - age_ms, bits_of(1.0)) for age_ms in (DAY_MS, DAY_MS, DAY_MS + 1, HOUR_MS, HOUR_MS)]
    import_all(rig, samples)
    counters = rig.engine.accounting()["import/remote_write_1"]
    assert (counters.received, counters.stored, counters.duplicate, counters.unaccounted) == (5, 3, 2, 0)
