"""Forecast of the disk: bytes per day of each kind of block, where retention stops their growth, when the disk is full.

    bytes   target = rate × retention  ┌─────────────     rate: bytes of rows of the last day, or of the time there is
                          now ●───────┘                   growth: at that rate, until the target

A kind with rows of less than ``MEASURED_MS_MIN`` has no rate yet, and imports have none at all: both count with their
present size, and the answer names them. Pinned blocks, merges under way and the backlog of a sink come on top.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import IMPORT_KIND
from nissa.maintenance.space import Space
from nissa.model.units import DAY_MS, HOUR_MS

MEASURED_MS_MIN = HOUR_MS
WIDTHS_MIN = 4  # windows of a tier that a measured time holds


class KindRetention(msgspec.Struct, frozen=True):
    """Retention of a kind of block. width_ms: time that one row stands for: a tier's interval, else 0."""

    retention_ms: int
    width_ms: int = 0


class KindForecast(msgspec.Struct, frozen=True):
    """One kind of block. oldest_ms, newest_ms: of its rows, Unix milliseconds. unknown: why it has no rate, or ''."""

    kind: str
    blocks: int
    bytes: int
    rows: int
    oldest_ms: int
    newest_ms: int
    retention_ms: int | None
    bytes_per_day: int | None
    steady_bytes: int | None
    unknown: str = ""


class Forecast(msgspec.Struct, frozen=True):
    """The disk from ``now_ms`` on.

    other_bytes: files of the directory that are neither blocks nor journal. floor_bytes: free space at which receiving
    stops. bytes_per_day: of all kinds with a rate. steady_bytes: size of the directory when retention has stopped all
    growth. full_at_ms: when the free space reaches the floor; None where it does not. complete: every kind has a rate.
    """

    now_ms: int
    kinds: tuple[KindForecast, ...]
    journal_bytes: int
    other_bytes: int
    total_bytes: int
    free_bytes: int
    floor_bytes: int
    bytes_per_day: int
    steady_bytes: int
    full_at_ms: int | None
    complete: bool


def forecast(
    blocks: Sequence[BlockRow],
    kept: Mapping[str, KindRetention],
    space: Space,
    now_ms: int,
    *,
    journal_bytes: int,
    other_bytes: int,
) -> Forecast:
    """The forecast of a directory. kept: by kind of block."""
    by_kind: dict[str, list[BlockRow]] = {}
    for block in blocks:
        by_kind.setdefault(block.kind, []).append(block)
    kinds = tuple(_of_kind(kind, ones, kept.get(kind), now_ms) for kind, ones in sorted(by_kind.items()))
    fixed = journal_bytes + other_bytes
    return Forecast(
        now_ms,
        kinds,
        journal_bytes,
        other_bytes,
        fixed + sum(one.bytes for one in kinds),
        space.free_bytes,
        space.floor_bytes,
        sum(one.bytes_per_day or 0 for one in kinds),
        fixed + sum(one.bytes if one.steady_bytes is None else one.steady_bytes for one in kinds),
        _full_at_ms(kinds, space.free_bytes - space.floor_bytes, now_ms),
        all(not one.unknown for one in kinds),
    )


def _of_kind(kind: str, blocks: Sequence[BlockRow], kept: KindRetention | None, now_ms: int) -> KindForecast:
    width_ms = 0 if kept is None else kept.width_ms
    oldest_ms, newest_ms = min(one.min_ms for one in blocks), max(one.max_ms for one in blocks)
    total = sum(one.bytes for one in blocks)
    span_ms = max(DAY_MS, WIDTHS_MIN * width_ms)
    written_ms = newest_ms + max(width_ms, 1)
    end_ms = written_ms if now_ms - span_ms < written_ms <= now_ms else now_ms  # tiers are written some time later
    start_ms = max(end_ms - span_ms, oldest_ms)
    measured_ms = end_ms - start_ms
    unknown = ""
    if kind == IMPORT_KIND:
        unknown = "imports have no rate"
    elif kept is None:
        unknown = "no retention in the settings in force"
    elif measured_ms < max(MEASURED_MS_MIN, WIDTHS_MIN * width_ms):
        unknown = "too little time to measure a rate"
    shown = (kind, len(blocks), total, sum(one.rows for one in blocks), oldest_ms, newest_ms)
    if kept is None or unknown:
        return KindForecast(*shown, None if kept is None else kept.retention_ms, None, None, unknown)
    measured = sum(_bytes_in(one, start_ms, end_ms, max(width_ms, 1)) for one in blocks)
    rate = measured * DAY_MS // measured_ms
    return KindForecast(*shown, kept.retention_ms, rate, rate * kept.retention_ms // DAY_MS)


def _bytes_in(block: BlockRow, start_ms: int, end_ms: int, width_ms: int) -> int:
    """The share of a block's bytes whose rows lie in [start_ms, end_ms), as if they were even in time."""
    block_end_ms = block.max_ms + width_ms
    inside_ms = min(block_end_ms, end_ms) - max(block.min_ms, start_ms)
    return block.bytes * max(inside_ms, 0) // (block_end_ms - block.min_ms)


def _full_at_ms(kinds: Sequence[KindForecast], room_bytes: int, now_ms: int) -> int | None:
    """The moment at which growth has used ``room_bytes``; None where retention stops it before."""
    if room_bytes <= 0:
        return now_ms
    growing = [
        (one.steady_bytes - one.bytes, one.bytes_per_day)
        for one in kinds
        if one.bytes_per_day and one.steady_bytes is not None and one.steady_bytes > one.bytes
    ]
    used, at_days = 0.0, 0.0
    for days in sorted(left / rate for left, rate in growing):  # one kind after the other reaches its target
        rate = sum(rate for left, rate in growing if left / rate >= days)
        if used + rate * (days - at_days) >= room_bytes:
            return now_ms + int((at_days + (room_bytes - used) / rate) * DAY_MS)
        used += rate * (days - at_days)
        at_days = days
    return None
