"""The catalogue: committed rows are there, other files are garbage, newer formats are left alone."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal, SeriesSegment
from nissa.files.names import block_path, series_path
from nissa.model.columns import Metadata
from nissa.model.counters import Counters
from nissa.model.errors import ConfigInvalid, Damaged, Unavailable, UnknownFormat


def block(number: int, *, kind: str = "raw", min_ms: int = 0, max_ms: int = 9) -> BlockRow:
    """A row; its file need not exist."""
    return BlockRow(
        number, kind, 0, block_path(kind, number), 1, min_ms, max_ms, 0, 5, 1, 2, 3, 100, 2**32 - 1, b"\0\1\2\3"
    )


def segment(number: int, first: int) -> SeriesSegment:
    """A row of the series table."""
    return SeriesSegment(number, series_path(number), first, 10, 100, 7, b"\4\5\6\7", first + 9)


def test_a_seal_is_there_whole_after_reopening(tmp_path: Path) -> None:
    """Blocks, segments, checkpoint, and metadata come back as they were given, and so does the secret."""
    tallies = {"http/remote_write_1": Counters(frames=3, received=9, stored=8, duplicate=1, refused={"too_old": 2})}
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.checkpoint() == Checkpoint()
    note = Metadata("up", "gauge", "Whether it is up.", "")
    first = Seal(Checkpoint(7, 10, tallies, b"minutes"), (block(1), block(2, kind="events")), segment(3, 0), (note,))
    catalogue.commit_seal(first)
    secret, instance = catalogue.secret, catalogue.instance
    catalogue.close()
    for readonly in (True, False):
        catalogue = Catalogue.open(tmp_path, readonly=readonly)
        assert (catalogue.secret, catalogue.instance) == (secret, instance)
        assert len(secret) == 32
        assert catalogue.blocks() == [block(1), block(2, kind="events")]
        assert catalogue.series_segments() == [segment(3, 0)]
        assert catalogue.checkpoint() == first.checkpoint
        assert catalogue.metadata() == [note]
        assert catalogue.check() == []
        catalogue.close()


def test_blocks_are_chosen_by_kind_and_half_open_range(tmp_path: Path) -> None:
    """A block is chosen where [min_ms, max_ms] meets [start_ms, end_ms)."""
    catalogue = Catalogue.open(tmp_path)
    rows = (block(1, min_ms=0, max_ms=9), block(2, min_ms=10, max_ms=19), block(3, kind="events", min_ms=5, max_ms=15))
    catalogue.commit_seal(Seal(Checkpoint(), rows))
    chosen = [
        [one.id for one in catalogue.blocks(*arguments)]
        for arguments in (("raw",), ("raw", 10, 20), ("raw", 9, 10), (None, 0, 10), ("raw", 20), ("raw", None, 0))
    ]
    assert chosen == [[1, 2], [2], [1], [1, 3], [], []]


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """A seal that cannot be inserted whole, and a merge of blocks that are gone, change nothing."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1),)))
    with pytest.raises(Damaged):
        catalogue.commit_seal(Seal(Checkpoint(2), (block(2), block(1))))
    with pytest.raises(Unavailable, match="replaced meanwhile"):
        catalogue.replace_blocks((block(1), block(9)), (block(3),))
    assert catalogue.blocks() == [block(1)]
    assert catalogue.checkpoint().lsn == 1
    catalogue.replace_blocks((block(1),), (block(3),))
    assert catalogue.blocks() == [block(3)]


def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    """A new number is above every number ever committed, also after its row is gone."""
    catalogue = Catalogue.open(tmp_path)
    assert [catalogue.new_id(), catalogue.new_id()] == [1, 2]
    catalogue.commit_seal(Seal(Checkpoint(), (block(8),), segment(9, 0)))
    catalogue.replace_blocks((block(8),), ())
    catalogue.close()
    assert Catalogue.open(tmp_path).new_id() == 10


def test_a_newer_format_is_refused_untouched(tmp_path: Path) -> None:
    """Reading and writing refuse a higher user_version, and no byte of the directory changes."""
    Catalogue.open(tmp_path).close()
    db = sqlite3.connect(tmp_path / "catalogue.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for readonly in (True, False):
        with pytest.raises(UnknownFormat, match="format 99"):
            Catalogue.open(tmp_path, readonly=readonly)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_not_a_catalogue(tmp_path: Path) -> None:
    """A directory without one is the caller's mistake; a file of other bytes is damage; readers do not write."""
    with pytest.raises(ConfigInvalid, match="not a data directory"):
        Catalogue.open(tmp_path, readonly=True)
    assert list(tmp_path.iterdir()) == []
    Catalogue.open(tmp_path).close()
    reader = Catalogue.open(tmp_path, readonly=True)
    with pytest.raises(Unavailable, match="for reading only"):
        reader.replace_blocks((), ())
    reader.close()
    (tmp_path / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    for readonly in (True, False):
        with pytest.raises(Damaged):
            Catalogue.open(tmp_path, readonly=readonly)


READER = """
import sys
from contextlib import closing
from pathlib import Path
from nissa.catalogue.catalogue import Catalogue
for line in sys.stdin:
    catalogue = Catalogue.open(Path(sys.argv[1]), readonly=True)
    print(catalogue.checkpoint().lsn, len(catalogue.blocks()), flush=True)
    catalogue.close()
"""


def test_another_process_reads_while_this_one_writes(tmp_path: Path) -> None:
    """Every commit is seen at once by a reader in another process, which never blocks the writer."""
    catalogue = Catalogue.open(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for number in range(1, 6):
            catalogue.commit_seal(Seal(Checkpoint(number), (block(number),)))
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline().split() == [str(number), str(number)]
        catalogue.close()
        reader.stdin.write("\n")
        reader.stdin.close()
        assert reader.stdout.readline().split() == ["5", "5"]
        assert reader.wait() == 0


COMMITS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from catalogue.test_catalogue import block
from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
catalogue = Catalogue.open(Path(sys.argv[1]))
for number in range(1, 9):
    catalogue.commit_seal(Seal(Checkpoint(number), (block(number),)))
os.kill(os.getpid(), 9)
"""


def log_bytes(directory: Path) -> int:
    """The size of SQLite's log, in which a flipped bit would cost a commit and all behind it."""
    return (directory / "catalogue.sqlite-wal").stat().st_size


def test_a_kill_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    """Committed rows are in the file itself: it is complete without the log, which is empty."""
    killed = subprocess.run([sys.executable, "-c", COMMITS, str(tmp_path), str(Path(__file__).parents[1])], check=False)
    assert killed.returncode == -9
    assert log_bytes(tmp_path) == 0
    for part in ("wal", "shm"):
        (tmp_path / f"catalogue.sqlite-{part}").unlink()
    catalogue = Catalogue.open(tmp_path, readonly=True)
    assert (catalogue.checkpoint().lsn, len(catalogue.blocks()), catalogue.check()) == (8, 8, [])


def test_a_reader_holds_the_log_no_longer_than_it_reads(tmp_path: Path) -> None:
    """Commits go on meanwhile, and the first one behind it empties the log."""
    catalogue = Catalogue.open(tmp_path)
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1),)))
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT lsn FROM checkpoint").fetchone() == (1,)
        catalogue.commit_seal(Seal(Checkpoint(2), (block(2),)))
        assert reader.execute("SELECT lsn FROM checkpoint").fetchone() == (1,)
        assert log_bytes(tmp_path) > 0
        reader.execute("COMMIT")
    catalogue.commit_seal(Seal(Checkpoint(3), (block(3),)))
    assert log_bytes(tmp_path) == 0
    assert catalogue.checkpoint().lsn == 3
    catalogue.close()


def test_nobody_else_may_read_it_from_the_first_moment(tmp_path: Path) -> None:
    """The file, its log and its index have the mode 0640, and the directories 0750, whatever the umask allows."""
    old = os.umask(0)
    try:
        catalogue = Catalogue.open(tmp_path / "data")
        catalogue.commit_seal(Seal(Checkpoint(1)))
    finally:
        os.umask(old)
    found = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "data").iterdir()}
    rooms = {"blocks": "0o750", "series": "0o750"}
    own = ("catalogue.sqlite", "catalogue.sqlite-shm", "catalogue.sqlite-wal")
    assert found == {**rooms, **dict.fromkeys(own, "0o640")}
    catalogue.close()
