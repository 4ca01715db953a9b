"""The sample by which processors are compared: it must be the same each time on one of them."""

import filecmp
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def written(place: Path) -> dict[str, Path]:
    """Files of a new sample by their paths, without the one that holds the number of a process."""
    subprocess.run([sys.executable, ROOT / "scripts" / "write-sample", place], check=True)
    files = {str(path.relative_to(place)): path for path in place.rglob("*") if path.is_file()}
    del files["data/LOCK"]
    return files


@pytest.mark.long
def test_two_samples_are_the_same_to_the_last_byte(tmp_path: Path) -> None:
    """Journal, blocks of samples and of tiers, series, catalogue and answers."""
    one, other = written(tmp_path / "one"), written(tmp_path / "other")
    assert one.keys() == other.keys()
    assert [name for name in one if not filecmp.cmp(one[name], other[name], shallow=False)] == []
    kinds = {name.rsplit("/", 1)[-1].split("-")[0] for name in one if name.startswith("data/blocks/")}
    assert kinds == {"raw", "1m", "5m", "1h"}
    assert len((tmp_path / "one" / "answers.txt").read_text().splitlines()) > 1_000
