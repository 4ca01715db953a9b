"""A catalogue written apart and put in its place."""

from pathlib import Path

import pytest
from catalogue.test_catalogue import block, segment

from nissa.catalogue.catalogue import Catalogue, Checkpoint, TierRow
from nissa.catalogue.manifest import read_manifest
from nissa.model.ladder import DEFAULT_TIERS, Tier
from nissa.store.quarantine import QuarantineRow, read_quarantine
from nissa.store.rebuilt_catalogue import SCRATCH, Contents, put_in_place, tiers_of, write_apart
from nissa.store.tombstones import read_expired

LOST = QuarantineRow("blocks/raw-00000000000000000009.parquet", "raw", 5, 0, 9, 0, 1, 1, 2, 77, "hit")
CONTENTS = Contents(
    {"secret": "ab" * 32},
    (block(1), block(2, kind="5m", max_ms=60)),
    (segment(3, 0),),
    Checkpoint(7, 40),
    1_000,
    (LOST,),
    (TierRow(DEFAULT_TIERS[0], 9, 7), TierRow(Tier(90_000, 1), 5, 7), TierRow(DEFAULT_TIERS[1], 9, 7)),
    {},
)


def test_it_says_what_it_is_to_say(tmp_path: Path) -> None:
    """All of it, after reopening; the old one is put aside, and an older one is not written over."""
    Catalogue.open(tmp_path).close()
    for name in ("catalogue.sqlite.replaced", "catalogue.sqlite.replaced.1"):
        old = (tmp_path / "catalogue.sqlite").read_bytes()
        write_apart(tmp_path, CONTENTS).close()
        assert (tmp_path / "catalogue.sqlite").read_bytes() == old
        assert put_in_place(tmp_path) == name
        assert (tmp_path / name).read_bytes() == old
    assert not (tmp_path / SCRATCH).exists()
    assert len(read_manifest(tmp_path).files) == 3
    catalogue = Catalogue.open(tmp_path)
    assert (catalogue.secret.hex(), catalogue.blocks(), catalogue.checkpoint()) == (
        "ab" * 32,
        list(CONTENTS.blocks),
        CONTENTS.checkpoint,
    )
    assert catalogue.series_segments() == list(CONTENTS.segments)
    assert read_quarantine(catalogue) == [LOST]
    assert [row.tier.name for row in catalogue.tiers()] == ["1m", "5m"]
    assert [row.tier.name for row in catalogue.tiers(unused=True)] == ["90s"]
    assert read_expired(catalogue) == {"5m": 60, "raw": 9}
    assert catalogue.new_id() == 1_001
    catalogue.close()


def test_what_was_written_apart_before_is_written_anew(tmp_path: Path) -> None:
    """A rebuild that was killed leaves the directory as it was."""
    write_apart(tmp_path, CONTENTS).close()
    write_apart(tmp_path, CONTENTS).close()
    assert put_in_place(tmp_path) == ""


def test_a_catalogue_that_cannot_be_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is where it was."""
    Catalogue.open(tmp_path).close()
    old = (tmp_path / "catalogue.sqlite").read_bytes()
    write_apart(tmp_path, CONTENTS).close()
    real = Path.rename

    def refuses(self: Path, target: Path) -> Path:
        if SCRATCH in str(self):
            raise OSError("full")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(OSError, match="full"):
        put_in_place(tmp_path)
    assert (tmp_path / "catalogue.sqlite").read_bytes() == old


def test_tiers_as_their_blocks_tell() -> None:
    """Written until behind the last window; the latest settings; the latest frame of any tier, for all."""
    old, new = Tier(60_000, 5), Tier(60_000, 9)
    found = [(block(4, kind="1m", max_ms=120_000), new), (block(2, kind="1m", max_ms=180_000), old)]
    found.append((block(5, kind="5m", max_ms=0), DEFAULT_TIERS[1]))
    lsn = max(row.last_lsn for row, _ in found)
    assert tiers_of(found) == (TierRow(new, 240_000, lsn), TierRow(DEFAULT_TIERS[1], 300_000, lsn))
    assert tiers_of([]) == ()
