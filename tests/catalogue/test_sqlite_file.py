"""Reading an SQLite file where nothing may be written beside it."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from oracle.read_only import can_mount, read_only

READ = """
import sys
from pathlib import Path
from nissa.catalogue.sqlite_file import connect_for_reading
print(connect_for_reading(Path(sys.argv[1]) / "it.sqlite").execute("SELECT n FROM t ORDER BY n").fetchall())
"""


@pytest.mark.skipif(not can_mount(), reason="a read-only mount needs root and unshare")
@pytest.mark.parametrize("in_log", [False, True])
def test_a_read_only_directory_is_read(tmp_path: Path, in_log: bool) -> None:
    """On a read-only mount the file is read alone, and with commits that are only in its log."""
    room = tmp_path / "room"
    room.mkdir()
    with closing(sqlite3.connect(tmp_path / "it.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (n)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("INSERT INTO t VALUES (1), (2)")
        if not in_log:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name in ("it.sqlite", "it.sqlite-wal"):
            shutil.copy(tmp_path / name, room / name)
    found = read_only(room, [sys.executable, "-c", READ, str(room)])
    assert found.stdout.decode().strip() == "[(1,), (2,)]", found.stderr.decode()
    assert sorted(path.name for path in room.iterdir()) == ["it.sqlite", "it.sqlite-wal"]
