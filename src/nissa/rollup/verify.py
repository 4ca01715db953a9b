"""Verifies the ladder: recomputes every written window from the tier below and compares bit by bit.

Sums and ``m2`` of rows that an earlier build wrote, without ``carry``, are left out: it rounded otherwise.

Windows changed by late samples are left out: readers recompute them anyway. So are windows whose samples or tier below
have expired in part.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, Catalogue
from nissa.files.names import RAW_KIND, tier_of
from nissa.model.ladder import RetentionPolicy, WindowBatch
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.rollup.by_retention import kind_for
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.merge import merge_windows
from nissa.rollup.read import WindowRequest, compute_windows, late_windows, read_windows
from nissa.rollup.windows import ceil_ms, floor_ms, join_windows
from nissa.store.gone import present_blocks, read_again
from nissa.store.quarantine import QuarantineRow, read_quarantine
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import SKETCH, columns_kept
from nissa.store.tombstones import read_expired, read_tombstones

Key = tuple[int, int]  # series, start
Flags = npt.NDArray[np.bool_]
ROUNDED = ("sum", "m2", "carry")


class TierReport(msgspec.Struct, frozen=True):
    """One tier. windows: compared. differences: in words, the first ``differences_max``; count: of all."""

    name: str
    windows: int
    count: int
    differences: tuple[str, ...]


def verify_tiers(
    directory: Path, differences_max: int = 20, keeping: RetentionPolicy | None = None
) -> Iterator[TierReport]:
    """Compare every tier of a data directory with the one below.

    A daemon may be writing: a tier under which it merges blocks meanwhile is compared anew. keeping: its policies,
    where it has any. Raises: Damaged, UnknownFormat; FileGone, where that happened too often to one tier.
    """
    place, seen = 0, _look(directory, keeping)

    def verify() -> TierReport:
        return _verify_tier(seen, place, differences_max)

    def refresh() -> None:
        nonlocal seen
        seen = _look(directory, keeping)

    while place < len(seen.snapshot.tiers):
        yield read_again(verify, refresh)
        place += 1


class _Seen(msgspec.Struct, frozen=True):
    """The two sides to compare. lost: blocks in quarantine, and those whose files are missing."""

    snapshot: Snapshot
    lost: tuple[QuarantineRow, ...]


def _look(directory: Path, keeping: RetentionPolicy | None) -> _Seen:
    catalogue = Catalogue.open(directory, readonly=True)
    try:
        rows = tuple(catalogue.tiers())  # before the blocks: what is written meanwhile is left out
        tombstones, expired = read_tombstones(catalogue), read_expired(catalogue)
        present = present_blocks(directory, catalogue)
        lost = (*read_quarantine(catalogue), *present.missing)
    finally:
        catalogue.close()
    seen = Snapshot(directory, present.blocks, (), rows, (), keeping, tombstones=tombstones, expired=expired)
    return _Seen(seen, lost)


def _verify_tier(seen: _Seen, place: int, differences_max: int) -> TierReport:
    snapshot = seen.snapshot
    row = snapshot.tiers[place]
    windows, count = 0, 0
    told: list[str] = []
    series, starts = late_windows(snapshot, row, WindowRequest(None, NEVER_MS, row.written_until_ms))
    late = set(zip(series.tolist(), starts.tolist(), strict=True))
    for start_ms, end_ms in _slices(snapshot, place):
        asked = WindowRequest(None, start_ms, end_ms, row.tier.has_sketch)
        written = _joined(read_windows(snapshot, place, asked))
        computed = _joined(merge_windows([compute_windows(snapshot, place, asked)]))
        windows += 0 if written is None else len(written)
        whole = _whole_below(snapshot, place, written) & ~_touches_lost(seen, place, written)
        for key, what in _differences(written, computed, columns_kept(row.tier), whole):
            if key not in late:
                count += 1
                told += [f"{row.tier.name}: series {key[0]}, window {key[1]}: {what}"][: differences_max - len(told)]
    return TierReport(row.tier.name, windows, count, tuple(told))


def _kind_below(snapshot: Snapshot, place: int) -> str:
    made = tiers_of_samples([row.tier for row in snapshot.tiers])
    return RAW_KIND if place < made else snapshot.tiers[place - 1].tier.name


def _below(snapshot: Snapshot, place: int) -> list[BlockRow]:
    kind = _kind_below(snapshot, place)
    return [block for block in snapshot.blocks if tier_of(block.kind) == kind]


def _touches_lost(seen: _Seen, place: int, windows: WindowBatch | None) -> Flags:
    """Windows that had rows in a lost block of the tier below, or may have had."""
    if windows is None:
        return np.empty(0, np.bool_)
    kind, interval_ms = _kind_below(seen.snapshot, place), seen.snapshot.tiers[place].tier.interval_ms
    touched = np.zeros(len(windows), np.bool_)
    for row in seen.lost:
        if tier_of(row.kind) == kind:
            touched |= (windows.start_ms <= row.max_ms) & (windows.start_ms > row.min_ms - interval_ms)
    return touched


def _whole_below(snapshot: Snapshot, place: int, windows: WindowBatch | None) -> Flags:
    """True for windows below which nothing has expired; older rows kept by pins or late arrival do not count."""
    if windows is None:
        return np.empty(0, np.bool_)
    below = _kind_below(snapshot, place)
    if below == RAW_KIND or snapshot.keeping is None:
        until_ms = [until_ms for kind, until_ms in snapshot.expired.items() if tier_of(kind) == below]
        return windows.start_ms > max(until_ms, default=NEVER_MS)
    tier = snapshot.tiers[place - 1].tier
    whole = np.zeros(len(windows), np.bool_)
    kept = snapshot.keeping.kept_ms(tier, windows.series, windows.start_ms)
    for one in np.unique(kept).tolist():
        if one:
            rows = kept == one
            whole[rows] = windows.start_ms[rows] > snapshot.expired.get(kind_for(tier, one), NEVER_MS)
    return whole


def _slices(snapshot: Snapshot, place: int) -> Iterator[tuple[int, int]]:
    """Time ranges, none of them long, with the windows that are written or should be."""
    row = snapshot.tiers[place]
    interval_ms, until_ms = row.tier.interval_ms, row.written_until_ms
    own = [block for block in snapshot.blocks if tier_of(block.kind) == row.tier.name]
    length_ms = ceil_ms(HOUR_MS if interval_ms < HOUR_MS else 8 * DAY_MS, interval_ms)
    first_ms = min((floor_ms(block.min_ms, length_ms) for block in own), default=until_ms)
    blocks = [*own, *_below(snapshot, place)]
    spans = [range(floor_ms(one.min_ms, length_ms), one.max_ms + 1, length_ms) for one in blocks]
    for start_ms in sorted({start_ms for span in spans for start_ms in span}):
        if first_ms <= start_ms < until_ms:
            yield start_ms, min(start_ms + length_ms, until_ms)


def _joined(batches: Iterator[WindowBatch]) -> WindowBatch | None:
    parts = [batch for batch in batches if len(batch)]
    return join_windows(parts) if parts else None


def _differences(
    written: WindowBatch | None, computed: WindowBatch | None, names: tuple[str, ...], whole: Flags
) -> Iterator[tuple[Key, str]]:
    left, right = _rows_of(written), _rows_of(computed)
    both = sorted(left.keys() & right.keys())
    for key in sorted(left.keys() - right.keys()):
        if whole[left[key]]:
            yield key, "is written, and nothing below makes it"
    for key in sorted(right.keys() - left.keys()):
        yield key, "is not written"
    if not both or written is None or computed is None:
        return
    at, other = (np.array([rows[key] for key in both]) for rows in (left, right))
    samples = [
        windows.count[rows].astype(np.int64) + windows.nans[rows]
        for windows, rows in ((written, at), (computed, other))
    ]
    telling = whole[at] | (samples[1] >= samples[0])
    rounded_alike = telling & ~np.isnan(written.carry[at])
    for name in names[2:]:
        if name == SKETCH:
            apart = _sketches_apart(written, computed, at, other)
        else:
            apart = _bits(getattr(written, name)[at]) != _bits(getattr(computed, name)[other])
        for place in np.flatnonzero(apart & (rounded_alike if name in ROUNDED else telling)).tolist():
            said = (
                ""
                if name == SKETCH
                else f" {getattr(written, name)[at[place]]}, computed {getattr(computed, name)[other[place]]}"
            )
            yield both[place], f"{name}{said}" if said else "sketches differ"


def _rows_of(windows: WindowBatch | None) -> dict[Key, int]:
    if windows is None:
        return {}
    keys = zip(windows.series.tolist(), windows.start_ms.tolist(), strict=True)
    return {key: at for at, key in enumerate(keys)}


def _bits(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return column.view(np.uint64) if column.dtype == np.float64 else column


def _sketches_apart(
    written: WindowBatch, computed: WindowBatch, at: npt.NDArray[np.intp], other: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    left, right = written.sketch, computed.sketch
    if left is None or right is None:
        return np.full(len(at), left is not right)
    pairs = zip(at.tolist(), other.tolist(), strict=True)
    same = [
        left.data[left.offsets[one] : left.offsets[one + 1]].tobytes()
        == right.data[right.offsets[two] : right.offsets[two + 1]].tobytes()
        for one, two in pairs
    ]
    return ~np.array(same, np.bool_)
