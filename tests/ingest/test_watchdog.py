"""The watchdog: a worker without progress is reported after so many looks, and no longer once it goes on."""

import threading

import msgspec
import pytest

from nissa.config.tree import Watchdog as Settings
from nissa.ingest import merges
from nissa.ingest.watchdog import Pulse, Watchdog
from oracle.engine import NOW_MS, ONE, Rig, config_of, wait_until


def test_a_stall_is_reported_until_it_ends() -> None:
    """One beat in any of the last intervals is progress; each stall is counted once, each worker judged alone."""
    still, lively = Pulse(), Pulse()
    thread = threading.current_thread()
    watchdog = Watchdog(Settings(1_000, 3), {"still": (still, thread), "lively": (lively, thread)})
    found = []
    for turn in range(12):
        lively.beat()
        if turn in (2, 8):
            still.beat()
        watchdog.look()
        found.append(watchdog.stalled)
    stalled = ("still",)
    assert found == [(), (), (), (), (), stalled, stalled, stalled, (), (), (), stalled]
    assert watchdog.facts() == {"workers": ["still", "lively"], "stalled": ["still"], "count": 1, "stalls": 2}
    assert watchdog.reason == "no progress for 3000 ms: still"


def test_workers_that_wait_make_progress(rig: Rig) -> None:
    """An engine without work is not stalled, however long."""
    pulses = [pulse for pulse, _ in rig.engine._watchdog._workers.values()]
    for _ in range(2):
        before = [pulse.beats for pulse in pulses]
        wait_until(lambda before=before: all(pulse.beats > beats for pulse, beats in zip(pulses, before, strict=True)))
    assert rig.engine.status().mode == "ready"


def test_a_stuck_job_shows_in_the_status(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode is ``stalled`` while a merge does not come back, frames are still taken, and it passes by itself."""
    go_on = threading.Event()
    merge = merges.merge_blocks
    monkeypatch.setattr(merges, "merge_blocks", lambda *some: (go_on.wait(), merge(*some))[1])
    config = config_of(storage={"compaction_fan_in": 2})
    rig.config = msgspec.structs.replace(config, watchdog=Settings(interval_ms=500, intervals_max=4))
    rig.restart()
    for number in range(2):
        rig.keep([("a", NOW_MS + number, ONE)])
        rig.engine.flush()
    wait_until(lambda: rig.engine.status().mode == "stalled")
    status = rig.engine.status().facts()
    assert status["watchdog"]["stalled"] == ["maintenance"]
    assert status["reason"] == "no progress for 2000 ms: maintenance"
    rig.keep([("a", NOW_MS + 9, ONE)])
    go_on.set()
    wait_until(lambda: rig.engine.status().mode == "ready")
    rig.check()
