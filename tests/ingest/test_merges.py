"""Jobs that rewrite blocks: heads are sealed meanwhile, and changes of the blocks meanwhile are noticed."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nissa.config.tree import Ladder
from nissa.ingest import merges
from nissa.ingest.merges import Merges
from nissa.model.selector import read_selectors
from nissa.model.slices import Slices
from nissa.store.block_set import BlockSet
from oracle.engine import ALWAYS, NOW_MS, ONE, Rig, config_of, wait_until


class HeldMerge:
    """The first merge, held in its middle until ``go_on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = merges.merge_blocks
        self.reached, self.go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(merges, "merge_blocks", self._merge)

    def _merge(self, *arguments: Any) -> Slices[Any]:
        work = self._real(*arguments)
        first = next(work)  # a row group is written
        if not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(60)
        yield first
        return (yield from work)


def two_blocks(rig: Rig) -> None:
    """Seal two blocks, which is enough for a merge."""
    rig.config = config_of(storage={"compaction_fan_in": 2})
    rig.restart()
    for turn in range(2):
        rig.keep([("a", NOW_MS + turn, ONE)])
        rig.engine.flush()


def count(rig: Rig) -> int:
    """Number of blocks."""
    return int(rig.engine.status().facts()["blocks"]["count"])


def failures(rig: Rig) -> int:
    """Return the number of failed jobs."""
    return int(rig.engine.status().facts()["maintenance"]["failures"])


def test_a_head_never_waits_for_a_merge(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is held in the middle, heads are sealed and their part of the journal goes; both come out right."""
    merge = HeldMerge(monkeypatch)
    two_blocks(rig)
    assert merge.reached.wait(60)
    for turn in range(3):
        rig.keep([("between", NOW_MS + turn, ONE), ("a", NOW_MS, ONE)])
        rig.engine.flush()
    status = rig.engine.status().facts()
    assert (status["seal"]["count"], status["blocks"]["count"]) == (5, 5)
    assert status["journal"]["checkpoint_lsn"] == status["journal"]["appended_lsn"]
    rig.check()
    merge.go_on.set()
    wait_until(lambda: count(rig) <= 3)
    rig.check()
    rig.crash()
    rig.check()
    assert failures(rig) == 0


def test_closing_ends_a_merge(rig: Rig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Closing does not wait for a merge to end; nothing has changed then, nothing is logged, and it is made later."""
    merge = HeldMerge(monkeypatch)
    two_blocks(rig)
    assert merge.reached.wait(60)
    closed = threading.Thread(target=rig.engine.close)
    closed.start()
    wait_until(rig.engine.maintenance._maintenance._ending.is_set)
    merge.go_on.set()
    closed.join()
    assert failures(rig) == 0
    assert "job" not in "".join(capfd.readouterr())
    rig.engine = rig._open()
    assert count(rig) == 2
    assert len(list((rig.path / "blocks").iterdir())) == 2
    rig.check()
    rig.keep([("b", NOW_MS, ONE)])
    rig.engine.flush()
    wait_until(lambda: count(rig) == 2)
    rig.check()


def test_blocks_that_vanish_during_a_merge_stay_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention drops one of them: the merge changes nothing, leaves no file, and is no failure."""
    merge = HeldMerge(monkeypatch)
    two_blocks(rig)
    assert merge.reached.wait(60)
    blocks: BlockSet = rig.engine._sealer.blocks
    blocks.exchange(blocks.blocks[:1], ())
    before = blocks.blocks
    merge.go_on.set()
    wait_until(lambda: len(list((rig.path / "blocks").iterdir())) == 1)
    assert blocks.blocks == before
    assert failures(rig) == 0
    assert set(rig.read()) == {("a", NOW_MS + 1)}


def test_only_what_the_ladder_has_seen_is_merged(rig: Rig) -> None:
    """Unless the ladder fails, or there is none: a merge must not wait for it for ever."""
    two_blocks(rig)
    jobs: Merges = rig.engine.maintenance.merges
    wait_until(lambda: count(rig) == 1)
    rig.engine.maintenance.end()
    rig.engine.maintenance.join()
    for turn in range(2):
        rig.keep([("b", NOW_MS + turn, ONE)])
        rig.engine.flush()
    assert jobs._plan()[1] == ()
    jobs._ladder_fails = True
    assert len(jobs._plan()[1]) == 2
    jobs._ladder_fails = False
    jobs.ladder.done_lsn = rig.engine._sealer.checkpoint_lsn
    assert len(jobs._plan()[1]) == 2
    jobs._retainer.is_low = True
    assert jobs._plan()[1] == ()


def test_a_deletion_of_a_head_that_is_being_published_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tombstone takes the checkpoint of the catalogue: it is kept until the blocks up to there are in the set."""
    rig = Rig(tmp_path / "data", msgspec.structs.replace(config_of(), ladder=Ladder(tiers=())))
    jobs, blocks = rig.engine.maintenance.merges, rig.engine._sealer.blocks
    reached, go_on = threading.Event(), threading.Event()
    real = blocks.replace

    def replace(*arguments: Any) -> None:
        reached.set()
        assert go_on.wait(60)
        real(*arguments)

    rig.keep([("a", NOW_MS, ONE)])
    monkeypatch.setattr(blocks, "replace", replace)
    flushed = threading.Thread(target=rig.engine.flush)
    flushed.start()
    assert reached.wait(60)  # the catalogue has the block, the set has not
    tombstones = rig.engine._sealer.tombstones
    tombstones.add(rig.engine.index.filter(()), *ALWAYS, NOW_MS)
    job = threading.Thread(target=jobs._remove_tombstones)
    job.start()
    job.join(0.2)
    go_on.set()
    flushed.join()
    job.join()
    assert len(tombstones.all) == 1
    assert rig.read() == {}
    rig.engine.close()


def test_a_deletion_is_carried_out_by_a_merge_and_forgotten(rig: Rig) -> None:
    """The tombstone goes once no block is left that may hold its rows."""
    rig.keep([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)])
    rig.engine.flush()
    rig.engine.admin.delete_series(read_selectors("a"), ALWAYS)
    rig.config = config_of(storage={"compaction_fan_in": 2})
    rig.restart()
    rig.keep([("b", NOW_MS + 1, ONE)])
    rig.engine.flush()
    wait_until(lambda: rig.engine.status().facts()["deletions"] == {"tombstones": 0, "dropped_rows": 1})
    assert set(rig.read()) == {("b", NOW_MS), ("b", NOW_MS + 1)}
