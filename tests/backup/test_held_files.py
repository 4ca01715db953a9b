"""Files are held at one moment: what is merged, expired or trimmed behind it can still be read."""

from pathlib import Path

import pytest

from nissa.backup.held_files import HeldFile, HeldFiles
from nissa.catalogue import sqlite_file
from nissa.journal.recovery import read_journal
from oracle.engine import NOW_MS, ONE, Rig


def test_what_is_deleted_meanwhile_can_be_read(tmp_path: Path) -> None:
    """Blocks and segments keep their bytes; the segment that is written ends with a whole frame."""
    rig = Rig(tmp_path / "d")
    rig.keep([("m", NOW_MS, ONE)])
    rig.engine.flush()
    rig.keep([("n", NOW_MS, ONE)])
    (tmp_path / "scratch").mkdir()
    with HeldFiles(rig.path, tmp_path / "scratch", lambda row: False) as held:
        for path in [*(rig.path / "blocks").iterdir(), *(rig.path / "journal").glob("0*")]:
            path.unlink()
        for one in held.files:
            size, crc = one.sum()
            assert size > 0
            assert one.crc in (None, crc)
        copied = tmp_path / "journal"
        copied.mkdir()
        for one in [one for one in held.files if one.path.startswith("journal/")]:
            (copied / Path(one.path).name).write_bytes(one.file.read())
        assert [frame.lsn for frame in read_journal(copied, held.checkpoint_lsn)] == [2]
    rig.engine.close()


@pytest.mark.parametrize("kind", ["sealed", "merged"])
def test_a_seal_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Before the catalogue is copied, the journal may be trimmed; behind it, blocks may be replaced."""
    rig = Rig(tmp_path / "d")
    rig.keep([("m", NOW_MS, ONE)])
    if kind == "merged":
        rig.engine.flush()
    copy, moved = sqlite_file.copy_database, []

    def between(source: Path, target: Path) -> None:
        if source.name != "catalogue.sqlite" or moved:
            copy(source, target)
            return
        moved.append(source)
        if kind == "sealed":
            rig.engine.flush()
        copy(source, target)
        if kind == "merged":
            for number in range(20):
                rig.keep([(f"m{number}", NOW_MS + number, ONE)])
                rig.engine.flush()

    monkeypatch.setattr("nissa.backup.held_files.copy_database", between)
    (tmp_path / "scratch").mkdir()
    with HeldFiles(rig.path, tmp_path / "scratch", lambda row: False) as held:
        names = {one.path for one in held.files if one.crc is not None}
        assert not held.lost
        assert any(name.startswith("blocks/raw-") for name in names)
        frames = {one.path for one in held.files if one.path.startswith("journal/")}
        assert frames or held.checkpoint_lsn
        assert all(isinstance(one, HeldFile) and one.sum()[0] for one in held.files)
    rig.engine.close()
