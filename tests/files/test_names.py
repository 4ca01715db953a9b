"""Names of files, and paths that the catalogue must not be able to lead anybody to."""

from pathlib import Path

import pytest

from nissa.files.names import block_path, is_own_path, locate, own_files, series_path
from nissa.model.errors import Damaged


def test_paths_are_made_and_known_again() -> None:
    """Every path made is one Nissa knows as its own."""
    assert block_path("raw", 7) == "blocks/raw-00000000000000000007.parquet"
    assert series_path(2**63) == "series/series-09223372036854775808.parquet"
    assert all(is_own_path(path) for path in (block_path("raw", 1), block_path("events", 2), series_path(3)))


@pytest.mark.parametrize(
    "path",
    [
        "../raw-00000000000000000007.parquet",
        "blocks/../../etc/passwd",
        "/etc/passwd",
        "blocks/raw-7.parquet",
        "blocks/raw-00000000000000000007.parquet\n",
        "blocks/raw-00000000000000000007.parquet/../x",
        "",
        "blocks/raw-\u0660000000000000000000\u0667.parquet",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    """A path of any other form is damage of the catalogue, not a file."""
    with pytest.raises(Damaged, match="no file name of Nissa"):
        locate(Path("data"), path)


def test_own_files_lists_both_rooms(tmp_path: Path) -> None:
    """All files of blocks/ and series/ are listed; missing rooms are empty."""
    assert own_files(tmp_path) == []
    for path in (block_path("raw", 1), series_path(1), "blocks/other"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert own_files(tmp_path) == ["blocks/other", block_path("raw", 1), series_path(1)]
