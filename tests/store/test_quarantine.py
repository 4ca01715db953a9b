"""Quarantine: a damaged block leaves the list of blocks, its file keeps every byte under another name."""

from pathlib import Path

import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.model.errors import Unavailable
from nissa.store.garbage import Garbage
from nissa.store.quarantine import missing_from, put_aside, read_quarantine, rename_damaged
from oracle.directory import collect_garbage


def opened(path: Path) -> Catalogue:
    """A catalogue of two blocks with files of one byte."""
    catalogue = Catalogue.open(path)
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1), block(2, min_ms=50, max_ms=60))))
    for one in catalogue.blocks():
        (path / one.path).write_bytes(b"x")
    return catalogue


def test_a_block_is_put_aside(tmp_path: Path) -> None:
    """The row in quarantine has the facts of the block, the file is renamed, and both survive reopening."""
    catalogue = opened(tmp_path)
    hit, other = catalogue.blocks()
    row = put_aside(catalogue, hit, "CRC " + 999 * "!", 77)
    assert catalogue.blocks() == [other]
    rename_damaged(tmp_path, [row])
    rename_damaged(tmp_path, [row])
    assert (tmp_path / (hit.path + ".damaged")).read_bytes() == b"x"
    assert not (tmp_path / hit.path).exists()
    with pytest.raises(Unavailable):
        put_aside(catalogue, hit, "", 78)
    catalogue.close()
    catalogue = Catalogue.open(tmp_path, readonly=True)
    assert read_quarantine(catalogue) == [row]
    assert (row.rows, row.min_ms, row.max_ms, row.found_ms, len(row.damage)) == (1, 0, 9, 77, 500)
    catalogue.close()


def test_a_crash_before_the_renaming_loses_nothing(tmp_path: Path) -> None:
    """A file whose row is in quarantine is no garbage, under either name."""
    catalogue = opened(tmp_path)
    row = put_aside(catalogue, catalogue.blocks()[0], "hit", 77)
    assert collect_garbage(tmp_path, catalogue) == Garbage()
    rename_damaged(tmp_path, read_quarantine(catalogue))
    assert collect_garbage(tmp_path, catalogue) == Garbage()
    assert (tmp_path / (row.path + ".damaged")).exists()
    catalogue.close()


def test_answers_hear_of_what_is_missing(tmp_path: Path) -> None:
    """Answers report blocks in quarantine of their kind and half-open range."""
    catalogue = opened(tmp_path)
    rows = [put_aside(catalogue, one, "hit", 77) for one in catalogue.blocks()]
    catalogue.close()

    def found(kind: str, start_ms: int, end_ms: int) -> list[str]:
        return [str(one) for one in missing_from(rows, tmp_path, kind, start_ms, end_ms)]

    assert found("events", 0, 99) == []
    assert found("raw", 10, 50) == []
    assert found("raw", 60, 61) == [f"{tmp_path / rows[1].path}.damaged: 1 rows of 50 to 60 ms are missing: hit"]
    assert len(found("raw", 9, 51)) == 2
