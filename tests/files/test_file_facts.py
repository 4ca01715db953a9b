"""File facts: the facts in a block equal its row in the catalogue."""

from pathlib import Path

import pytest
from store.test_series_table import SOME, rows_of

from nissa.files.file_facts import BlockFacts, SeriesFacts, read_facts
from nissa.store.series_table import write_series
from oracle.directory import Directory


def test_a_block_repeats_its_row(tmp_path: Path) -> None:
    """All of the row but path and checksums stands in the footer."""
    (block,) = Directory(tmp_path).seal([(3, 10, 1), (7, 20, 2)]).blocks
    facts = read_facts(tmp_path / block.path)
    assert isinstance(facts, BlockFacts)
    own = {name: getattr(facts, name) for name in block.__struct_fields__ if hasattr(facts, name)}
    assert own == {name: getattr(block, name) for name in own}
    assert len(own) == 12


def test_a_segment_says_which_series_it_has(tmp_path: Path) -> None:
    """Number, first and last series, how many, and the last frame that brought one."""
    (tmp_path / "series").mkdir()
    segment = write_series(tmp_path, 4, rows_of(SOME, 9), 77)
    assert read_facts(tmp_path / segment.path) == SeriesFacts(4, 9, len(SOME), 77, last_series=13)


def test_files_that_say_nothing(tmp_path: Path) -> None:
    """A file that is cut short raises; one of an older version has no facts."""
    (tmp_path / "blocks").mkdir()
    golden = Path(__file__).parents[1] / "goldens/directory-1"
    old = next((golden / "blocks").glob("raw-*.parquet"))
    assert read_facts(old) is None
    (tmp_path / "blocks" / "cut").write_bytes(old.read_bytes()[:-9])
    with pytest.raises(ValueError, match="truncated or not a Parquet file"):
        read_facts(tmp_path / "blocks" / "cut")
