"""An engine that a test may leave open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.engine import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine on an empty directory, beside what must be in it."""
    rig = Rig(tmp_path / "data")
    yield rig
    rig.engine.close()
