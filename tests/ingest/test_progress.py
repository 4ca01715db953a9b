"""Progress of a recovery: logged, readable from other threads, and ended on request."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nissa.ingest import progress as progress_module
from nissa.ingest.progress import Progress
from nissa.ingest.recover import open_directory
from nissa.model.errors import Unavailable
from oracle.engine import NOW_MS, ONE, Rig


def journal_of(path: Path, sizes: list[int]) -> Path:
    """A journal's directory with segments of these sizes."""
    path.mkdir()
    for number, size in enumerate(sizes, 1):
        (path / f"{number:020d}.journal").write_bytes(bytes(size))
    return path


def test_lines_come_at_the_start_now_and_then_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line per so many bytes, with how far it is; facts are those of the moment."""
    monkeypatch.setattr(progress_module, "LOG_BYTES", 100)
    progress = Progress()
    assert progress.facts() == {"bytes": 0, "bytes_total": 0, "frames": 0, "percent": 0}
    with capture_logs() as lines:
        progress.begin(journal_of(tmp_path / "journal", [300, 100]))
        for done in range(0, 390, 30):
            progress.advance(done, done // 30)
        assert progress.facts() == {"bytes": 360, "bytes_total": 400, "frames": 12, "percent": 90}
        progress.end()
    assert [line.get("done") for line in lines] == [None, "30 %", "60 %", "90 %", None]
    assert lines[0]["bytes"] == 400
    assert progress.facts()["percent"] == 100


def test_a_short_journal_is_replayed_in_silence(tmp_path: Path) -> None:
    """Nobody waits for it."""
    progress = Progress()
    with capture_logs() as lines:
        progress.begin(journal_of(tmp_path / "journal", [300]))
        progress.advance(300, 1)
        progress.end()
    assert lines == []


def test_recovery_ends_when_it_is_asked_to(rig: Rig) -> None:
    """The directory is given back as it was, and opens the next time."""
    for turn in range(20):
        rig.keep([("a", NOW_MS + turn, ONE)])
    rig.engine.close()
    progress = Progress()
    progress.give_up()
    with pytest.raises(Unavailable, match="given up"):
        open_directory(rig.path, rig.config, lambda: NOW_MS, progress)
    assert progress.frames > 0
    rig.engine = rig._open()
    rig.check()


def test_segments_that_are_not_replayed_do_not_count(tmp_path: Path) -> None:
    """Segments kept for followers lie in front of the checkpoint, and do not count as progress."""
    progress, journal = Progress(), journal_of(tmp_path / "journal", [300, 100, 50])
    for after_lsn, total in ((0, 450), (1, 150), (2, 50), (9, 50)):
        progress.begin(journal, after_lsn)
        assert progress.bytes_total == total
