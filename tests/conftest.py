"""Shared by all tests: Debian peers required in CI, the place of the library under test, the marker of tests that
reach compiled code, and the log on standard error as in every command. Hypothesis generates 50 examples where a test
sets no number, without a time limit, as any of them may be slow on a busy machine. Tests with a database run on both
kinds."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from compiled import reaches_compiled, reaches_directly
from hypothesis import settings

import nissa
from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database
from oracle.postgres import new_database, postgres

PACKAGES = {
    "redis-server": "redis-server",
    "nats-server": "nats-server",
    "strace": "strace",
    "prometheus": "prometheus",
    "victoria-metrics": "victoria-metrics",
    "postgresql": "pg_ctlcluster",
    "curl": "curl",
    "docker-compose": "docker-compose",
    "prometheus-alertmanager": "amtool",
}

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # its handlers abort children that a test starts as another user
gc.disable()  # until everything is collected: it would look through a million objects that stay, again and again
settings.register_profile("nissa", deadline=None, max_examples=50)
settings.load_profile("nissa")
# The stream of the moment: a thread of one test must not write into the output that another examines.
structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def pytest_report_header() -> str:
    """Version and place of the Nissa under test: source tree, checked or sanitized build, or installed wheel."""
    return f"nissa {nissa.__version__} from {Path(nissa.__file__).parent}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that reach compiled code, where they are asked for, as that takes a fifth of collecting; those marked
    needs_debian skip without their package, but not in CI."""
    if any(name in config.option.markexpr for name in ("compiled", "direct")):
        for item in items:
            if reaches_compiled(item.path):
                item.add_marker("compiled")
                if reaches_directly(item.path):
                    item.add_marker("direct")
    if os.environ.get("CI"):
        return
    for item in items:
        for marker in item.iter_markers("needs_debian"):
            program = PACKAGES.get(marker.args[0], marker.args[0])
            if shutil.which(program) is None:
                reason = f"Debian package {marker.args[0]} is missing: run scripts/install-debian-peers as root"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on the garbage collector is at work, and leaves out what was collected: it stays to the end."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In CI a missing Debian package is a failure, never a skip."""
    for marker in item.iter_markers("needs_debian"):
        program = PACKAGES.get(marker.args[0], marker.args[0])
        if os.environ.get("CI") and shutil.which(program) is None:
            pytest.fail(f"Debian package {marker.args[0]} is missing in CI", pytrace=False)


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """A server of PostgreSQL; its socket needs a short path, and a folder that its own user can enter."""
    with tempfile.TemporaryDirectory(prefix="nissa-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with postgres(Path(folder) / "pg") as address:
            yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_debian("postgresql"))])
def database_settings(request: pytest.FixtureRequest) -> DatabaseSettings:
    """Settings of a new database of each kind: a file in the data directory, or one on a server."""
    if request.param == "sqlite":
        return DatabaseSettings()
    return DatabaseSettings(url=new_database(request.getfixturevalue("postgres_address")))


@pytest.fixture
def database(database_settings: DatabaseSettings, tmp_path: Path) -> Iterator[Database]:
    """A new database of each kind, with its newest tables."""
    opened = open_database(database_settings, tmp_path)
    yield opened
    opened.close()
