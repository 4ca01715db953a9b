"""Retention: which blocks are over, by age, by how far the ladder has come, and by pins."""

import random

import msgspec
import pytest

from nissa.catalogue.catalogue import NEVER_MS, BlockRow, TierRow
from nissa.files.names import block_path
from nissa.maintenance.retention import ALWAYS, Rules, expired_blocks, horizons, oldest_unfolded
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.store.pins import Pin

NOW_MS = 20_000 * DAY_MS
RULES = Rules(6 * HOUR_MS, 7 * DAY_MS, 6 * HOUR_MS, has_ladder=True)
WRITTEN = [TierRow(tier, NOW_MS - NOW_MS % tier.interval_ms, 100) for tier in DEFAULT_TIERS]


def block(age_ms: int, kind: str = "raw", number: int = 1, last_lsn: int = 50, span_ms: int = MINUTE_MS) -> BlockRow:
    """A block whose newest row is of ``age_ms`` ago."""
    newest = NOW_MS - age_ms
    path = block_path(kind, number)
    return BlockRow(number, kind, 0, path, 1, newest - span_ms, newest, 0, 5, 1, last_lsn, newest, 100, 7, b"")


def over(
    *blocks: BlockRow, tiers: list[TierRow] | None = None, rules: Rules = RULES, pins: tuple[Pin, ...] = ()
) -> list[int]:
    """Ages in minutes of the blocks that may go."""
    ladder = WRITTEN if tiers is None else tiers
    reach = horizons(NOW_MS, rules, ladder, [], oldest_unfolded(blocks, ladder, None))
    return [(NOW_MS - one.max_ms) // MINUTE_MS for one in expired_blocks(blocks, NOW_MS, reach, pins)]


@pytest.mark.parametrize(
    ("kind", "kept_ms"),
    [
        ("raw", 6 * HOUR_MS + 5 * MINUTE_MS),  # the window of 5m that the last sample to come falls into
        ("events", 7 * DAY_MS),
        ("1m", DAY_MS + MINUTE_MS),  # rows are dated by the start of their window
        ("5m", 7 * DAY_MS + 5 * MINUTE_MS),
        ("1h", 30 * DAY_MS + HOUR_MS),
        ("1d", 366 * DAY_MS),
        ("5m~30d", 30 * DAY_MS + 5 * MINUTE_MS),  # as a policy says, longer or shorter than the tier
        ("1h~1d", DAY_MS + HOUR_MS),
    ],
)
def test_each_kind_goes_after_its_own_time(kind: str, kept_ms: int) -> None:
    """Blocks go by the age of their newest row, each kind by its retention."""
    ages = [kept_ms - 10 * MINUTE_MS, kept_ms - 6 * MINUTE_MS, kept_ms + MINUTE_MS, kept_ms + 9 * DAY_MS]
    assert over(*(block(age, kind) for age in ages)) == [age // MINUTE_MS for age in ages[2:]]


@pytest.mark.parametrize(("kind", "kept_ms"), [("events", 7 * DAY_MS), ("1m", DAY_MS + MINUTE_MS - 1)])
def test_rows_go_to_the_millisecond(kind: str, kept_ms: int) -> None:
    """A row, or a window's end, of just so long ago stays; one of a millisecond more goes."""
    kept, gone = block(kept_ms, kind, number=1), block(kept_ms + 1, kind, number=2)
    reach = horizons(NOW_MS, RULES, WRITTEN, [], oldest_unfolded([kept, gone], WRITTEN, None))
    assert [one.id for one in expired_blocks([kept, gone], NOW_MS, reach, ())] == [2]


def test_raw_stays_until_it_is_rolled_up() -> None:
    """However old, samples stay while a tier made of them is not written past them, or does not know their frames."""
    old = block(9 * HOUR_MS)
    behind = [msgspec.structs.replace(row, written_until_ms=NOW_MS - 10 * HOUR_MS) for row in WRITTEN]
    assert over(old) == [9 * 60]
    assert over(old, tiers=[WRITTEN[0], behind[1], *WRITTEN[2:]]) == []
    assert over(old, tiers=[*WRITTEN[:2], *behind[2:]]) == [9 * 60]
    assert over(old, tiers=[msgspec.structs.replace(row, lsn=49) for row in WRITTEN]) == []
    assert over(old, tiers=[msgspec.structs.replace(row, written_until_ms=NEVER_MS, lsn=0) for row in WRITTEN]) == []


def test_a_ladder_that_has_not_begun_keeps_all_samples() -> None:
    """Raw blocks stay while the ladder has no progress; without a ladder age alone decides."""
    old = block(99 * DAY_MS)
    assert over(old, tiers=[]) == []
    assert over(old, tiers=[], rules=msgspec.structs.replace(RULES, has_ladder=False)) == [99 * 24 * 60]


def test_late_samples_hold_the_windows_they_fall_into() -> None:
    """While a late sample waits to be rolled up, the other samples of its windows stay to be read again."""
    late = block(8 * HOUR_MS, number=2, last_lsn=101)
    assert over(block(9 * HOUR_MS), block(7 * HOUR_MS), late) == [9 * 60]
    head_ms = NOW_MS - 10 * HOUR_MS
    reach = horizons(NOW_MS, RULES, WRITTEN, [], oldest_unfolded([], WRITTEN, head_ms))
    assert expired_blocks([block(9 * HOUR_MS)], NOW_MS, reach, ()) == []
    assert len(expired_blocks([block(11 * HOUR_MS)], NOW_MS, reach, ())) == 1


def test_a_tier_stays_until_the_one_above_is_written() -> None:
    """5m waits for 1h, and 1h for 1d; 1m waits for no tier, as 5m is made of samples."""
    nothing = [msgspec.structs.replace(row, written_until_ms=NEVER_MS) for row in WRITTEN]
    tiers = [*WRITTEN[:2], *nothing[2:]]
    assert over(block(99 * DAY_MS, "1m"), block(99 * DAY_MS, "5m"), block(99 * DAY_MS, "1h"), tiers=tiers) == [
        99 * 1440
    ]
    assert len(over(block(99 * DAY_MS, "5m"), block(99 * DAY_MS, "1h"))) == 2


def test_tiers_no_longer_in_use_go_by_their_own_time() -> None:
    """A tier that left the configuration keeps its old retention; blocks of unknown kinds stay."""
    reach = horizons(NOW_MS, RULES, WRITTEN[:1], WRITTEN[1:2], ALWAYS)
    blocks = [block(8 * DAY_MS, "5m"), block(6 * DAY_MS, "5m"), block(999 * DAY_MS, "90s")]
    assert expired_blocks(blocks, NOW_MS, reach, ()) == blocks[:1]


def test_what_was_sent_late_is_kept_as_long() -> None:
    """A block of old samples that was written just now stays; a file dated in the future goes by its rows."""
    rules = msgspec.structs.replace(RULES, past_ms=99 * DAY_MS, has_ladder=False)
    old = block(9 * DAY_MS)
    fresh = msgspec.structs.replace(old, created_ms=NOW_MS - HOUR_MS)
    odd = msgspec.structs.replace(old, created_ms=NOW_MS + 3_650 * DAY_MS)
    assert over(old, fresh, odd, tiers=[], rules=rules) == [9 * 1440, 9 * 1440]


def test_events_go_by_their_own_time() -> None:
    """A late event goes with those of its time; one dated further ahead than events are taken, by its file's age."""
    rules = msgspec.structs.replace(RULES, event_future_ms=10 * MINUTE_MS)
    late = msgspec.structs.replace(block(9 * DAY_MS, "events"), created_ms=NOW_MS - HOUR_MS)
    assert over(late, rules=rules) == [9 * 1440]
    ahead = [
        msgspec.structs.replace(block(age_ms, "events"), created_ms=NOW_MS - created_ms)
        for age_ms in (-10 * MINUTE_MS, -11 * MINUTE_MS, -(10**15))
        for created_ms in (7 * DAY_MS - 1, 7 * DAY_MS + 1)
    ]
    assert over(*ahead, rules=rules) == [-11, -(10**15) // MINUTE_MS]


def test_pins_keep_whole_blocks() -> None:
    """A block with a row inside [start, end) of a pin stays, whatever its kind; its neighbours go."""
    rules = msgspec.structs.replace(RULES, has_ladder=False)
    old = block(9 * DAY_MS)
    for start_ms, end_ms, kept in (
        (old.min_ms - 9, old.min_ms, False),
        (old.min_ms - 9, old.min_ms + 1, True),
        (old.max_ms, old.max_ms + 1, True),
        (old.max_ms + 1, old.max_ms + 9, False),
    ):
        assert (over(old, tiers=[], rules=rules, pins=(Pin(1, "", start_ms, end_ms, 0),)) == []) is kept
    window = block(9 * DAY_MS, "5m")
    pin = Pin(1, "", window.max_ms + 5 * MINUTE_MS - 1, window.max_ms + HOUR_MS, 0)
    assert over(window, pins=(pin,)) == []


@pytest.mark.parametrize("seed", [7])
def test_pins_hold_what_they_overlap(seed: int) -> None:
    """Random pins, also nested and adjacent, hold the blocks that a comparison with each pin finds."""
    draw = random.Random(seed)
    for _ in range(200):
        own = [draw.randrange(200) for _ in range(draw.randrange(8))]
        pins = tuple(Pin(1, "", one, one + draw.randrange(1, 40), 0) for one in own)
        kept = []
        for number in range(1, 30):
            first = draw.randrange(240)
            path, last = block_path("events", number), first + draw.randrange(20)
            one = BlockRow(number, "events", 0, path, 1, first, last, 0, 5, 1, 50, last, 100, 7, b"")
            kept.append((one, any(pin.start_ms <= last and first < pin.end_ms for pin in pins)))
        gone = expired_blocks([one for one, _ in kept], NOW_MS, horizons(NOW_MS, RULES, WRITTEN, [], ALWAYS), pins)
        assert gone == [one for one, is_held in kept if not is_held], (seed, pins)
