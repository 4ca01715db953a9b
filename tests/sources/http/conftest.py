"""Fixtures of the tests of the hot endpoint."""

from collections.abc import Iterator

import pytest
from sources.http.edge_rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A server with default settings."""
    with Rig() as running:
        yield running
