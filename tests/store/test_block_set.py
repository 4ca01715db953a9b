"""The set of blocks: snapshots keep the files they name, whatever happens to the blocks meanwhile."""

import gc
import random
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import locate
from nissa.model.errors import Damaged
from nissa.store import block_set
from nissa.store.block_set import BlockSet, HeldBlocks
from nissa.store.quarantine import put_aside
from nissa.store.read import Snapshot, read_samples
from nissa.store.row_groups import RowGroupCache
from oracle.directory import ALWAYS, Directory, collect_garbage


class Desk:
    """A directory of small blocks and their set."""

    def __init__(self, path: Path, blocks: int = 0) -> None:
        self.directory, self.now_ms = Directory(path), 1_000
        self.path, self.count = path, 0
        for _ in range(blocks):
            self.make()
        self.set = BlockSet(path, self.directory.catalogue, lambda: self.now_ms, RowGroupCache(10**6))

    def make(self) -> BlockRow:
        """A new block in the catalogue."""
        self.count += 1
        return self.directory.seal([(0, self.count, self.count)]).blocks[0]

    def files(self) -> set[str]:
        """Paths of all files there are."""
        return {f"blocks/{path.name}" for path in (self.path / "blocks").iterdir()}

    def rows(self, held: HeldBlocks) -> int:
        """Number of rows that a snapshot of the blocks reads."""
        return len(read_samples(Snapshot(self.path, held.blocks, held=held), None, *ALWAYS))

    def drop(self, *blocks: BlockRow) -> None:
        """Take blocks out of catalogue and set."""
        self.directory.catalogue.replace_blocks(blocks, ())
        self.set.replace(blocks, ())
        self.set.delete_unheld()


def test_a_file_stays_until_the_last_snapshot_that_names_it(tmp_path: Path) -> None:
    """Older and newer snapshots do not matter; a closed one, or one that nothing refers to, holds nothing."""
    desk = Desk(tmp_path, 2)
    first, second = desk.set.blocks
    before = desk.set.hold()
    again = desk.set.hold()
    desk.drop(first)
    behind = desk.set.hold()
    assert (desk.rows(before), desk.rows(behind)) == (2, 1)
    before.close()
    before.close()
    desk.set.delete_unheld()
    assert desk.rows(again) == 2
    assert desk.set.facts().files == 1
    del again
    gc.collect()
    desk.set.delete_unheld()
    assert desk.files() == {second.path}
    assert (desk.rows(behind), desk.set.facts().snapshots, desk.set.facts().bytes) == (1, 1, 0)


def test_copies_of_a_snapshot_hold_too(tmp_path: Path) -> None:
    """The last of them counts; leaving ``with`` lets go for all."""
    desk = Desk(tmp_path, 1)
    held = desk.set.hold()
    snapshot = Snapshot(tmp_path, held.blocks, held=held)
    del held
    copy = msgspec.structs.replace(snapshot, idle_ttl_ms=1)
    del snapshot
    desk.drop(*desk.set.blocks)
    with copy:
        assert len(read_samples(copy, None, *ALWAYS)) == 1
        desk.set.delete_unheld()
        assert len(desk.files()) == 1
    desk.set.delete_unheld()
    assert not desk.files()


def test_what_a_damaged_block_is_renamed_to_waits_too(tmp_path: Path) -> None:
    """For holders the block stays where it was; afterwards its file has the name of a damaged one."""
    desk = Desk(tmp_path, 1)
    (block,) = desk.set.blocks
    held = desk.set.hold()
    row = put_aside(desk.directory.catalogue, block, "a page", 5)
    desk.set.put_aside(block, row, None)
    desk.set.delete_unheld()
    assert desk.rows(held) == 1
    assert (desk.set.blocks, desk.set.quarantine) == ((), (row,))
    held.close()
    desk.set.delete_unheld()
    assert desk.files() == {row.file}


def test_a_crash_leaves_garbage_at_most(tmp_path: Path) -> None:
    """Files that were still held have no row; the next start deletes them and nothing else."""
    desk = Desk(tmp_path, 3)
    held = desk.set.hold()
    desk.drop(*desk.set.blocks[:2])
    assert len(desk.files()) == 3
    assert len(collect_garbage(tmp_path, desk.directory.catalogue).deleted) == 2
    assert desk.files() == {block.path for block in desk.set.blocks}
    held.close()
    desk.set.delete_unheld()  # they are gone already


def test_a_file_that_is_missing_is_damage(tmp_path: Path) -> None:
    """A file deleted from outside is reported as damage, and the rest is read."""
    desk = Desk(tmp_path, 2)
    held = desk.set.hold()
    locate(tmp_path, held.blocks[0].path).unlink()
    told: list[Damaged] = []
    rows = read_samples(Snapshot(tmp_path, held.blocks, held=held), None, *ALWAYS, told.append)
    assert (len(rows), [one.path for one in told]) == (1, [str(tmp_path / held.blocks[0].path)])


def test_old_snapshots_are_reported(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The age of the oldest; a warning, once in a while, where it keeps files."""
    warned: list[dict[str, object]] = []
    monkeypatch.setattr(block_set.log, "warning", lambda _, **facts: warned.append(facts))
    desk = Desk(tmp_path, 1)
    old = desk.set.hold()
    desk.now_ms += block_set.OLD_MS
    young = desk.set.hold()
    desk.set.warn_of_old()
    assert (desk.set.facts().snapshots, desk.set.facts().oldest_ms, warned) == (2, block_set.OLD_MS, [])
    desk.drop(*desk.set.blocks)
    for _ in range(3):
        desk.set.warn_of_old()
    assert [facts["files"] for facts in warned] == [1]
    desk.now_ms += block_set.OLD_MS
    desk.set.warn_of_old()
    assert len(warned) == 2
    old.close()
    assert desk.set.facts().oldest_ms == block_set.OLD_MS
    young.close()
    assert desk.set.facts().oldest_ms == 0


def test_any_order_of_changes_and_readers(tmp_path: Path) -> None:
    """By a plain twin: the files there are those of the set and of the snapshots that are open, no more and no less."""
    seed = 20_260_726
    print("seed", seed)
    chance = random.Random(seed)
    desk = Desk(tmp_path)
    open_ones: list[tuple[HeldBlocks, tuple[BlockRow, ...]]] = []
    for _ in range(300):
        match chance.choice(["add", "merge", "drop", "hold", "hold", "close", "forget"]):
            case "add":
                desk.set.replace((), (desk.make(),))
            case "merge" if len(desk.set.blocks) > 2:
                old, new = tuple(chance.sample(desk.set.blocks, 2)), desk.make()
                desk.directory.catalogue.replace_blocks(old, ())
                desk.set.replace(old, (new,))
            case "drop" if desk.set.blocks:
                desk.drop(chance.choice(desk.set.blocks))
            case "hold":
                held = desk.set.hold()
                open_ones.append((held, held.blocks))
                del held
            case "close" if open_ones:
                open_ones.pop(chance.randrange(len(open_ones)))[0].close()
            case "forget" if open_ones:
                del open_ones[chance.randrange(len(open_ones))]
        desk.set.delete_unheld()
        named = {block.path for _, blocks in open_ones for block in blocks} | {one.path for one in desk.set.blocks}
        assert desk.files() == named
    assert desk.set.blocks == tuple(desk.directory.catalogue.blocks())
