"""Both databases, for tests that hold for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nissa.database.database import Database
from oracle.databases import KINDS, opened_database, server


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """A PostgreSQL, where a test asks for one."""
    with server() as url:
        yield url


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    with opened_database(request.param, tmp_path, request) as found:
        yield found
