"""Runs of remembered keys, frozen and read elsewhere; what they hold is compared with the twin in test_ttl."""

import threading

import numpy as np

from nissa._fast.ttl import TtlMap


def test_what_was_frozen_is_read_while_the_map_goes_on() -> None:
    """A thread copies a run again and again while its entries die, and others take their memory: always the same."""
    keys = np.random.default_rng(9).integers(0, 2**64, (60_000, 2), np.uint64)
    held = TtlMap(10_000)
    for start in range(0, 10_000, 500):
        held.dedup_all(keys[start : start + 500], start + 1, start, start + 100)
    run, stop = held.freeze(2_000), threading.Event()
    wanted, differing = run.columns(), []

    def copy() -> None:
        while not stop.is_set():
            differing.extend(n for n, column in enumerate(run.columns()) if not np.array_equal(column, wanted[n]))

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        for start in range(10_000, 60_000, 500):
            held.dedup_all(keys[start : start + 500], start + 1, start, start + 10**6)
            held.sweep(20_000, 3_000)
    finally:
        stop.set()
        thread.join()
    assert not differing
    assert (len(run), run.held) == (8_000, 10_000)
    assert (wanted[1][0], wanted[1][-1]) == (2_001, 9_501)


def test_a_run_outlives_its_map() -> None:
    """A frozen run can be read after its map is gone."""
    keys = np.random.default_rng(6).integers(0, 2**64, (5_000, 2), np.uint64)
    held = TtlMap(10_000)
    held.dedup_all(keys, 3, 0, 10)
    run = held.freeze()
    del held
    found, lsns, expires_ms = run.columns()
    assert np.array_equal(found, keys)
    assert set(lsns.tolist()) == {3}
    assert set(expires_ms.tolist()) == {10}
