"""Upkeep: what is over is dropped while the clock is believed, what is damaged is put aside, all else stays."""

import errno
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from store.test_series_table import SOME, rows_of

from nissa.config.tree import Config
from nissa.ingest import upkeep
from nissa.ingest.upkeep import Hands, Upkeep
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS, GIB, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.store.catalogue import BlockRow, Checkpoint, Seal, TierRow
from nissa.store.clock_guard import Sighting, write_sighting
from nissa.store.garbage import collect_garbage
from nissa.store.names import block_path
from nissa.store.quarantine import read_quarantine
from nissa.store.scrub import read_turns
from nissa.store.seal import SealedHorizon, SealInput, write_seal
from oracle.directory import Directory

NOW_MS = 20_000 * DAY_MS
TEN_YEARS_MS = 3_650 * DAY_MS


def config_of(tiers: bool = False, **storage: int) -> Config:
    """Without a ladder, raw goes by age alone."""
    config = Config()
    ladder = config.ladder if tiers else msgspec.structs.replace(config.ladder, tiers=())
    settings = {"free_bytes_min": 0, "free_percent_min": 0, "scrub_bytes_per_second_max": GIB, **storage}
    return Config(storage=msgspec.structs.replace(config.storage, **settings), ladder=ladder)


class House:
    """A directory with one block per hour of age, and the upkeep of it on clocks that a test sets."""

    def __init__(self, path: Path, ages: Sequence[int], config: Config | None = None) -> None:
        self.directory = Directory(path)
        self.wall_ms, self.steady_ms, self.boot = NOW_MS, 7, "boot"
        for age in ages:
            newest = NOW_MS - age * HOUR_MS
            sealed = self.directory.seal([(1, newest - MINUTE_MS, 0), (1, newest, 0)])
            with self.directory.catalogue.transaction("block") as db:
                db.execute("UPDATE block SET created_ms = ? WHERE id = ?", (newest, sealed.blocks[0].id))
        write_sighting(self.directory.catalogue, Sighting(NOW_MS, "boot", 7))
        self.config = config or config_of()
        self.blocks = self.directory.catalogue.blocks()
        self.pieces = 0
        self.meanwhile: Callable[[], object] = lambda: None  # happens each time the blocks are listed
        self.head_ms: int | None = None
        self.upkeep = self.open()

    def open(self) -> Upkeep:
        """A process that starts."""
        hands = Hands(self._listed, self._forget, self._replace, lambda: self.head_ms, self._between, lambda _: None)
        catalogue, path = self.directory.catalogue, self.directory.path
        return Upkeep(path, catalogue, self.config, lambda: self.wall_ms, lambda: (self.boot, self.steady_ms), hands)

    def _listed(self) -> tuple[BlockRow, ...]:
        self.meanwhile()
        return tuple(self.blocks)

    def _forget(self, gone: Sequence[BlockRow]) -> None:
        self.blocks = [block for block in self.blocks if block not in gone]

    def _replace(self, old: tuple[BlockRow, ...], new: BlockRow) -> None:
        self._forget(old)
        self.blocks.append(new)

    def _between(self) -> None:
        self.pieces += 1

    def pass_time(self, ms: int, steps: int = 1) -> None:
        """Let both clocks go on, with a step after each part."""
        for _ in range(steps):
            self.wall_ms += ms // steps
            self.steady_ms += ms // steps
            self.upkeep.step()

    def ages(self) -> list[int]:
        """Hours of age, at NOW_MS, of what the catalogue, the list of blocks and the files agree on."""
        rows = self.directory.catalogue.blocks()
        files = sorted(
            str(path.relative_to(self.directory.path)) for path in self.directory.path.glob("blocks/*.parquet")
        )
        assert rows == self.blocks
        assert files == sorted(block.path for block in rows)
        return [(NOW_MS - block.max_ms) // HOUR_MS for block in rows]


def test_what_is_over_is_dropped_once_a_minute(tmp_path: Path) -> None:
    """Rows, files and the list of blocks go together, and it is counted."""
    house = House(tmp_path, [30, 7, 6, 5])
    house.upkeep.step()
    assert house.ages() == [6, 5]
    assert house.upkeep.dropped.blocks == 2
    assert house.upkeep.facts()["dropped"]["rows"] == 4
    house.pass_time(59 * SECOND_MS)
    assert house.ages() == [6, 5]
    house.pass_time(SECOND_MS)
    assert house.ages() == [5]
    house.pass_time(HOUR_MS)
    assert house.ages() == []
    assert house.upkeep.facts()["last_error"] is None


def test_raw_waits_for_the_ladder(tmp_path: Path) -> None:
    """With a ladder configured nothing raw goes before it is written; then it goes."""
    house = House(tmp_path, [30, 20], config_of(tiers=True))
    house.upkeep.step()
    assert house.ages() == [30, 20]
    catalogue = house.directory.catalogue
    written = [TierRow(tier, NOW_MS - 25 * HOUR_MS, 99) for tier in house.config.ladder.tiers]
    catalogue.commit_tiers(written[:2])
    house.pass_time(MINUTE_MS)
    assert house.ages() == [30, 20]  # these are not the tiers that are wanted
    catalogue.commit_tiers(written)
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20]
    catalogue.commit_tiers([msgspec.structs.replace(row, written_until_ms=NOW_MS) for row in written])
    house.head_ms = NOW_MS - 21 * HOUR_MS
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20]  # a sample in the head is to be rolled up with it
    house.head_ms = None
    house.pass_time(MINUTE_MS)
    assert house.ages() == []


@pytest.mark.parametrize("jump_ms", [TEN_YEARS_MS, -TEN_YEARS_MS])
def test_jumps_of_the_wall_clock_delete_nothing(tmp_path: Path, jump_ms: int) -> None:
    """Ten years ahead or back: nothing goes for days, within a process and over restarts, and the status says why."""
    house = House(tmp_path, [5, 1])
    house.upkeep.step()
    house.wall_ms += jump_ms
    house.pass_time(4 * DAY_MS, steps=100)
    assert house.ages() == [5, 1]
    assert house.upkeep.facts()["clock_in_doubt"]
    assert "the wall clock is 315360000 s" in house.upkeep.facts()["clock"]
    house.upkeep = house.open()
    house.pass_time(DAY_MS, steps=10)
    house.boot, house.steady_ms = "other", 0
    house.upkeep = house.open()
    house.pass_time(DAY_MS, steps=10)
    assert house.ages() == [5, 1]
    house.boot, house.steady_ms = "boot", 7 + HOUR_MS + MINUTE_MS
    house.wall_ms = NOW_MS + HOUR_MS + MINUTE_MS
    house.upkeep = house.open()
    house.upkeep.step()
    assert not house.upkeep.facts()["clock_in_doubt"]
    assert house.ages() == [1]  # the other one has become six hours old by a clock that is believed


def test_a_confirmed_clock_is_believed(tmp_path: Path) -> None:
    """The operator says that the clock is right: what is over by it goes at the next step."""
    house = House(tmp_path, [5])
    house.upkeep.step()
    house.wall_ms += DAY_MS
    house.pass_time(MINUTE_MS)
    assert house.ages() == [5]
    house.upkeep.confirm_clock()
    house.pass_time(SECOND_MS)
    assert house.ages() == []


def test_without_a_steady_clock_nothing_goes(tmp_path: Path) -> None:
    """An engine that is given one clock only keeps everything, and says so."""
    house = House(tmp_path, [99])
    hands = house.upkeep._hands
    house.upkeep = Upkeep(tmp_path, house.directory.catalogue, house.config, lambda: house.wall_ms, None, hands)
    house.pass_time(9 * DAY_MS)
    assert house.ages() == [99]
    assert house.upkeep.facts()["clock_in_doubt"]


def test_a_pin_set_while_blocks_are_looked_at_holds_them(tmp_path: Path) -> None:
    """Rows and files of what was about to go stay, for this turn all of them; the next one knows the pin."""
    house = House(tmp_path, [30, 20, 10])
    house.meanwhile = lambda: house.upkeep.pins() or house.upkeep.add_pin("now", NOW_MS - DAY_MS, NOW_MS)
    house.upkeep.retain(Sighting(NOW_MS, "boot", 7))
    assert house.ages() == [30, 20, 10]
    house.pass_time(MINUTE_MS)
    assert house.ages() == [20, 10]


def test_pins_hold_blocks(tmp_path: Path) -> None:
    """A pinned block stays until the pin is removed, also over a restart."""
    house = House(tmp_path, [30, 20, 10])
    pin = house.upkeep.add_pin("outage", NOW_MS - 20 * HOUR_MS, NOW_MS - 19 * HOUR_MS)
    house.upkeep.step()
    assert house.ages() == [20]
    house.upkeep = house.open()
    assert house.upkeep.pins() == [pin]
    house.pass_time(DAY_MS)
    assert house.ages() == [20]
    house.upkeep.remove_pin(pin.id)
    with pytest.raises(BadQuery, match="no pin"):
        house.upkeep.remove_pin(pin.id)
    house.pass_time(MINUTE_MS)
    assert house.ages() == []


def test_a_crash_between_row_and_file_leaves_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are gone, files are not: the next start deletes them. The failure is counted and the upkeep goes on."""
    house = House(tmp_path, [30, 1])
    with monkeypatch.context() as patch:

        def unlink(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        patch.setattr(Path, "unlink", unlink)
        house.upkeep.step()
    assert house.upkeep.failures == 1
    assert len(house.directory.catalogue.blocks()) == 1
    assert len(list(tmp_path.glob("blocks/*"))) == 2
    assert len(collect_garbage(tmp_path, house.directory.catalogue).deleted) == 1
    house.upkeep.step()
    assert house.ages() == [1]


def test_every_file_is_read_back_by_turns(tmp_path: Path) -> None:
    """One file per step once its time has come, and none again before."""
    house = House(tmp_path, [5, 4, 3], config_of(scrub_interval_ms=2 * HOUR_MS))
    for _ in range(9):
        house.upkeep.step()
    assert house.upkeep.facts()["scrub"]["files"] == 3
    assert house.pieces == 3
    assert house.upkeep.facts()["scrub"]["bytes"] == sum(block.bytes for block in house.blocks)
    assert read_turns(house.directory.catalogue) == {block.path: NOW_MS for block in house.blocks}
    house.upkeep = house.open()
    house.pass_time(2 * HOUR_MS - 9, steps=3)
    assert house.upkeep.facts()["scrub"]["files"] == 0


def test_a_damaged_block_is_put_aside(tmp_path: Path) -> None:
    """Read twice, then moved: not served, not deleted, named and counted, also by the next process."""
    house = House(tmp_path, [5, 4], config_of(scrub_interval_ms=HOUR_MS))
    hit = house.blocks[0]
    path = tmp_path / hit.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for _ in range(4):
        house.upkeep.step()
    assert house.ages() == [4]
    assert (tmp_path / (hit.path + ".damaged")).read_bytes() == data
    for one in (house.upkeep, house.open()):
        (row,) = one.quarantine
        assert (row.path, row.rows) == (hit.path, 2)
        assert one.facts()["quarantine"]["rows"] == 2
    assert read_quarantine(house.directory.catalogue) == [row]


def test_damage_costs_what_it_hit(tmp_path: Path) -> None:
    """Of a block with many row groups the sound ones are served on, with the block's age; the rest is counted lost."""
    house = House(tmp_path, [], config_of())
    rows = [(series, NOW_MS - HOUR_MS + at, 0) for series in range(3) for at in range(100_000)]
    hit = house.directory.seal(rows).blocks[0]
    house.blocks = [hit]
    path = tmp_path / hit.path
    data = bytearray(path.read_bytes())
    data[9] ^= 1
    path.write_bytes(data)
    house.upkeep.suspect(hit.path)
    house.upkeep.step()
    (saved,) = house.blocks
    assert house.directory.catalogue.blocks() == [saved]
    (lost,) = house.upkeep.quarantine
    assert 0 < lost.rows < 200_000
    assert saved.rows == hit.rows - lost.rows
    assert (saved.created_ms, saved.first_lsn, saved.last_lsn) == (hit.created_ms, hit.first_lsn, hit.last_lsn)
    assert set(house.directory.export()) < set(rows)
    assert path.with_name(path.name + ".damaged").read_bytes() == data


def test_damage_that_is_read_once_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails one reading and not the next has lost nothing."""
    house = House(tmp_path, [5], config_of(scrub_interval_ms=HOUR_MS))
    answers = ["it cannot be read", ""]
    monkeypatch.setattr(upkeep, "read_back", lambda *_: answers.pop(0))
    house.upkeep.step()
    house.upkeep.step()
    house.upkeep.step()
    assert house.ages() == [5]
    assert not answers


def test_a_suspect_is_read_next(tmp_path: Path) -> None:
    """What a reader met is read back at once, long before its turn: sound it stays, damaged it goes."""
    house = House(tmp_path, [3, 2])
    first, second = house.blocks
    (tmp_path / second.path).write_bytes(b"")
    house.upkeep.suspect(first.path)
    house.upkeep.suspect(second.path)
    for _ in range(3):
        house.upkeep.step()
    assert house.ages() == [3]
    assert house.upkeep.facts()["scrub"]["files"] == 2


def test_a_damaged_series_segment_is_told_and_stays(tmp_path: Path) -> None:
    """Nothing could be read without it."""
    house = House(tmp_path, [], config_of(scrub_interval_ms=HOUR_MS))
    catalogue = house.directory.catalogue
    rows = rows_of(SOME)
    sealed = write_seal(tmp_path, catalogue, SealedHorizon([], 1), SealInput([], 1, 1, NOW_MS, rows))
    catalogue.commit_seal(Seal(Checkpoint(1, len(rows)), (), sealed.segment))
    assert sealed.segment is not None
    path = tmp_path / sealed.segment.path
    path.write_bytes(path.read_bytes() + b"x")
    for _ in range(5):
        house.upkeep.step()
    assert list(house.upkeep.facts()["scrub"]["damaged_files"]) == [sealed.segment.path]
    assert house.upkeep.facts()["scrub"]["files"] == 2
    assert path.exists()
    assert catalogue.series_segments() == [sealed.segment]


def test_a_damaged_catalogue_is_told(tmp_path: Path) -> None:
    """It is compared with its digests when its turn comes, and told as long as it differs."""
    house = House(tmp_path, [3], config_of(scrub_interval_ms=DAY_MS))
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite", isolation_level=None)) as db:
        (lsn,) = db.execute("SELECT lsn FROM checkpoint").fetchone()
        for value, told in ((lsn + 1, ["catalogue.sqlite"]), (lsn, [])):
            db.execute("UPDATE checkpoint SET lsn = ?", (value,))
            house.pass_time(DAY_MS)
            assert list(house.upkeep.facts()["scrub"]["damaged_files"]) == told


def test_low_space_is_noted_before_ingestion_closes(tmp_path: Path) -> None:
    """Below twice the floor; then what is over goes every ten seconds instead of every minute."""
    house = House(tmp_path, [5])
    house.upkeep.step()
    assert not house.upkeep.is_low
    house.config = config_of(free_bytes_min=2**60)
    house.upkeep = house.open()
    house.upkeep.step()
    assert house.upkeep.facts()["space_low"]
    house.pass_time(HOUR_MS - 5 * SECOND_MS)
    assert house.ages() == [5]
    house.pass_time(10 * SECOND_MS)
    assert house.ages() == []


def test_files_put_aside_at_a_start_are_told(tmp_path: Path) -> None:
    """What nobody claims is counted until it is taken away; other files are not."""
    house = House(tmp_path, [1])
    path = house.directory.path / block_path("raw", 99)
    for suffix in ("", ".unclaimed", ".unclaimed.1"):
        path.with_name(path.name + suffix).touch()
    assert house.upkeep.facts()["unclaimed"] == 0
    upkeep = house.open()
    assert upkeep.facts()["unclaimed"] == 2
    path.with_name(path.name + ".unclaimed").unlink()
    assert upkeep.facts()["unclaimed"] == 1
