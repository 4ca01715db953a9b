"""Folds imported samples into windows older than the retained samples.

    age    365 d ─────────────── 30 d ────────────────── 7 d ─────────────── 6 h ───────────
    base   windows of 1d         windows of 1h           windows of 5m, 1m   live samples
                                     └──► 1d again           └──► 1h, 1d again

At each age imported samples are folded into the lowest tier that keeps windows of that age, its *base*
(``import_zones.py``), and the tiers above are folded again from there. Nothing is patched. A window of a base takes
imported samples

    where there is none                                     it is the fold of what was imported
    where it is the fold of samples that are still there    it is computed again from these and the imported ones

and stays as it is everywhere else: the samples it was folded from are gone, so it is not known which it contains. In
the tiers above the same is asked of the windows below. A window is the fold of something if computing that again gives
the same bits. No mark says where a window came from, so an import may be repeated, interrupted, and overlap with
anything.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.files.names import RAW_KIND
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import Tier, WindowBatch
from nissa.model.slices import Slices
from nissa.rollup.by_retention import RetentionSplitter, only_kept
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.import_zones import ImportZone
from nissa.rollup.read import Touched, WindowRequest, compute_windows, pieces_of, read_windows, windows_from_samples
from nissa.rollup.same_windows import Flags, Keys, only_windows, rows_alike, rows_of, window_keys
from nissa.rollup.windows import join_windows, take_windows, windows_touched
from nissa.store.quarantine import Quarantined
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import columns_kept

WINDOWS_AT_ONCE = 1 << 17  # folded again at a time: a few hundred bytes each


class ImportSources(msgspec.Struct, frozen=True):
    """Snapshots that an import is folded from, and into.

    store: blocks and ladder as they stand. fresh: imported samples that wait. held: samples that are in the ladder and
    still there, imported or live. both: fresh and held.
    """

    store: Snapshot
    fresh: Snapshot
    held: Snapshot
    both: Snapshot


class ImportCounts(msgspec.Struct):
    """Counts of windows, and of imported samples in them.

    written: windows of a base that were new or changed. there: windows that have these samples already. kept: windows
    that stay because what they were made of is gone. kept_samples: imported samples left out for it, or because no tier
    keeps windows of their age.
    """

    written: int = 0
    there: int = 0
    kept: int = 0
    kept_samples: int = 0


def sources_of_import(store: Snapshot, fresh: Sequence[BlockRow], held: Sequence[BlockRow]) -> ImportSources:
    """Snapshots for folding the import blocks ``fresh``. held: folded import blocks and raw blocks."""

    def samples(*blocks: BlockRow) -> Snapshot:
        raw = tuple(msgspec.structs.replace(block, kind=RAW_KIND) for block in blocks)
        bare = tuple(TierRow(row.tier) for row in store.tiers)
        return msgspec.structs.replace(store, blocks=raw, heads=(), tiers=bare, missing=(), head_indexes=())

    return ImportSources(store, samples(*fresh), samples(*held), samples(*fresh, *held))


class ImportFold:
    """Folds one set of import blocks. blocks: written so far; they exist once the catalogue has them."""

    def __init__(self, sources: ImportSources, writer_of: Callable[[Tier], RetentionSplitter]) -> None:
        """writer_of: makes a writer for windows of a tier."""
        self._sources = sources
        self._store = sources.store
        self._tiers = [row.tier for row in sources.store.tiers]
        self._made = tiers_of_samples(self._tiers)
        self._writer_of = writer_of
        self._touched: list[Touched] = []  # windows of the next tier of which windows below have changed
        self._open: list[RetentionSplitter] = []
        self.counts = ImportCounts()
        self.blocks: list[BlockRow] = []

    def run(self, zones: Sequence[ImportZone], lsn: int) -> Slices[None]:
        """Fold the samples of these zones. lsn: of the frames the store knows.

        Raises: Damaged, OSError, Unavailable; ``blocks`` are the caller's to delete then.
        """
        try:
            for place in range(max(self._made - 1, 0), len(self._tiers)):
                touched, self._touched = self._touched, []
                for zone in zones:
                    if zone.place == place:
                        yield from self._fold_base(zone)
                if touched:
                    yield from self._fold_again(place, touched)
                added = [block for writer in self._open for block in writer.finish(lsn)]
                self._open.clear()
                self.blocks += added
                self._store = msgspec.structs.replace(self._store, blocks=(*self._store.blocks, *added))
        except BaseException:  # raised again; half-written files must not stay
            for writer in self._open:
                writer.discard()
            raise

    # ---- the base of each age ----

    def _fold_base(self, zone: ImportZone) -> Slices[None]:
        """Imported samples of a zone into windows of its base."""
        asked = WindowRequest(zone.series, zone.start_ms, zone.end_ms)
        bare = msgspec.structs.replace(asked, sketches=False, numbers=frozenset(), on_damage=_unless_quarantined)
        there = _Keys(read_windows(self._store, zone.place, bare), zone, self._tiers[zone.place].interval_ms)
        writers, again = self._writers(zone.place), self._writers(zone.place)
        for windows in self._computed(self._sources.fresh, zone.place, asked):
            yield 0.0
            met = there.among(windows[-1])
            self._write(writers, zone, windows, ~met)
            if met.any():
                self._revise(again, zone, take_windows(windows[-1], np.flatnonzero(met)))

    def _revise(self, writers: Sequence[RetentionSplitter], zone: ImportZone, fresh: WindowBatch) -> None:
        """Windows that are there already: again, where samples that are still there make them. fresh: of the import."""
        place, tier, counts = zone.place, self._tiers[zone.place], self.counts
        names, interval_ms, wanted = columns_kept(tier), tier.interval_ms, (fresh.series, fresh.start_ms)
        span = int(fresh.start_ms.min()), int(fresh.start_ms.max()) + interval_ms
        asked = WindowRequest(np.unique(fresh.series), *span, on_damage=_unless_quarantined)
        written = only_windows(read_windows(self._store, place, asked), *wanted, interval_ms)
        made = (windows[-1] for windows in self._computed(self._sources.held, place, asked))
        whole = rows_alike(written, only_windows(made, *wanted, interval_ms), names, interval_ms)
        there = ~whole & rows_alike(written, fresh, names, interval_ms)
        kept = np.flatnonzero(~whole & ~there)
        left_out = rows_of(fresh, written.series[kept], written.start_ms[kept], interval_ms)
        counts.there += int(np.count_nonzero(there))
        counts.kept += len(kept)
        counts.kept_samples += int(fresh.count[left_out].sum()) + int(fresh.nans[left_out].sum())
        if not whole.any():
            return
        for windows in self._computed(self._sources.both, place, asked):
            wide = windows[-1]
            at = rows_of(written, wide.series, wide.start_ms, interval_ms)
            chosen = (at >= 0) & whole[at]
            same = chosen & rows_alike(wide, written, names, interval_ms)
            counts.there += int(np.count_nonzero(same))
            self._write(writers, zone, windows, chosen & ~same)

    def _computed(self, samples: Snapshot, place: int, asked: WindowRequest) -> Iterator[list[WindowBatch]]:
        """Windows of the tier at ``place`` of these samples alone, behind those made in the same walk; never none."""
        if place >= self._made:
            yield from ([windows] for windows in compute_windows(samples, place, asked) if len(windows))
            return
        for batches in windows_from_samples(samples, asked, self._made):
            pairs = zip(self._tiers, batches, strict=False)
            windows = [only_kept(samples.keeping, tier, one) for tier, one in pairs]
            if len(windows[-1]):
                yield windows

    def _write(
        self, writers: Sequence[RetentionSplitter], zone: ImportZone, windows: Sequence[WindowBatch], chosen: Flags
    ) -> None:
        """Write the chosen ones of the widest windows, and narrow ones inside of them that are kept still."""
        if not chosen.any():
            return
        wide = windows[-1] if chosen.all() else take_windows(windows[-1], np.flatnonzero(chosen))
        interval_ms = self._tiers[zone.place].interval_ms
        self.counts.written += len(wide)
        for writer, narrow in zip(writers[:-1], windows[:-1], strict=True):
            starts = narrow.start_ms // interval_ms * interval_ms
            inside = (rows_of(wide, narrow.series, starts, interval_ms) >= 0) & (starts >= zone.narrow_from_ms)
            writer.write(take_windows(narrow, np.flatnonzero(inside)))
        writers[-1].write(wide)
        self._note(zone.place, wide.series, wide.start_ms)

    def _writers(self, place: int) -> list[RetentionSplitter]:
        """A writer for each tier that is written with the one at ``place``."""
        writers = [self._writer_of(tier) for tier in self._tiers[: place + 1][0 if place < self._made else -1 :]]
        self._open += writers
        return writers

    def _note(self, place: int, series: SeriesColumn, starts: TimeColumn) -> None:
        """Note which windows above have changed."""
        if place + 1 < len(self._tiers):
            self._touched.append(windows_touched(series, starts, self._tiers[place + 1].interval_ms))

    # ---- the tiers above ----

    def _fold_again(self, place: int, touched: Sequence[Touched]) -> Slices[None]:
        """Written windows of the tier at ``place`` again, of which windows below have changed."""
        row = self._store.tiers[place]
        series, starts = (np.concatenate(column) for column in zip(*touched, strict=True))
        series, starts = windows_touched(series, starts, row.tier.interval_ms)
        written = starts < row.written_until_ms  # the others are folded from below when they are asked for
        series, starts = series[written], starts[written]
        (writer,) = self._writers(place)
        for first, end in _stretches(series):
            changed = yield from self._changed(place, (series[first:end], starts[first:end]))
            if changed is not None:
                writer.write(changed)
                self._note(place, changed.series, changed.start_ms)

    def _changed(self, place: int, touched: Touched) -> Slices[WindowBatch | None]:
        """The touched windows, in order, that were the fold of the windows below and have other values now."""
        tier, found = self._tiers[place], list[WindowBatch]()
        names, interval_ms = columns_kept(tier), tier.interval_ms
        for piece in pieces_of(touched, interval_ms):
            yield 0.0
            asked = WindowRequest(piece.series, piece.start_ms, piece.end_ms, on_damage=_unless_quarantined)
            fresh = only_windows(compute_windows(self._store, place, asked), *touched, interval_ms)
            written = only_windows(read_windows(self._store, place, asked), *touched, interval_ms)
            before = compute_windows(self._sources.store, place, asked)
            whole = rows_alike(written, only_windows(before, *touched, interval_ms), names, interval_ms)
            at = rows_of(written, fresh.series, fresh.start_ms, interval_ms)
            may = np.append(whole, True)[at]  # the last one stands for -1: no such window is written
            same = rows_alike(fresh, written, names, interval_ms)
            self.counts.kept += int(np.count_nonzero(~may & ~same))
            if (may & ~same).any():
                found.append(take_windows(fresh, np.flatnonzero(may & ~same)))
        if not found:
            return None
        joined = join_windows(found)
        return take_windows(joined, np.lexsort((joined.start_ms, joined.series)))


class _Keys:
    """Windows that are there, read in step with others that come sorted."""

    def __init__(self, windows: Iterator[WindowBatch], zone: ImportZone, interval_ms: int) -> None:
        self._windows, self._first_ms, self._interval_ms = windows, zone.start_ms, interval_ms
        self._keys: Keys = np.empty(0, np.uint64)

    def among(self, windows: WindowBatch) -> Flags:
        """True for each of these windows that is there. They come after those of all calls before."""
        wanted = self._keys_of(windows)
        parts = [self._keys[np.searchsorted(self._keys, wanted[0]) :]]
        while not (len(parts[-1]) and parts[-1][-1] >= wanted[-1]):
            batch = next(self._windows, None)
            if batch is None:
                break
            if len(batch):
                parts.append(self._keys_of(batch))
        self._keys = np.concatenate(parts)
        if not len(self._keys):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found: Flags = self._keys[at] == wanted
        return found

    def _keys_of(self, windows: WindowBatch) -> Keys:
        return window_keys(windows.series, windows.start_ms, self._first_ms, self._interval_ms)


def _stretches(series: SeriesColumn) -> Iterator[tuple[int, int]]:
    """Rows [first, end) of whole series, about WINDOWS_AT_ONCE at a time, of a sorted column."""
    ends = np.append(np.flatnonzero(series[1:] != series[:-1]) + 1, len(series))
    first = 0
    while first < len(series):
        next_end = int(np.searchsorted(ends, first, "right"))
        last_end = int(np.searchsorted(ends, first + WINDOWS_AT_ONCE, "right")) - 1
        end = int(ends[max(next_end, last_end)])
        yield first, end
        first = end


def _unless_quarantined(damage: Damaged) -> None:
    """Ignore blocks in quarantine. Raises: Damaged for other damage, which ends the fold."""
    if not isinstance(damage, Quarantined):
        raise damage
