"""The store of state: after a kill it has exactly what was committed, and damage is reported."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from nissa.catalogue.state import VALUE_BYTES_MAX, State, check_state
from nissa.model.errors import Damaged, Unavailable, UnknownFormat


def test_values_come_back_by_room_and_key(tmp_path: Path) -> None:
    """Put, replaced and taken away in one commit; rooms do not see each other; a new process reads the same."""
    state = State.open(tmp_path)
    state.commit("followers", {"a": b"1", "b": b"2"})
    state.commit("alerts", {"a": b"\0\xff"})
    state.commit("followers", {"a": b"3", "b": None, "none": None})
    for _ in range(2):
        assert state.read("followers") == {"a": b"3"}
        assert state.read("alerts") == {"a": b"\0\xff"}
        assert state.read("other") == {}
        state.close()
        state = State.open(tmp_path)
    assert check_state(tmp_path) == []
    assert (tmp_path / "state.sqlite").stat().st_mode & 0o777 == 0o640
    state.close()
    assert check_state(tmp_path / "nowhere") == []


def test_a_value_has_a_bound_and_a_commit_is_whole(tmp_path: Path) -> None:
    """One value that is too long, or a file that may not be written: nothing of the commit is there."""
    state = State.open(tmp_path)
    state.commit("r", {"a": b"1"})
    with pytest.raises(ValueError, match="over the limit of 1048576 bytes"):
        state.commit("r", {"a": b"2", "b": bytes(VALUE_BYTES_MAX + 1)})
    with closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        state._db.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(Unavailable, match="locked"):
            state.commit("r", {"a": b"2"})
    assert state.read("r") == {"a": b"1"}
    state.commit("r", {"a": b"2"})
    assert state.read("r") == {"a": b"2"}
    state.close()


WRITER = """
import sys
from pathlib import Path
from nissa.catalogue.state import State
state = State.open(Path(sys.argv[1]))
number = int(state.read("r").get("n", b"0"))
while True:
    number += 1
    state.commit("r", {"n": str(number).encode(), f"k{number % 90}": str(number).encode()})
    print(number, flush=True)
"""


def test_what_was_committed_survives_kills(tmp_path: Path) -> None:
    """A writer killed in the midst of commits, ten times: the last commit it reported is there, both values of it."""
    rng = random.Random(3)
    for _ in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(rng.randrange(1, 60)):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        last = max([last, *(int(number) for number in rest)])
        state = State.open(tmp_path)
        values = state.read("r")
        kept = int(values["n"])
        assert kept in (last, last + 1)
        assert int(values[f"k{kept % 90}"]) == kept
        state.close()
        assert check_state(tmp_path) == []


def test_damage_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    """A changed value is found when the store is opened or verified; without digests it is taken as it is."""
    state = State.open(tmp_path)
    state.commit("r", {str(number): b"value" for number in range(200)})
    state.close()
    with closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE state SET value = 'falue' WHERE key = '7'")
    before = (tmp_path / "state.sqlite").read_bytes()
    with pytest.raises(Damaged, match="table state has 200 rows"):
        State.open(tmp_path)
    assert (tmp_path / "state.sqlite").read_bytes() == before
    assert "state.sqlite: table state has" in check_state(tmp_path)[0]
    with closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as db:
        db.execute("DELETE FROM digest")
    state = State.open(tmp_path)
    assert len(state.read("r")) == 200
    state.close()
    assert check_state(tmp_path) == []


def test_no_bit_of_it_is_flipped_unseen(tmp_path: Path) -> None:
    """A flipped bit is reported as damage, or the state is read as it was written."""
    state = State.open(tmp_path)
    expected = {str(number): bytes([number]) * 40 for number in range(100)}
    state.commit("r", expected)
    state.close()
    path, rng = tmp_path / "state.sqlite", random.Random(4)
    sound, told = path.read_bytes(), 0
    for _ in range(200):
        data, bit = bytearray(sound), rng.randrange(8 * len(sound))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            state = State.open(tmp_path)
        except (Damaged, UnknownFormat, Unavailable):
            told += 1
            continue
        try:
            assert state.read("r") == expected, bit
        except Damaged:
            told += 1
        state.close()
    assert told > 10


def test_a_newer_format_and_other_bytes_are_refused(tmp_path: Path) -> None:
    """A store of a later version, and a file that is none, stay as they are."""
    State.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(UnknownFormat, match="format 9"):
        State.open(tmp_path)
    (tmp_path / "state.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Damaged):
        State.open(tmp_path)
