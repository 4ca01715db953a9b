"""Finds the blocks on disk without a catalogue: reads their footers, and chooses those in force.

    raw-…3  raw-…4    raw-…7 {"sources":[3,4]}       3 and 4 are in 7: a crash, or a copy made meanwhile, left them
    1m-…5   1m-…9                                    both count: where they hold the same window, 9 is right

A block is read whole and its rows are compared with its footer. Its new checksums are computed from the file as it
is: damage that Parquet detects is found, other damage goes unnoticed from then on.

Duplicate samples and windows are resolved by reads, duplicate events are not, so event blocks need another check: a
merge takes all blocks of one slice between its first and last, so an event block within the frames and times of one
of a higher level was merged into it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import FileSeal, read_seal
from nissa.files.file_facts import BlockFacts, read_facts
from nissa.files.names import BLOCKS, EVENTS_KIND, block_path, is_own_path, is_tier_kind, locate, number_of, own_files
from nissa.files.names import tier_of as tier_name
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS, RETENTION_MS_MAX, SCALARS, Tier, interval_of
from nissa.store.block_file import block_row
from nissa.store.block_rows import find_rows, rows_fault


class FoundBlock(msgspec.Struct, frozen=True):
    """One file. row: as its catalogue had it; None if not known. damage: empty where it is sound.

    sources: ids of the blocks whose rows it has. tier: of a block of windows. silent: a file of an earlier version,
    which does not say which frames it holds.
    """

    path: str
    row: BlockRow | None = None
    damage: str = ""
    sources: tuple[int, ...] = ()
    tier: Tier | None = None
    silent: bool = False


def find_blocks(directory: Path) -> Iterator[FoundBlock]:
    """All blocks, by path, each read whole. Raises: OSError where the directory cannot be read."""
    for path in own_files(directory):
        if is_own_path(path) and path.startswith(f"{BLOCKS}/"):
            yield find_block(directory, path)


def find_block(directory: Path, path: str) -> FoundBlock:
    """One block."""
    place = locate(directory, path)
    try:
        seal, facts = read_seal(place), read_facts(place)
    except (OSError, ValueError) as error:
        return FoundBlock(path, damage=str(error))
    silent = facts is None
    if facts is None:
        try:
            facts = _facts_of_rows(directory, path, seal)
        except Damaged as error:
            return FoundBlock(path, damage=str(error))
    if not isinstance(facts, BlockFacts) or block_path(facts.kind, facts.id) != path:
        return FoundBlock(path, damage="it has the name of another file")
    row = block_row(facts, seal)
    tier = _tier_of(facts) if is_tier_kind(facts.kind) else None
    return FoundBlock(path, row, rows_fault(directory, row), facts.sources, tier, silent)


def superseded(blocks: Sequence[FoundBlock]) -> dict[str, str]:
    """Sound blocks whose rows are all in another sound one: path -> path of that one."""
    sound = [(one, one.row) for one in blocks if one.row is not None and not one.damage]
    paths = {row.id: one.path for one, row in sound}
    found = {paths[source]: one.path for one, _ in sound for source in one.sources if source in paths}
    events = [row for _, row in sound if row.kind == EVENTS_KIND]
    for row in events:
        inside = [one for one in events if one.id != row.id and _is_within(one, row)]
        found |= {one.path: row.path for one in inside if one.level < row.level}
        # Of a block cut into slices the parts stand for it once all of them are there; before, it stands for them.
        parts = [one for one in inside if one.id > row.id and _is_cut_from(one, row)]
        if parts and sum(one.rows for one in parts) == row.rows:
            found[row.path] = parts[0].path
        else:
            found |= {one.path: row.path for one in parts}
    return found


def _is_within(block: BlockRow, other: BlockRow) -> bool:
    frames = other.first_lsn <= block.first_lsn and block.last_lsn <= other.last_lsn and other.last_lsn > 0
    return frames and other.min_ms <= block.min_ms and block.max_ms <= other.max_ms


def _is_cut_from(block: BlockRow, other: BlockRow) -> bool:
    mine = (block.level, block.first_lsn, block.last_lsn, block.created_ms)
    return mine == (other.level, other.first_lsn, other.last_lsn, other.created_ms)


def _facts_of_rows(directory: Path, path: str, seal: FileSeal) -> BlockFacts:
    """Facts of a file that has none, made from its rows. Raises: Damaged, FileGone."""
    kind = path.removeprefix(f"{BLOCKS}/").rpartition("-")[0]
    created_ms = int(locate(directory, path).stat().st_mtime * 1000)
    facts = BlockFacts(number_of(path), kind, 0, 0, 0, 0, 0, 0, 0, 0, created_ms)
    rows = find_rows(directory, block_row(facts, seal))
    names = ("rows", "min_ms", "max_ms", "series_min", "series_max")
    return msgspec.structs.replace(facts, **{name: getattr(rows, name) for name in names})


def _tier_of(facts: BlockFacts) -> Tier:
    name = tier_name(facts.kind)
    if facts.retention_ms:
        return Tier(interval_of(name), facts.retention_ms, facts.aggregates)
    known = {tier.name: tier for tier in DEFAULT_TIERS}
    return known.get(name, Tier(interval_of(name), RETENTION_MS_MAX, SCALARS))
