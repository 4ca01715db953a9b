"""PostgreSQL that is killed at each step of the nightly job, refuses a password, and runs out of disk."""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import event
from tiers.test_silver import row

from nissa.config.database import DatabaseSettings
from nissa.config.sla import SlaSettings
from nissa.config.tree import Config
from nissa.database.database import Database, open_database
from nissa.incidents.incident_store import IncidentFilter, IncidentLimits, IncidentStore
from nissa.incidents.lifecycle import Escalation, IncidentReport, resolving
from nissa.model.errors import Unavailable
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.service.sla_tasks import SlaTasks
from nissa.tiers.janitor import Janitor
from nissa.tiers.rollup_rows import RollupKey
from nissa.tiers.silver import SilverStore
from nissa.tiers.sla import SlaDefinition, day_of
from nissa.tiers.sla_store import SlaStore
from oracle.databases import server
from oracle.postgres import USER, control_postgres

pytestmark = [pytest.mark.needs_debian("postgresql"), pytest.mark.long]
BEGIN_MS = 20_000 * DAY_MS
NEVER = Escalation()
LIMITS = IncidentLimits(100_000, 50, 40)


@pytest.fixture
def place() -> Iterator[tuple[str, Path]]:
    """The address of a server of its own, and its folder."""
    with server() as url:
        yield url, Path(url.partition("host=")[2])


def kill(folder: Path) -> None:
    """SIGKILL for every process of a server, and wait until none is left."""
    first = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(is_alive(pid) for pid in pids):
        time.sleep(0.01)
    for path in (folder / "data" / "postmaster.pid", *folder.glob(".s.PGSQL.*.lock")):
        path.unlink(missing_ok=True)  # a container may keep the dead process, which looks alive to the next server


def is_alive(pid: int) -> bool:
    """True unless the process is gone, or dead and not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Deadly:
    """Kills the server of a database at one moment: before a statement, before a commit, or behind it."""

    def __init__(self, database: Database, folder: Path, moment: int) -> None:
        self._database, self._folder, self._moment = database, folder, moment
        self.seen = 0
        for name in ("before_cursor_execute", "commit"):
            event.listen(database._engine, name, self._pass)

    @contextlib.contextmanager
    def begin(self) -> Iterator[Any]:
        with self._database.begin() as connection:
            yield connection
        self._pass()

    def _pass(self, *_: Any) -> None:
        self.seen += 1
        if self.seen == self._moment:
            kill(self._folder)


def nightly(database: Any, now_ms: int) -> None:
    """The job of the daemon, whose agreements are about incidents."""
    incidents = IncidentStore(database, LIMITS)
    config = Config(sla=SlaSettings(delay_ms=0))
    SlaTasks(config, cast("Any", None), lambda: database, lambda: incidents, lambda: now_ms)._work()


def test_a_server_killed_at_each_step_of_the_nightly_job(place: tuple[str, Path], tmp_path: Path) -> None:
    """Before and behind each statement and commit: the next run leaves one snapshot per day, in a chain that holds."""
    url, folder = place
    settings = DatabaseSettings(url=url)
    database = open_database(settings, tmp_path)
    store, incidents = SlaStore(database, 10), IncidentStore(database, LIMITS)
    for name in ("up", "fast"):
        store.put(SlaDefinition(name, "api", "MTTR", 60.0, active_from_ms=BEGIN_MS), BEGIN_MS)
    one = incidents.open(IncidentReport("k", "down", "api", "critical"), BEGIN_MS, "ann", NEVER)[0]
    incidents.change(one.id, resolving(BEGIN_MS + 30 * MINUTE_MS, "ann"))
    database.close()
    kills = 0
    for moment in range(1, 100):
        now_ms = BEGIN_MS + moment * DAY_MS + HOUR_MS
        database = open_database(settings, tmp_path)
        deadly = Deadly(database, folder, moment)
        with contextlib.suppress(Unavailable):
            nightly(deadly, now_ms)
        database.close()
        if deadly.seen < moment:
            break
        kills += 1
        control_postgres(folder, "start")
        database = open_database(settings, tmp_path)
        nightly(database, now_ms)
        found = SlaStore(database, 10).snapshots([], "2000-01-01", "2100-01-01")
        assert [(each["day"], each["definition_id"]) for each in found] == [
            (day_of(BEGIN_MS + day * DAY_MS), name) for day in range(moment) for name in ("fast", "up")
        ], moment
        assert SlaStore(database, 10).verify()[0] == 2 * moment
        database.close()
    assert kills >= 12  # three transactions that read, one that writes
    assert [each["downtime_minutes"] for each in found[:3]] == [30, 30, 0]


def test_a_wrong_password(place: tuple[str, Path], tmp_path: Path) -> None:
    """The reason is said, the password is not; with the right one it opens."""
    url, folder = place
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER ROLE nissa PASSWORD 'right'")
        (folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        connection.execute("SELECT pg_reload_conf()")
    path = tmp_path / "password"
    path.write_text("swordfish")
    path.chmod(0o600)
    settings = DatabaseSettings(url=url, password_file=str(path))
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        open_database(settings, tmp_path)
    assert "swordfish" not in str(refused.value)
    path.write_text("right")
    open_database(settings, tmp_path).close()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 24 MiB that the server may write to."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("LOUD: a small file system cannot be mounted here (root is needed); the full disk was not tested")
    try:
        account = pwd.getpwnam(USER)
        os.chown(disk, account.pw_uid, account.pw_gid)
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def open_many(incidents: IncidentStore) -> int:
    """Open incidents until the disk is full; returns how many were taken."""
    for number in range(1_000):
        try:
            incidents.open(IncidentReport(f"k{number}", "x" * 1_000), BEGIN_MS, "ann", NEVER)
        except Unavailable as error:
            assert "No space left" in str(error)
            return number
    raise AssertionError("the disk was never full")


def test_a_full_disk(place: tuple[str, Path], tmp_path: Path) -> None:
    """Rollups, snapshots and incidents are refused whole and with the reason; with space again they are taken."""
    url, folder = place
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder))
        stack.callback(control_postgres, folder, "stop")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        settings = DatabaseSettings(url=f"{url}&options=-cdefault_tablespace%3Dsmall")
        database = stack.enter_context(contextlib.closing(open_database(settings, tmp_path)))
        store, silver, incidents = SlaStore(database, 1_000), SilverStore(database), IncidentStore(database, LIMITS)
        for number in range(300):
            store.put(SlaDefinition(f"sla{number}", "api", "MTTR", 60.0), BEGIN_MS)
        keys = [RollupKey("api", "latency", (("route", f"/{number}"),)) for number in range(5_000)]
        silver.replace("minute", 0, HOUR_MS, [row(0)])
        filler = disk / "filler"
        space = os.statvfs(disk)
        filler.write_bytes(bytes(space.f_bavail * space.f_frsize))
        with pytest.raises(Unavailable, match="No space left"):
            silver.replace("minute", 0, HOUR_MS, [row(0, key=key) for key in keys])
        assert len(silver.rollups("minute", "", "", 0, HOUR_MS)) == 1
        with pytest.raises(Unavailable, match="No space left"):
            nightly(database, BEGIN_MS + DAY_MS + HOUR_MS)
        assert store.snapshots([], "2000-01-01", "2100-01-01") == []
        opened = open_many(incidents)
        assert len(incidents.find(IncidentFilter(limit=1_000))) == opened
        with pytest.raises(Unavailable, match="No space left"):
            Janitor(database, "me", HOUR_MS, DAY_MS).run(2 * HOUR_MS)
        filler.unlink()
        assert Janitor(database, "me", HOUR_MS, DAY_MS).run(2 * HOUR_MS).minutes == 1
        nightly(database, BEGIN_MS + DAY_MS + HOUR_MS)
        assert store.verify()[0] == 300
        silver.replace("minute", 0, HOUR_MS, [row(0, key=key) for key in keys])
        assert incidents.open(IncidentReport(f"k{opened}", "again"), BEGIN_MS, "ann", NEVER)[1]
