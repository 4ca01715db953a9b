"""The database of a data directory, for commands."""

from pathlib import Path

import pytest

from nissa.cli.own_database import own_database
from nissa.model.errors import BadQuery


def test_a_directory_that_is_not_there_is_refused_with_the_option(tmp_path: Path) -> None:
    """And is not made."""
    missing = tmp_path / "missing"
    with pytest.raises(BadQuery, match=r"missing: no such data directory .*--data-dir"), own_database(None, missing):
        pass
    assert not missing.exists()
